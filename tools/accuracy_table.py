#!/usr/bin/env python3
"""A table of how far models are from the float model they were made from, on a text.

  tools/accuracy_table.py BASE MODEL... --octavo build/release/octavo --text FILE [--window 256] [--max-windows N]

Prints Markdown. The intervals are 95 %, paired by window."""
import argparse
import json
import pathlib
import subprocess
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=pathlib.Path)
    parser.add_argument("models", type=pathlib.Path, nargs="+")
    parser.add_argument("--octavo", required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--max-windows", type=int)
    arguments = parser.parse_args()

    rows = []
    for model in arguments.models:
        command = [arguments.octavo, "eval", str(model), "--against", str(arguments.base), "--text", str(arguments.text),
                   "--window", str(arguments.window), "--json"]
        if arguments.max_windows:
            command += ["--max-windows", str(arguments.max_windows)]
        rows.append((model.name, json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)))

    first = rows[0][1]
    name = max(len(name) for name, _ in [*rows, (arguments.base.name, None)]) + 2
    print(f"{arguments.text.name}: {first['n_windows']} windows of {arguments.window} tokens")
    print()
    print(f"| {'model':{name}} | perplexity        | nats a token over float | mean KL             | same first choice |")
    print(f"|{'-' * (name + 2)}|-------------------|-------------------------|---------------------|-------------------|")
    base_name = f"`{arguments.base.name}`"
    print(f"| {base_name:{name}} | {first['against']['base_perplexity']:<17.3f} | {'':23} | {'':19} | {'':17} |")
    for model, result in rows:
        against = result["against"]
        loss, kl = against["nll_difference"], against["kl"]
        perplexity = f"{result['perplexity']:.3f} ({result['perplexity'] / against['base_perplexity'] - 1:+.2%})"
        model = f"`{model}`"
        print(f"| {model:{name}} | {perplexity:17} | {loss['mean']:+.5f} ± {loss['half_width_95']:.5f}      "
              f"| {kl['mean']:.5f} ± {kl['half_width_95']:.5f}   | {against['top1_agreement']:<17.2%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
