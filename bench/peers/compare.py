"""Octavo and its peers on the same shape, in turns on the same machine; prints one table with ratios:
    compare.py --octavo build/octavo --python ENVIRONMENT/bin/python --shape qwen3-0.6b \\
               [--gguf model.gguf] [--openvino FOLDER] [--rounds 3] [--threads 2] [--requests 1,4,16,64]
Everyone runs once in each round; a cell is the median of the rounds, then the least and the most of them."""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def run(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def octavo_rows(arguments):
    works = "prefill,decode" + (",engine" if arguments.requests else "")
    report = run([arguments.octavo, "bench", "--synthetic", arguments.shape, "--rows", works, "--repetitions", "3",
                  "--prefill", arguments.prefill, "--context", arguments.context, "--batch", arguments.batch,
                  "--requests", arguments.requests or "1", "--request-tokens", "128+64",
                  "--threads", str(arguments.threads), "--json"])
    return [dict(row, peer=f"Octavo ({row['dtype']}, {row['isa']})") for row in report["rows"]], report["machine"]


def peer_rows(arguments, script, model):
    return run([arguments.python, str(HERE / script), model, "--repetitions", "3", "--prefill", arguments.prefill,
                "--context", arguments.context, "--batch", arguments.batch, "--requests", arguments.requests,
                "--threads", str(arguments.threads)])


def title(work, m, batch, context):
    if work == "prefill":
        return f"prefill {m}"
    if work == "engine":
        return f"{batch} requests of {m} + {context - m}"
    return f"decode, batch {batch}" + (f", at {context}" if context else "")


def main():
    parser = argparse.ArgumentParser()
    for name in ("--octavo", "--python", "--shape"):
        parser.add_argument(name, required=True)
    parser.add_argument("--gguf")
    parser.add_argument("--openvino")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", default="512,2048")
    parser.add_argument("--context", default="0,2048")
    parser.add_argument("--batch", default="4,16")
    parser.add_argument("--requests", default="")
    arguments = parser.parse_args()

    values, machine = {}, None  # (work, m, batch, context) -> peer -> values
    for _ in range(arguments.rounds):
        rows, machine = octavo_rows(arguments)
        if arguments.gguf:
            rows += peer_rows(arguments, "llama_cpp_peer.py", arguments.gguf)
        if arguments.openvino:
            rows += peer_rows(arguments, "openvino_peer.py", arguments.openvino)
        for row in rows:
            # A peer's decode row counts its batch in m as ours does; its requests state prompt and whole length.
            key = (row["work"], row["m"], row["batch"], row["context"])
            values.setdefault(key, {}).setdefault(row["peer"], []).append(row["value"])

    peers = list(dict.fromkeys(peer for cells in values.values() for peer in cells))
    print(f"{machine['cpu']}, {machine['threads']} threads, read {machine['read_gb_per_s']:.1f} GB/s, "
          + ", ".join(f"{p['isa']} int8 {p['int8_tops']:.3f} TOPS" for p in machine["peaks"]))
    print("\n| tok/s | " + " | ".join(peers) + " | Octavo over the best peer |")
    print("|---" * (len(peers) + 2) + "|")
    for key, cells in values.items():
        medians = {peer: statistics.median(v) for peer, v in cells.items()}
        others = [v for peer, v in medians.items() if not peer.startswith("Octavo")]
        own = [v for peer, v in medians.items() if peer.startswith("Octavo")]
        ratio = f"{own[0] / max(others):.2f}" if own and others else ""
        texts = [f"{medians[p]:.1f} ({min(cells[p]):.1f}…{max(cells[p]):.1f})" if p in cells else "" for p in peers]
        print(f"| {title(*key)} | " + " | ".join(texts) + f" | {ratio} |")


if __name__ == "__main__":
    sys.exit(main())
