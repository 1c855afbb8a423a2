"""`python -m octavo`, and the command `octavo`: the program that comes with the package, in place of this process."""

import os
import pathlib
import sys


def main() -> None:
    """Does not return: exit code and signals are the program's own."""
    program = pathlib.Path(__file__).parent / "bin" / "octavo"
    sys.stdout.flush()
    os.execv(program, [str(program), *sys.argv[1:]])


if __name__ == "__main__":
    main()
