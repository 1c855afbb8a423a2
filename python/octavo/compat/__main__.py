"""``python -m octavo.compat SCRIPT.py [ARGUMENTS...]``: like ``python SCRIPT.py``, with Octavo's stand-ins.

``sys.argv``, ``sys.path[0]``, ``__main__``, tracebacks and exit codes are those that Python itself gives.
"""
from __future__ import annotations

import builtins
import os
import sys
from types import ModuleType

from octavo.compat import stand_ins

_USAGE = "usage: python -m octavo.compat SCRIPT.py [ARGUMENTS...]"
# The documentation's script uses these without defining them.
_LEFT_OUT = {
    "quant_mode": "from mindspore_gs.ptq import PTQMode; quant_mode = PTQMode.QUANTIZE",
    "OrderedDict": "from collections import OrderedDict",
    "ms": "import mindspore as ms",
}


def _report(error: BaseException) -> None:
    """Prints the traceback as Python does for an uncaught exception, from the script's first line on."""
    if isinstance(error, NameError) and error.name in _LEFT_OUT and sys.version_info >= (3, 11):
        error.add_note(f"the script does not define {error.name!r}; add: {_LEFT_OUT[error.name]}")
    traceback = error.__traceback__.tb_next if error.__traceback__ else None  # without our own frame
    sys.excepthook(type(error), error.with_traceback(traceback), traceback)


def run(path: str, arguments: list[str]) -> int:
    """Runs the script as ``__main__``; the exit code, unless the script itself raises ``SystemExit``."""
    absolute = os.path.abspath(path)
    try:
        with open(absolute, "rb") as stream:
            source = stream.read()
    except OSError as error:
        print(f"octavo.compat: can't open file {absolute!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        return 2
    main = ModuleType("__main__")
    vars(main).update(__file__=absolute, __builtins__=builtins, __annotations__={}, __cached__=None)
    sys.modules["__main__"] = main
    sys.argv = [path, *arguments]
    sys.path[0] = os.path.dirname(os.path.realpath(absolute))
    with stand_ins():
        try:
            code = compile(source, absolute, "exec", dont_inherit=True)
            exec(code, vars(main))
        except SystemExit:
            raise
        except KeyboardInterrupt as error:
            _report(error)
            return 130
        except BaseException as error:
            _report(error)
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(_USAGE, file=sys.stderr)
        sys.exit(2)
    sys.exit(run(sys.argv[1], sys.argv[2:]))
