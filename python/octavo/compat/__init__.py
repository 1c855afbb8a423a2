"""Runs scripts written for MindSpore Golden Stick and vLLM MindSpore with not a letter changed.

    python -m octavo.compat SCRIPT.py [ARGUMENTS...]

While the script runs, ``import mindformers``, ``mindspore``, ``mindspore_gs``, ``vllm_mindspore``, ``vllm`` and
``research`` give Octavo's modules, whether or not the real ones are installed: the first component of a module's name
is replaced, ``mindspore_gs.ptq`` is ``octavo.ptq``; vLLM's engines are where they are (:data:`ENGINES`). Nothing else is
touched. Also for use from Python:

    with octavo.compat.stand_ins():
        from vllm import LLM
"""
from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

__all__ = ["ENGINES", "STAND_INS", "stand_ins"]

STAND_INS = {
    "mindformers": "octavo",
    "mindspore": "octavo",
    "mindspore_gs": "octavo",
    "vllm_mindspore": "octavo",
    "vllm": "octavo",
    "research": "octavo.research",
}

# vLLM's modules whose names Octavo has elsewhere; None is a package with nothing in it.
ENGINES = {
    "vllm.engine": None,
    "vllm.engine.arg_utils": "octavo.async_llm",
    "vllm.engine.async_llm_engine": "octavo.async_llm",
    "vllm.entrypoints": None,
    "vllm.entrypoints.llm": "octavo.llm",
    "vllm.v1": None,
    "vllm.v1.engine": None,
    "vllm.v1.engine.async_llm": "octavo.async_llm",
}


class _Finder:
    """Finds and loads the stood-in modules: Octavo's own, under the other name."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in STAND_INS:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Puts Octavo's module in the place of the empty `module`, as the import system allows a loader to do."""
        name = module.__name__
        first, dot, rest = name.partition(".")
        ours = ENGINES.get(name, STAND_INS[first] + dot + rest)
        if ours is None:
            module.__path__ = []
            return
        try:
            sys.modules[name] = importlib.import_module(ours)
        except ModuleNotFoundError as error:
            if error.name is None or not (ours + ".").startswith(error.name + "."):
                raise
            raise ModuleNotFoundError(f"No module named {name!r}: octavo.compat stands in for {first}, and Octavo has "
                                      f"no {ours!r}", name=name) from None


@contextmanager
def stand_ins() -> Iterator[None]:
    """While this is entered, the modules of :data:`STAND_INS` are Octavo's; afterwards all is as it was."""
    finder = _Finder()
    hidden = _taken_out()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _taken_out()
        sys.modules.update(hidden)


def _taken_out() -> dict[str, ModuleType]:
    """Removes every module of a stood-in name from ``sys.modules``; returns them."""
    names = [name for name in sys.modules if name.partition(".")[0] in STAND_INS]
    return {name: sys.modules.pop(name) for name in names}
