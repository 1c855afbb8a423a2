"""A model in memory, and requests for it: what `octavo.LLM` and `octavo.AsyncLLM` have in common.

The C++ engine runs what was submitted in a thread of its own, many requests at once; the tokens of one do not depend on
the others (docs/NUMERICS.md).
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy
import numpy.typing
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from octavo import _native
from octavo.keywords import refuse_unknown
from octavo.llm_arguments import EXTRA_ARGUMENTS, check_arguments, choose_kv_cache_dtype, choose_quantization
from octavo.model_folder import TemporaryFolder, find_model_folder
from octavo.outputs import Logprob, LogprobsAt
from octavo.request import Request, RequestState
from octavo.sampling_params import SamplingParams, as_integer, checked_seed
from octavo.tokenizer import Tokenizer, token_list

__all__ = ["LoadedModel", "Prompt", "read_template"]

# A text; token ids; or a dictionary with "prompt" or "prompt_token_ids".
Prompt = str | Sequence[int] | Mapping[str, typing.Any]

_ECHO = "echo:"
_MAX_WAITING = 65536  # outputs; what waits costs its token ids

_GENERATION_KEYS = {  # generation_config.json's -> SamplingParams'
    "repetition_penalty": "repetition_penalty",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "max_new_tokens": "max_tokens",
}


class LoadedModel:
    """A model, ready to generate.

    Args:
        model: A model folder: Hugging Face layout, float or quantized. "echo:" is an engine without weights, for tests of
            what is built around it: each answer is its prompt; "echo:FOLDER" takes the folder's tokenizer.
        tokenizer: Another folder or tokenizer.json; None is the model's.
        quantization: None takes the folder as it is. "SmoothQuant" (any quantized folder), "compressed-tensors",
            "golden-stick" or "ascend", in any case, are compared with the folder. A recipe's name ("rtn-w8a8", "w8a8",
            "w8a8-smoothquant") quantizes a float folder on the fly, through a temporary folder (TMPDIR) that is removed
            once the model is in memory.
        calibration: With a recipe that needs it: "ceval:DIR", "text:FILE" or "jsonl:FILE".
        dtype: "auto", or what the folder holds: Octavo computes in the checkpoint's own type.
        chat_template: A file or Jinja text, instead of the model's.
        seed: From which requests without a seed draw theirs; the same program gives the same text each time it runs.
        max_model_len: Tokens of prompt and output; None is the model's, as far as memory allows.
        max_num_seqs: Outputs that run at once; the others wait. None is 64.
        max_num_batched_tokens: Tokens of one step, at least max_num_seqs; longer prompts run in several. None is 512.
        kv_cache_dtype: "auto" keeps keys and values in bf16 (fp32 for an F32 checkpoint), "int8" in half of bf16's
            memory, which changes the output a little.
        lm_head_dtype: "auto" keeps lm_head as the folder has it, "int8" in codes with a scale per row, half of bf16's reads
            in every step, which changes the output a little.
        kv_cache_memory_bytes: For keys and values; None is 4 GiB, or half of what is available.
        enable_prefix_caching: Prompts that begin alike run their beginning once. None is True.
        speculation: Tokens guessed from the sequence's own past and verified: "auto" where that is faster, "off",
            "always". No token depends on it.
        max_logprobs: The most that a request's logprobs may ask for; -1 is the whole vocabulary.
        n_threads: 0 is every core.
        generation_config: "auto" takes the defaults of `get_default_sampling_params` from the folder's
            generation_config.json, "vllm" takes vLLM's neutral ones.
        override_generation_config: Values over these.
        echo_step_us: Microseconds that a step of "echo:" takes at least.
        use_tqdm_on_load: A bar while layers are read.
        **kwargs: vLLM's other arguments. Hints that change no token here (gpu_memory_utilization, enforce_eager,
            trust_remote_code, …) are accepted; what Octavo does not have (tensor_parallel_size=2, …) is refused by
            name.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: An unknown quantization, one that is not the folder's, a value out of range.
        NotImplementedError: An argument that is not built yet, away from its default; a model that Octavo does not run.
        TypeError: A misspelt argument, with the nearest right one.
        MemoryError: The model, or the keys and values of one whole context, do not fit.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        tokenizer: str | os.PathLike[str] | None = None,
        quantization: str | None = None,
        calibration: str = "",
        dtype: typing.Any = "auto",
        chat_template: str | None = None,
        seed: int | None = 0,
        max_model_len: int | None = None,
        max_num_seqs: int | None = None,
        max_num_batched_tokens: int | None = None,
        kv_cache_dtype: str = "auto",
        lm_head_dtype: str = "auto",
        kv_cache_memory_bytes: int | None = None,
        enable_prefix_caching: bool | None = None,
        speculation: str = "auto",
        max_logprobs: int = 20,
        n_threads: int = 0,
        generation_config: str = "auto",
        override_generation_config: Mapping[str, typing.Any] | None = None,
        echo_step_us: int = 0,
        use_tqdm_on_load: bool = True,
        **kwargs: typing.Any,
    ) -> None:
        call = type(self).__name__
        refuse_unknown(call, kwargs, ARGUMENTS)
        folder = _echo_folder(model, call) if str(model).startswith(_ECHO) else find_model_folder(model, call)
        is_echo = str(model).startswith(_ECHO)
        check_arguments(call, {**kwargs, "dtype": dtype, "generation_config": generation_config}, folder)
        refuse_unknown("override_generation_config", override_generation_config or {}, _GENERATION_KEYS)
        self._seed = 0 if seed is None else checked_seed(seed)  # before the model is read, which may take minutes
        recipe = choose_quantization(quantization, folder)
        if recipe is None and calibration:
            raise ValueError("calibration: expected together with a recipe's name as quantization")
        tokenizer = tokenizer if tokenizer is not None else folder or ""
        self._max_num_seqs, n_step_tokens = _step_sizes(max_num_seqs, max_num_batched_tokens)
        options = _engine_options(
            n_threads=n_threads,
            max_context=max_model_len,
            tokenizer=os.fspath(tokenizer),
            max_num_seqs=self._max_num_seqs,
            max_num_batched_tokens=n_step_tokens,
            max_waiting=_MAX_WAITING,
            kv_cache_bytes=kv_cache_memory_bytes,
            lm_head_dtype=lm_head_dtype,
            kv_cache_dtype=choose_kv_cache_dtype(call, kv_cache_dtype, folder),
            enable_prefix_caching=enable_prefix_caching is not False,
            speculation=speculation,
            echo=is_echo,
            echo_step_us=echo_step_us,
        )
        self._engine = _open(folder, recipe, calibration, options, use_tqdm_on_load)
        self._tokenizer = Tokenizer(tokenizer)
        self._chat_template = "" if chat_template is None else read_template(chat_template)
        self._n_requests = 0
        self._counting = threading.Lock()
        self._max_logprobs = max_logprobs
        self._spelling: dict[int, str] = {}
        self._defaults = self._read_defaults(generation_config, override_generation_config or {})

    # -- what the model is --

    def get_default_sampling_params(self) -> SamplingParams:
        """What generate() takes where no SamplingParams are given: the model's generation_config.json over the
        defaults of SamplingParams. A new object each time."""
        return SamplingParams(**self._defaults)

    @property
    def info(self) -> dict[str, typing.Any]:
        """architecture, quantization ("none", "compressed-tensors w8a8", …), n_layers, n_vocab, max_context (tokens),
        weight_bytes, isa, n_threads, fingerprint (changes when the model or the arithmetic does)."""
        return self._engine.info

    @property
    def stats(self) -> _native.EngineStats:
        """What the engine has done since it was opened: steps, prefix hits, … and what it does now."""
        return self._engine.stats

    def _read_defaults(self, source: str, override: Mapping[str, typing.Any]) -> dict[str, typing.Any]:
        values: dict[str, typing.Any] = {}
        if source == "auto":
            found = self._engine.default_sampling
            values = {name: getattr(found, name) for name in _GENERATION_KEYS.values()}
        values.update({_GENERATION_KEYS[key]: value for key, value in override.items()})
        return {name: value for name, value in values.items() if value is not None}

    def logits(self, token_ids: Sequence[int]) -> numpy.typing.NDArray[numpy.float32]:
        """The model's logits after each token, [len(token_ids), n_vocab]; log-softmax is the caller's.

        The array holds what the C++ core computed, without a copy; other libraries take it by DLPack.

        Raises:
            ValueError: No token, one that the vocabulary does not have, more than the context holds.
        """
        return self._engine.logits(token_list("token_ids", token_ids))

    # -- requests --

    def _checked(self, params: SamplingParams) -> SamplingParams:
        if not isinstance(params, SamplingParams):
            raise TypeError(f"sampling_params: expected SamplingParams, found {type(params).__name__}")
        params.check()
        most = self._max_logprobs
        for name in ("logprobs", "prompt_logprobs"):
            wanted = getattr(params, name)
            if wanted is not None and most != -1 and (wanted > most or wanted == -1):
                call = type(self).__name__
                raise ValueError(f"{name}: {wanted} is more than the {most} that {call}(max_logprobs=…) allows")
        return params

    def _make_request(self, prompt: Prompt, params: SamplingParams, name: str, priority: int = 0) -> Request:
        """`prompt`, called `name` in errors, as token ids that the vocabulary has."""
        params = self._checked(params)
        if isinstance(prompt, Mapping):
            refuse_unknown(name, prompt, ["prompt", "prompt_token_ids"])
            text, ids = prompt.get("prompt"), prompt.get("prompt_token_ids")
        else:
            text, ids = (prompt, None) if isinstance(prompt, str) else (None, prompt)
        if ids is None:
            if not isinstance(text, str):
                raise TypeError(f"{name}: expected a text or token ids, found {prompt!r}")
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"{name}: expected Unicode text, found half a surrogate pair ({error})") from None
            ids = self._engine.tokenize(text, True)
        token_ids = token_list(name, ids)
        n_vocab = self.info["n_vocab"]
        for i, token in enumerate(token_ids):
            if not 0 <= token < n_vocab:
                raise ValueError(f"{name}[{i}]: token {token} is not in the model's vocabulary of {n_vocab}")
        return Request(text, token_ids, params, priority)

    def _take_numbers(self, n: int) -> int:
        """The first of the next n numbers of requests."""
        with self._counting:
            self._n_requests += n
            return self._n_requests - n

    def _submit(
        self, request: Request, number: int, request_id: str, ready: _native.ReadyQueue, key: int
    ) -> RequestState:
        """The request on its way; `ready` is told `key` whenever it has something to read."""
        # A stream of draws for each request: 2^64 / golden ratio spreads the numbers over all seeds.
        seed = request.params.seed
        seed = (self._seed + number * 0x9E3779B97F4A7C15) % 2**64 if seed is None else seed
        params = request.params.to_native(seed)
        stream = self._engine.submit("", request.token_ids, False, params, request.priority, ready, key)
        return RequestState(request_id, request, stream, self._logprobs_at)

    def _logprobs_at(self, score: _native.TokenScore) -> LogprobsAt:
        entries: LogprobsAt = {}
        for entry in (score.token, *score.top):
            if entry.id not in self._spelling:
                self._spelling[entry.id] = self._tokenizer.decode([entry.id])
            entries.setdefault(entry.id, Logprob(entry.logprob, entry.rank, self._spelling[entry.id]))
        return entries


_OWN_ARGUMENTS = [name for name in LoadedModel.__init__.__annotations__ if name not in ("return", "kwargs")]
ARGUMENTS = (*_OWN_ARGUMENTS, *EXTRA_ARGUMENTS)


def _echo_folder(model: str | os.PathLike[str], call: str) -> Path | None:
    name = str(model)[len(_ECHO) :]
    return find_model_folder(name, call) if name else None


def _step_sizes(max_num_seqs: int | None, max_num_batched_tokens: int | None) -> tuple[int, int]:
    """Both, with one that is not given chosen to fit the other."""
    n_seqs = None if max_num_seqs is None else as_integer("max_num_seqs", max_num_seqs)
    if max_num_batched_tokens is None:
        n_seqs = 64 if n_seqs is None else n_seqs
        return n_seqs, max(512, n_seqs)
    n_tokens = as_integer("max_num_batched_tokens", max_num_batched_tokens)
    if n_tokens < 1:
        raise ValueError(f"max_num_batched_tokens: expected at least 1, found {n_tokens}")
    return min(64, n_tokens) if n_seqs is None else n_seqs, n_tokens


def _engine_options(**values: typing.Any) -> _native.EngineOptions:
    options = _native.EngineOptions()
    named = {"max_context": "max_model_len", "kv_cache_bytes": "kv_cache_memory_bytes"}
    for name, value in values.items():
        try:
            setattr(options, name, value)
        except (TypeError, OverflowError, RuntimeError):
            raise TypeError(f"{named.get(name, name)}: {value!r} is no value of it") from None
    options.check()  # before a model is quantized or read, which may take minutes
    return options


def _open(
    folder: Path | None, recipe: str | None, calibration: str, options: _native.EngineOptions, show_bar: bool
) -> _native.Engine:
    def load(weights: str) -> _native.Engine:
        with _LoadingBar(show_bar) as bar:
            return _native.Engine(weights, options, bar)

    if folder is None or recipe is None:
        return load("" if folder is None else str(folder))
    temporary = TemporaryFolder(Path(tempfile.gettempdir()))
    target = str(temporary.path / "model")
    try:
        with _LoadingBar(show_bar) as bar:
            _native.quantize(
                str(folder), target, recipe=recipe, calibration=calibration, n_threads=options.n_threads, progress=bar
            )
        return load(target)
    finally:
        temporary.remove()


class _LoadingBar:
    """A progress function that draws a bar, for as long as it is entered."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown

    def __enter__(self) -> _LoadingBar:
        shape = "{desc} {percentage:3.0f}%|{bar}|"
        self._bar = tqdm(disable=not self._shown, dynamic_ncols=True, leave=False, bar_format=shape)
        return self

    def __call__(self, what: str, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.set_description_str(what, refresh=False)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *raised: object) -> None:
        self._bar.close()


def read_template(template: str) -> str:
    """The text of a template that is given as a file's name or as itself."""
    if "{" in template or "\n" in template:
        return template
    path = Path(template)
    if not path.is_file():
        raise ValueError(f"chat_template: expected Jinja text or the name of a file; there is no file {template!r}")
    return path.read_text(encoding="utf-8")
