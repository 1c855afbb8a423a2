"""Octavo makes a language model small and then runs it: post-training quantization (`octavo.ptq`) and generation on the
CPU (`octavo.LLM`). The names below are imported when they are first used, so `import octavo` costs nothing."""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from ._native import CorruptError as CorruptError
    from ._native import InternalError as InternalError
    from ._native import InvalidArgumentError as InvalidArgumentError
    from ._native import IoError as IoError
    from ._native import NotFoundError as NotFoundError
    from ._native import OctavoError as OctavoError
    from ._native import ResourceExhaustedError as ResourceExhaustedError
    from ._native import UnsupportedError as UnsupportedError
    from . import dtype as dtype
    from .async_llm import AsyncEngineArgs as AsyncEngineArgs
    from .async_llm import AsyncLLM as AsyncLLM
    from .async_llm import AsyncLLMEngine as AsyncLLMEngine
    from .auto_model import AutoModel as AutoModel
    from .datasets import GeneratorDataset as GeneratorDataset
    from .llm import LLM as LLM
    from .outputs import CompletionOutput as CompletionOutput
    from .outputs import RequestOutput as RequestOutput
    from .sampling_params import BeamSearchParams as BeamSearchParams
    from .sampling_params import RequestOutputKind as RequestOutputKind
    from .sampling_params import SamplingParams as SamplingParams
    from .checkpoint import save_checkpoint as save_checkpoint
    from .tokenizer import AutoTokenizer as AutoTokenizer

_ERRORS = (
    "CorruptError",
    "InternalError",
    "InvalidArgumentError",
    "IoError",
    "NotFoundError",
    "OctavoError",
    "ResourceExhaustedError",
    "UnsupportedError",
)
_HOME = {
    "AsyncEngineArgs": "async_llm",
    "AsyncLLM": "async_llm",
    "AsyncLLMEngine": "async_llm",
    "AutoModel": "auto_model",
    "AutoTokenizer": "tokenizer",
    "BeamSearchParams": "sampling_params",
    "CompletionOutput": "outputs",
    "GeneratorDataset": "datasets",
    "LLM": "llm",
    "RequestOutput": "outputs",
    "RequestOutputKind": "sampling_params",
    "SamplingParams": "sampling_params",
    "__version__": "_native",
    "save_checkpoint": "checkpoint",
    **dict.fromkeys(_ERRORS, "_native"),
}
_SUBMODULES = ("dtype", "ptq")

__all__ = sorted(name for name in _HOME if not name.startswith("_")) + list(_SUBMODULES)


def __getattr__(name: str) -> typing.Any:
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'octavo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
