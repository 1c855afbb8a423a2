"""A misspelt keyword is answered with the right one.

Python's own ``TypeError`` names the wrong keyword only; the decorators here add the nearest that exists. Used on the
calls that people write by hand: configurations, loaders, ``save_checkpoint``.
"""
from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``"; did you mean 'alpha'?"``, or ``""`` when nothing is near."""
    names = {name.lower(): name for name in candidates}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def refuse_unknown(call: str, given: Mapping[str, object], known: Iterable[str]) -> None:
    """Raises the ``TypeError`` for the first keyword of `given` that is not in `known`."""
    names = list(known)
    for word in given:
        if word not in names:
            hint = did_you_mean(word, names) or f"; it takes {', '.join(names)}"
            raise TypeError(f"{call}() got an unexpected keyword argument {word!r}{hint}")


def suggests_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function without ``**kwargs``."""
    known = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse_unknown(function.__qualname__, kwargs, known)
        return function(*args, **kwargs)

    return checked


def suggests_fields(cls: type[T]) -> type[T]:
    """Decorates a dataclass: the same for its constructor."""
    construct: Callable[..., None] = cls.__init__
    known = [name for name in inspect.signature(construct).parameters if name != "self"]

    @functools.wraps(construct)
    def checked(self: T, *args: Any, **kwargs: Any) -> None:
        refuse_unknown(cls.__name__, kwargs, known)
        construct(self, *args, **kwargs)

    setattr(cls, "__init__", checked)
    return cls
