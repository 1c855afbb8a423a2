#!/usr/bin/env python3
"""Counts the instructions of fixed small cases (cases.cc) with callgrind and compares them with figures.json:
    check.py PROGRAM --compiler "GNU 12.2.0" [--update]
Fails when a case takes over 3 % more than its figure, or less: it could then grow back unseen. Counts belong to a compiler, a C library and a valgrind: under
others there is nothing to compare, and the exit code is 77, "skipped". --update writes what was counted."""
import argparse
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FIGURES = HERE / "figures.json"
TOLERANCE = 0.03  # the same build counts the same but for some calls' alignment of memory: below 0.1 %
SKIPPED = 77


def counted(program):
    """The ISA that ran and {case: instructions}. One dump of callgrind for each line that the program prints."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        case = "octavo_counted_case"
        command = ["valgrind", "--tool=callgrind", "-q", f"--toggle-collect={case}", f"--dump-after={case}",
                   f"--callgrind-out-file={out}", str(program), str(HERE.parent.parent)]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        (_, isa), *names = [line.split(" ", 1) if i == 0 else line for i, line in enumerate(run.stdout.splitlines())]
        dumps = [pathlib.Path(f"{out}.{number}").read_text() for number in range(1, len(names) + 1)]
    totals = [int(re.search(r"^(?:summary|totals): (\d+)", dump, re.MULTILINE).group(1)) for dump in dumps]
    return isa, dict(zip(names, totals))


def compare(figures, counts):
    """Prints a line for each case; the names of those that fail."""
    failed = []
    for name, count in counts.items():
        figure = figures.get(name)
        change = count / figure - 1 if figure else None
        moved = "" if figure and abs(change) <= TOLERANCE else "NEW" if not figure else "GROWN" if change > 0 else "SHRUNK"
        print(f"{moved:6} {name:20} {count:>12,}  " + (f"{change:+.1%} of {figure:,}" if figure else "no figure"))
        if moved:
            failed.append(name)
    failed += [f"{name} (no such case)" for name in figures if name not in counts]
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--compiler", required=True, help="id and version: what CMake calls it")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        return SKIPPED
    valgrind = subprocess.run(["valgrind", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    toolchain = ", ".join([arguments.compiler, " ".join(platform.libc_ver()), valgrind])
    all_figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if toolchain not in all_figures and not arguments.update:
        print(f"skipped: no figures of '{toolchain}', only of {list(all_figures)}")
        return SKIPPED
    isa, counts = counted(arguments.program)
    if isa != "avx2":
        print(f"skipped: counts are of avx2, and this CPU under valgrind has {isa}")
        return SKIPPED
    if arguments.update:
        all_figures[toolchain] = counts
        FIGURES.write_text(json.dumps(all_figures, indent=1) + "\n")
        print(f"wrote {len(counts)} figures of '{toolchain}'")
        return 0
    failed = compare(all_figures[toolchain], counts)
    if failed:
        print(f"not the instructions that {FIGURES.name} says: {', '.join(failed)}. Where that is meant: "
              "cmake --build BUILD --target update_instruction_figures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
