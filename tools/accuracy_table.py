#!/usr/bin/env python3
"""The accuracy table of docs/ACCURACY.md: quantizes a model with each recipe and measures each result against it.

  tools/accuracy_table.py MODEL --octavo build/release/octavo --text FILE [--window 256] [--calib SPEC]
                          [--samples N] [--length N] [--recipes w8a8,rtn-w8a8] [--keep FOLDER]

Prints Markdown. The intervals are 95 %, paired by window."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile


def evaluate(octavo, model, arguments, *more):
    command = [octavo, "eval", str(model), "--text", str(arguments.text), "--window", str(arguments.window), "--json"]
    return json.loads(subprocess.run([*command, *more], stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--octavo", required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--calib")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--recipes", default="rtn-w8a8,w8a8")
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for recipe in arguments.recipes.split(","):
            target = folder / recipe.replace("/", "_")
            command = [arguments.octavo, "quantize", str(arguments.model), "-o", str(target), "--recipe", recipe, "--overwrite"]
            if arguments.calib and recipe != "rtn-w8a8":
                command += ["--calib", arguments.calib, "--samples", str(arguments.samples), "--length", str(arguments.length)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rows.append((recipe, evaluate(arguments.octavo, target, arguments, "--against", str(arguments.model))))

    first = rows[0][1]
    print(f"{arguments.text.name}, {first['n_windows']} windows of {arguments.window} tokens"
          + (f", calibrated on {arguments.calib} ({arguments.samples} × {arguments.length})" if arguments.calib else ""))
    print()
    print("| | perplexity | nats over float | mean KL | same first choice |")
    print("|---|---|---|---|---|")
    print(f"| float | {first['against']['base_perplexity']:.3f} | | | |")
    for recipe, result in rows:
        against = result["against"]
        loss, kl = against["nll_difference"], against["kl"]
        share = result["perplexity"] / against["base_perplexity"] - 1
        print(f"| `{recipe}` | {result['perplexity']:.3f} ({share:+.2%}) | {loss['mean']:+.5f} ± {loss['half_width_95']:.5f} "
              f"| {kl['mean']:.5f} ± {kl['half_width_95']:.5f} | {against['top1_agreement']:.2%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
