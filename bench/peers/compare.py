"""Octavo and its peers on the same shape, in turns on the same machine; prints one table with ratios:
    compare.py --octavo build/octavo --python ENVIRONMENT/bin/python --shape qwen3-0.6b \\
               [--gguf model.gguf] [--openvino FOLDER] [--openvino-groups 32,1024] [--ctranslate2 FOLDER]
               [--rounds 3] [--threads 2]
               [--requests 1,4,16,64] [--lm-head int8] [--isa avx2 --llama-avx2 ENVIRONMENT/llama-avx2]
Everyone runs once in each round; a cell is the median of the rounds, then the least and the most of them. --isa avx2
holds everyone to AVX2, as far as each lets itself be held; what each says it ran on is printed below the table."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


# Octavo's, CTranslate2's own loops', oneDNN's (the products of CTranslate2 and OpenVINO). llama.cpp has its ISA built in.
AVX2 = {"OCTAVO_ISA": "avx2", "CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def run(command, environment):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **environment})
    return json.loads(done.stdout)


def octavo_rows(arguments):
    works = "prefill,decode" + (",engine" if arguments.requests else "")
    report = run([arguments.octavo, "bench", "--synthetic", arguments.shape, "--rows", works, "--repetitions", "3",
                  "--lm-head-dtype", arguments.lm_head, "--prefill", arguments.prefill, "--context", arguments.context,
                  "--batch", arguments.batch, "--requests", arguments.requests or "1", "--request-tokens", "128+64",
                  "--threads", str(arguments.threads), "--json"], AVX2 if arguments.isa else {})
    name = "Octavo, lm_head " + ("int8" if arguments.lm_head == "int8" else "bf16")
    return [dict(row, peer=f"{name} ({row['dtype']}, {row['isa']})") for row in report["rows"]], report["machine"]


def peer_rows(arguments, script, model, environment=None):
    environment = dict(environment or {})
    if arguments.isa:
        environment |= dict(AVX2, PYTHONPATH=arguments.llama_avx2 or "")
    return run([arguments.python, str(HERE / script), model, "--repetitions", "3", "--prefill", arguments.prefill,
                "--context", arguments.context, "--batch", arguments.batch, "--requests", arguments.requests,
                "--threads", str(arguments.threads)], environment)


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
    parser.add_argument("--openvino-groups", default="32,1024",
                        help="inputs that share a scale, runs of their own: 32 is its default, larger ones are faster")
    parser.add_argument("--ctranslate2")
    parser.add_argument("--lm-head", choices=["auto", "int8"], default="int8", help="Octavo's; the peers' is int8")
    parser.add_argument("--isa", choices=["avx2"])
    parser.add_argument("--llama-avx2", help="the second llama-cpp-python of make_environment.sh, built for AVX2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", default="512,2048")
    parser.add_argument("--context", default="0,2048")
    parser.add_argument("--batch", default="4,16")
    parser.add_argument("--requests", default="")
    arguments = parser.parse_args()
    if arguments.isa and arguments.gguf and not arguments.llama_avx2:
        parser.error("--isa avx2 with --gguf needs --llama-avx2: llama.cpp's instruction set is built in")

    values, ran_on, machine = {}, {}, None  # (work, m, batch, context) -> peer -> values
    for _ in range(arguments.rounds):
        rows, machine = octavo_rows(arguments)
        if arguments.gguf:
            rows += peer_rows(arguments, "llama_cpp_peer.py", arguments.gguf)
        if arguments.openvino:
            for group in arguments.openvino_groups.split(",") if not arguments.isa else [""]:
                rows += peer_rows(arguments, "openvino_peer.py", arguments.openvino, {"OPENVINO_INPUT_GROUP": group})
        if arguments.ctranslate2:
            rows += peer_rows(arguments, "ctranslate2_peer.py", arguments.ctranslate2)
        for row in rows:
            # A peer's decode row counts its batch in m as ours does; its requests state prompt and whole length.
            key = (row["work"], row["m"], row["batch"], row["context"])
            ran_on.setdefault(row["peer"], row["isa"])
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
    print()
    for peer, isa in ran_on.items():
        print(f"{peer}: {isa}")


if __name__ == "__main__":
    sys.exit(main())
