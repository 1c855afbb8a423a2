"""What `LLM(...)` and `AsyncLLM(...)` accept beside the arguments it uses: vLLM's others, sorted into hints and promises.

A hint tells a GPU engine how to work and changes no token; Octavo accepts it whatever it says. A promise changes what
comes out, or where the model runs; Octavo accepts the one value that it keeps, and refuses others by name.
"""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Mapping
from pathlib import Path

from octavo import _native
from octavo.dtype import DType

__all__ = ["EXTRA_ARGUMENTS", "check_arguments", "choose_kv_cache_dtype", "choose_quantization"]

_HINTS = (
    "allowed_local_media_path",
    "allowed_media_domains",
    "async_scheduling",
    "attention_backend",
    "attention_config",
    "block_size",
    "code_revision",
    "compilation_config",
    "cpu_offload_gb",
    "disable_custom_all_reduce",
    "disable_log_stats",
    "download_dir",
    "enable_chunked_prefill",
    "enforce_eager",
    "gpu_memory_utilization",
    "hf_token",
    "linear_backend",
    "long_prefill_token_threshold",
    "max_seq_len_to_capture",
    "num_gpu_blocks_override",
    "numa_bind",
    "numa_bind_cpus",
    "numa_bind_nodes",
    "offload_group_size",
    "offload_num_in_group",
    "offload_params",
    "offload_prefetch_step",
    "optimization_level",
    "performance_mode",
    "prefix_caching_hash_algo",
    "profiler_config",
    "revision",
    "scheduling_policy",
    "served_model_name",
    "shutdown_timeout",
    "stream_interval",
    "swap_space",
    "tokenizer_revision",
    "trust_remote_code",
)

# Argument -> the values that Octavo keeps, the default first.
_PROMISES: dict[str, tuple[typing.Any, ...]] = {
    "config_format": ("auto", "hf"),
    "convert": ("auto", "none"),
    "data_parallel_size": (1,),
    "distributed_executor_backend": (None, "uni"),
    "enable_lora": (False,),
    "enable_return_routed_experts": (False,),
    "enable_sleep_mode": (False,),
    "hf_overrides": (None, {}),
    "kv_cache_dtype_skip_layers": (None, []),
    "kv_offloading_backend": (None,),
    "kv_offloading_size": (None,),
    "load_format": ("auto", "safetensors"),
    "logits_processors": (None, []),
    "logprobs_mode": ("raw_logprobs",),
    "max_lora_rank": (None, 16),
    "max_loras": (None, 1),
    "mm_processor_kwargs": (None, {}),
    "otlp_traces_endpoint": (None,),
    "pipeline_parallel_size": (1,),
    "pooler_config": (None,),
    "quantization_config": (None,),
    "reasoning_parser": (None, ""),
    "return_sampling_mask": (False,),
    "runner": ("auto", "generate"),
    "skip_tokenizer_init": (False,),
    "spec_method": (None,),
    "spec_model": (None,),
    "spec_tokens": (None,),
    "speculative_config": (None,),
    "structured_outputs_config": (None,),
    "task": ("auto", "generate"),
    "tensor_parallel_size": (1,),
    "tokenizer_mode": ("auto", "hf", "fast"),
}

EXTRA_ARGUMENTS = (*_HINTS, *_PROMISES)

_FLOAT_NAMES = {"half": "float16", "float": "float32"}

# Any quantized folder is SmoothQuant's in the documentation that Octavo follows; the others name a layout.
_SMOOTHQUANT = "smoothquant"
_LAYOUTS = ("compressed-tensors", "golden-stick", "ascend")


def check_arguments(call: str, given: Mapping[str, typing.Any], folder: Path | None) -> None:
    """Refuses what is not kept, by name; without a folder any dtype is.

    Raises:
        NotImplementedError: A promise that Octavo cannot keep yet, or a dtype that is not the checkpoint's.
        ValueError: A dtype or generation_config of an unknown name.
    """
    for name, value in given.items():
        kept = _PROMISES.get(name)
        if kept is not None and value not in kept:
            raise NotImplementedError(f"{call}: {name}={value!r} is not built yet; leave it at {kept[0]!r}")
    if given["generation_config"] not in ("auto", "vllm"):
        raise ValueError(f"generation_config: expected 'auto' or 'vllm', found {given['generation_config']!r}")
    _check_dtype(call, given["dtype"], folder)


def _stored_dtype(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str(config.get("dtype") or config.get("torch_dtype") or "auto")


def _check_dtype(call: str, dtype: typing.Any, folder: Path | None) -> None:
    wanted = dtype.name if isinstance(dtype, DType) else str(dtype).removeprefix("torch.").lower()
    wanted = _FLOAT_NAMES.get(wanted, wanted)
    if wanted not in ("auto", "bfloat16", "float16", "float32"):
        raise ValueError(f"dtype: expected 'auto', 'bfloat16', 'float16' or 'float32', found {dtype!r}")
    stored = wanted if folder is None else _stored_dtype(folder)
    if wanted not in ("auto", stored):
        raise NotImplementedError(
            f"{call}: dtype={dtype!r} is not built yet; Octavo computes in the checkpoint's own type, here {stored}: leave "
            "it at 'auto'"
        )


def choose_kv_cache_dtype(call: str, name: str, folder: Path | None) -> str:
    """The C++ engine's name for `name`.

    Raises:
        NotImplementedError: A type that Octavo does not keep keys and values in, for this folder.
    """
    wanted = _FLOAT_NAMES.get(name, name)
    if wanted in ("auto", "int8"):
        return wanted
    kept = "float32" if folder is not None and _stored_dtype(folder) == "float32" else "bfloat16"
    if wanted == kept:
        return "auto"
    raise NotImplementedError(f"{call}: kv_cache_dtype={name!r} is not built yet; expected 'auto' (here {kept}) or 'int8'")


def choose_quantization(name: str | None, folder: Path | None) -> str | None:
    """The recipe by which the float model in `folder` is to be quantized first, or None.

    Raises:
        ValueError: `name` is unknown, or is not what the folder holds.
    """
    if name is None:
        return None
    if folder is None:
        raise ValueError(f"quantization: expected None where there is no folder, found {name!r}")
    wanted = str(name).lower().replace("_", "-")
    recipes = _native.quantize_presets()
    known = [_SMOOTHQUANT, *_LAYOUTS, *recipes]
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"quantization: {name!r} is unknown; expected one of {', '.join(known)}{hint}")
    found = json.loads(_native.inspect(str(folder))["json"])["quantization"]
    if wanted in recipes:
        if found is None:
            return wanted
        raise ValueError(
            f"quantization: the recipe {name!r} takes a float model, and {folder} is quantized already "
            f"({found['description'] or found['method']}); leave quantization out to run it as it is"
        )
    if found is None:
        raise ValueError(
            f"quantization: {name!r} is for a quantized folder, and {folder} holds a float model; quantize it first "
            f"(octavo.ptq, or 'octavo quantize'), or give a recipe: {', '.join(recipes)}"
        )
    if wanted not in (_SMOOTHQUANT, found["method"]):
        raise ValueError(f"quantization: expected {found['method']!r}, which {folder} is, found {name!r}")
    return None
