"""`LLM`: a model folder in memory, and text out of it, with vLLM's names.

Requests run one after another through the C++ engine's streams (`Engine::submit`, `Stream::next`), which run without
the GIL. The tokens of a request do not depend on the others (docs/NUMERICS.md).
"""

from __future__ import annotations

import itertools
import json
import numbers
import os
import tempfile
import time
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy
import numpy.typing
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from octavo import _native
from octavo.keywords import refuse_unknown
from octavo.llm_arguments import EXTRA_ARGUMENTS, check_arguments, choose_quantization
from octavo.model_folder import TemporaryFolder, find_model_folder
from octavo.outputs import CompletionOutput, Logprob, LogprobsAt, RequestOutput, RequestStateStats
from octavo.sampling_params import SamplingParams, checked_seed
from octavo.tokenizer import Tokenizer, token_list

__all__ = ["LLM"]

# A text; token ids; or a dictionary with "prompt" or "prompt_token_ids".
Prompt = str | Sequence[int] | Mapping[str, typing.Any]
Message = Mapping[str, typing.Any]

_GENERATION_KEYS = {  # generation_config.json's -> SamplingParams'
    "repetition_penalty": "repetition_penalty",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "max_new_tokens": "max_tokens",
}


class _Request(typing.NamedTuple):
    prompt: str | None
    token_ids: list[int]
    params: SamplingParams


class LLM:
    """A model, ready to generate.

    Args:
        model: A model folder: Hugging Face layout, float or quantized.
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
        max_logprobs: The most that a request's logprobs may ask for; -1 is the whole vocabulary.
        n_threads: 0 is every core.
        generation_config: "auto" takes the defaults of `get_default_sampling_params` from the folder's
            generation_config.json, "vllm" takes vLLM's neutral ones.
        override_generation_config: Values over these.
        use_tqdm_on_load: A bar while layers are read.
        **kwargs: vLLM's other arguments. Hints that change no token here (gpu_memory_utilization, enforce_eager,
            trust_remote_code, …) are accepted; what Octavo does not have (tensor_parallel_size=2, …) is refused by
            name.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: An unknown quantization, one that is not the folder's, a value out of range.
        NotImplementedError: An argument that is not built yet, away from its default; a model that Octavo does not run.
        TypeError: A misspelt argument, with the nearest right one.
        MemoryError: The model does not fit.
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
        max_logprobs: int = 20,
        n_threads: int = 0,
        generation_config: str = "auto",
        override_generation_config: Mapping[str, typing.Any] | None = None,
        use_tqdm_on_load: bool = True,
        **kwargs: typing.Any,
    ) -> None:
        refuse_unknown("LLM", kwargs, [*_OWN_ARGUMENTS, *EXTRA_ARGUMENTS])
        folder = find_model_folder(model, "LLM")
        check_arguments({**kwargs, "dtype": dtype, "generation_config": generation_config}, folder)
        refuse_unknown("override_generation_config", override_generation_config or {}, _GENERATION_KEYS)
        self._seed = 0 if seed is None else checked_seed(seed)  # before the model is read, which may take minutes
        recipe = choose_quantization(quantization, folder)
        tokenizer = folder if tokenizer is None else tokenizer

        def load(weights: str) -> _native.Engine:
            with _LoadingBar(use_tqdm_on_load) as bar:
                return _native.Engine(weights, n_threads, max_model_len, os.fspath(tokenizer), bar)

        if recipe is not None:
            temporary = TemporaryFolder(Path(tempfile.gettempdir()))
            target = str(temporary.path / "model")
            try:
                with _LoadingBar(use_tqdm_on_load) as bar:
                    _native.quantize(
                        str(folder), target, recipe=recipe, calibration=calibration, n_threads=n_threads, progress=bar
                    )
                self._engine = load(target)
            finally:
                temporary.remove()
        elif calibration:
            raise ValueError("calibration: expected together with a recipe's name as quantization")
        else:
            self._engine = load(str(folder))
        self._tokenizer = Tokenizer(tokenizer)
        self._chat_template = "" if chat_template is None else _read_template(chat_template)
        self._n_requests = 0
        self._max_logprobs = max_logprobs
        self._spelling: dict[int, str] = {}
        self._defaults = self._read_defaults(generation_config, override_generation_config or {})

    # -- what the model is --

    def get_tokenizer(self) -> Tokenizer:
        """The model's tokenizer: encode, decode, apply_chat_template."""
        return self._tokenizer

    def get_default_sampling_params(self) -> SamplingParams:
        """What generate() takes where no SamplingParams are given: the model's generation_config.json over the
        defaults of SamplingParams. A new object each time."""
        return SamplingParams(**self._defaults)

    @property
    def info(self) -> dict[str, typing.Any]:
        """architecture, quantization ("none", "compressed-tensors w8a8", …), n_layers, n_vocab, max_context (tokens),
        weight_bytes, isa, n_threads, fingerprint (changes when the model or the arithmetic does)."""
        return self._engine.info

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

    # -- generating --

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool | Callable[..., tqdm] = True,
        **kwargs: typing.Any,
    ) -> list[RequestOutput]:
        """Continues each prompt; the outputs stand in the order of the prompts.

        Args:
            prompts: A text, a list of token ids, a dictionary with "prompt" or "prompt_token_ids", or a list of these.
            sampling_params: For all prompts, or one for each; None is get_default_sampling_params().
            use_tqdm: A progress bar, or what makes one as tqdm does.

        Raises:
            ValueError: A prompt that leaves no room in the context, an unknown token, a number of sampling_params that
                is not that of the prompts. Nothing has been generated then.
        """
        _check_call("LLM.generate", kwargs)
        listed = _list_prompts(prompts)
        requests = []
        for i, (prompt, params) in enumerate(zip(listed, self._params_for(sampling_params, len(listed)), strict=True)):
            requests.append(self._make_request(prompt, params, f"prompts[{i}]"))
        return self._run(requests, use_tqdm)

    def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        use_tqdm: bool | Callable[..., tqdm] = True,
        *,
        chat_template: str | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, typing.Any]] | None = None,
        chat_template_kwargs: Mapping[str, typing.Any] | None = None,
        **kwargs: typing.Any,
    ) -> list[RequestOutput]:
        """Answers one conversation, or each of several.

        Args:
            messages: Dictionaries with "role" and "content"; a list of such lists is several conversations.
            chat_template: A file or Jinja text, instead of that of LLM(chat_template=…), or else the model's.
            add_generation_prompt: End the prompt where the answer begins.
            tools: What the model may call, as its template takes it.
            chat_template_kwargs: More variables of the template, such as {"enable_thinking": False}.

        Raises:
            ValueError: The template refuses the messages.
            FileNotFoundError: The model has no chat template.
        """
        _check_call("LLM.chat", kwargs)
        if continue_final_message:
            raise NotImplementedError("LLM.chat: continue_final_message is not built yet; leave it at False")
        template = self._chat_template if chat_template is None else _read_template(chat_template)
        single = len(messages) > 0 and isinstance(messages[0], Mapping)
        conversations = typing.cast("list[Sequence[Message]]", [messages] if single else list(messages))
        requests = []
        all_params = self._params_for(sampling_params, len(conversations))
        for conversation, params in zip(conversations, all_params, strict=True):
            variables: dict[str, typing.Any] = {"add_generation_prompt": add_generation_prompt}
            variables.update(chat_template_kwargs or {})
            variables["messages"] = [_with_plain_content(message) for message in conversation]
            if tools is not None:
                variables["tools"] = list(tools)
            text, add_special_tokens = self._engine.chat_prompt(json.dumps(variables, ensure_ascii=False), template)
            requests.append(_Request(text, self._engine.tokenize(text, add_special_tokens), self._checked(params)))
        return self._run(requests, use_tqdm)

    def _params_for(
        self, given: SamplingParams | Sequence[SamplingParams] | None, n_prompts: int
    ) -> Sequence[SamplingParams]:
        if given is None:
            given = self.get_default_sampling_params()
        if isinstance(given, SamplingParams):
            return [given] * n_prompts
        if len(given) != n_prompts:
            raise ValueError(f"sampling_params: expected one or {n_prompts}, as many as prompts, found {len(given)}")
        return given

    def _checked(self, params: SamplingParams) -> SamplingParams:
        if not isinstance(params, SamplingParams):
            raise TypeError(f"sampling_params: expected SamplingParams, found {type(params).__name__}")
        params.check()
        most = self._max_logprobs
        for name in ("logprobs", "prompt_logprobs"):
            wanted = getattr(params, name)
            if wanted is not None and most != -1 and (wanted > most or wanted == -1):
                raise ValueError(f"{name}: {wanted} is more than the {most} that LLM(max_logprobs=…) allows")
        return params

    def _make_request(self, prompt: Prompt, params: SamplingParams, name: str) -> _Request:
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
        return _Request(text, token_ids, params)

    def _run(self, requests: Sequence[_Request], use_tqdm: bool | Callable[..., tqdm]) -> list[RequestOutput]:
        # Every request is accepted before the first is run: a bad one must not cost the work of those before it.
        for i, request in enumerate(requests):
            try:
                self._submit(request, seed=0)
            except _native.OctavoError as error:
                raise type(error)(f"prompts[{i}]: {error}") from None
        outputs = []
        make_bar = use_tqdm if callable(use_tqdm) else tqdm
        with make_bar(
            total=len(requests),
            desc="Processed prompts",
            unit="prompt",
            dynamic_ncols=True,
            disable=not use_tqdm,
        ) as bar:
            n_tokens = 0
            started = time.monotonic()
            for request in requests:
                outputs.append(self._generate(request))
                n_tokens += sum(len(output.token_ids) for output in outputs[-1].outputs)
                speed = n_tokens / max(time.monotonic() - started, 1e-9)
                bar.set_postfix_str(f"output: {speed:.1f} tok/s", refresh=False)
                bar.update()
        return outputs

    def _submit(self, request: _Request, seed: int) -> _native.Stream:
        return self._engine.submit("", request.token_ids, False, request.params.to_native(seed))

    def _generate(self, request: _Request) -> RequestOutput:
        number, params = self._n_requests, request.params
        self._n_requests += 1
        # A request of its own stream of draws: 2^64 / golden ratio spreads the numbers over all seeds.
        seed = params.seed if params.seed is not None else self._seed + number * 0x9E3779B97F4A7C15
        now = time.monotonic()
        stats = RequestStateStats(arrival_time=time.time(), queued_ts=now, scheduled_ts=now)
        prompt_logprobs = self._score_prompt(request) if params.prompt_logprobs is not None else None
        completions = [self._complete(request, i, (seed + i) % 2**64, stats) for i in range(params.n)]
        stats.first_token_latency = stats.first_token_ts - stats.queued_ts
        return RequestOutput(
            request_id=str(number),
            prompt=request.prompt,
            prompt_token_ids=request.token_ids,
            prompt_logprobs=prompt_logprobs,
            outputs=completions,
            finished=True,
            metrics=stats,
        )

    def _complete(self, request: _Request, index: int, seed: int, stats: RequestStateStats) -> CompletionOutput:
        stream = self._submit(request, seed)
        output = CompletionOutput(index, "", [])
        texts: list[str] = []
        scores: list[_native.TokenScore] = []
        while (delta := stream.next()) is not None:
            texts.append(delta.text)
            output.token_ids += delta.token_ids
            scores += delta.logprobs
            if delta.token_ids:
                stats.last_token_ts = time.monotonic()
                stats.first_token_ts = stats.first_token_ts or stats.last_token_ts
            output.finish_reason = delta.finish_reason
            output.stop_reason = delta.stop_token if delta.stop_text is None else delta.stop_text
        output.text = "".join(texts)
        if request.params.logprobs is not None:
            output.logprobs = [self._logprobs_at(score.token, score.top) for score in scores]
            output.cumulative_logprob = sum(score.token.logprob for score in scores)
        stats.num_generation_tokens += len(output.token_ids)
        return output

    def _score_prompt(self, request: _Request) -> list[LogprobsAt | None]:
        wanted = request.params.prompt_logprobs or 0
        scores = self._engine.score(request.token_ids, self.info["n_vocab"] if wanted == -1 else wanted)
        entries: list[LogprobsAt | None] = [None]
        for before, here in itertools.pairwise(scores):
            assert here.token is not None  # only the first position has none
            entries.append(self._logprobs_at(here.token, before.top))
        return entries

    def _logprobs_at(self, chosen: _native.TokenLogprob, top: Sequence[_native.TokenLogprob]) -> LogprobsAt:
        entries = {chosen.id: self._logprob(chosen.id, chosen.logprob, chosen.rank)}
        for entry in top:
            entries.setdefault(entry.id, self._logprob(entry.id, entry.logprob, entry.rank))
        return entries

    def _logprob(self, token: int, logprob: float, rank: int) -> Logprob:
        if token not in self._spelling:
            self._spelling[token] = self._tokenizer.decode([token])
        return Logprob(logprob, rank, self._spelling[token])


_OWN_ARGUMENTS = [name for name in LLM.__init__.__annotations__ if name not in ("return", "kwargs")]


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


def _check_call(call: str, given: Mapping[str, typing.Any]) -> None:
    """Refuses misspelt keywords, and those of vLLM's methods that Octavo does not have unless at their default."""
    later = {
        "lora_request": None,
        "priority": None,
        "tokenization_kwargs": None,
        "chat_template_content_format": "auto",
        "mm_processor_kwargs": None,
    }
    refuse_unknown(call, given, later)
    for name, value in given.items():
        if value != later[name]:
            raise NotImplementedError(f"{call}: {name} is not built yet; leave it at {later[name]!r}")


def _read_template(template: str) -> str:
    """The text of a template that is given as a file's name or as itself."""
    if "{" in template or "\n" in template:
        return template
    path = Path(template)
    if not path.is_file():
        raise ValueError(f"chat_template: expected Jinja text or the name of a file; there is no file {template!r}")
    return path.read_text(encoding="utf-8")


def _with_plain_content(message: Message) -> Message:
    """A message whose content is a list of text parts, as OpenAI's clients send it, has the parts as lines of a text."""
    content = message.get("content")
    if isinstance(content, (list, tuple)) and all(isinstance(part, Mapping) and "text" in part for part in content):
        return {**message, "content": "\n".join(str(part["text"]) for part in content)}
    return message


def _list_prompts(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    """One prompt is a list of one."""
    if isinstance(prompts, (str, Mapping)):
        return [prompts]
    if isinstance(prompts, (bytes, bytearray)) or not isinstance(prompts, Iterable):
        raise TypeError("prompts: expected a text, a list of token ids, a dictionary with \"prompt\" or "
                        f"\"prompt_token_ids\", or a list of these, found {prompts!r}")
    listed = list(prompts)
    if listed and all(isinstance(item, numbers.Integral) for item in listed):
        return [typing.cast("list[int]", listed)]
    return typing.cast("list[Prompt]", listed)
