"""`LLM`: a model folder in memory, and text out of it, with vLLM's names.

All prompts of a call run at once in the C++ engine (octavo/loaded_model.py); the call waits for them without the GIL.
"""

from __future__ import annotations

import contextlib
import json
import numbers
import time
import typing
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

from tqdm.auto import tqdm  # type: ignore[import-untyped]

from octavo import _native
from octavo.beam_search import BeamSearchOutput, one_token_params, search
from octavo.keywords import refuse_unknown
from octavo.loaded_model import LoadedModel, Prompt, read_template
from octavo.outputs import RequestOutput
from octavo.request import Request, RequestState
from octavo.sampling_params import BeamSearchParams, RequestOutputKind, SamplingParams, as_integer
from octavo.tokenizer import Tokenizer

__all__ = ["LLM"]

Message = Mapping[str, typing.Any]


class LLM(LoadedModel):
    __doc__ = LoadedModel.__doc__

    def get_tokenizer(self) -> Tokenizer:
        """The model's tokenizer: encode, decode, apply_chat_template."""
        return self._tokenizer

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool | Callable[..., tqdm] = True,
        priority: Sequence[int] | None = None,
        **kwargs: typing.Any,
    ) -> list[RequestOutput]:
        """Continues each prompt; the outputs stand in the order of the prompts.

        Args:
            prompts: A text, a list of token ids, a dictionary with "prompt" or "prompt_token_ids", or a list of these.
            sampling_params: For all prompts, or one for each; None is get_default_sampling_params().
            use_tqdm: A progress bar, or what makes one as tqdm does; it counts the prompts that are done.
            priority: One number for each prompt; the smaller runs first.

        Raises:
            ValueError: A prompt that leaves no room in the context, an unknown token, a number of sampling_params or
                priorities that is not that of the prompts. Nothing has been generated then.
            KeyboardInterrupt: Ctrl-C; nothing goes on running.
        """
        _check_call("LLM.generate", kwargs)
        listed = _list_prompts(prompts)
        all_params = self._params_for(sampling_params, len(listed))
        priorities = _priorities_for(priority, len(listed))
        requests = []
        for i, (prompt, params, first) in enumerate(zip(listed, all_params, priorities, strict=True)):
            requests.append(self._make_request(prompt, params, f"prompts[{i}]", first))
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
        priority: Sequence[int] | None = None,
        **kwargs: typing.Any,
    ) -> list[RequestOutput]:
        """Answers one conversation, or each of several.

        Args:
            messages: Dictionaries with "role" and "content"; a list of such lists is several conversations.
            chat_template: A file or Jinja text, instead of that of LLM(chat_template=…), or else the model's.
            add_generation_prompt: End the prompt where the answer begins.
            tools: What the model may call, as its template takes it.
            chat_template_kwargs: More variables of the template, such as {"enable_thinking": False}.
            priority: One number for each conversation; the smaller runs first.

        Raises:
            ValueError: The template refuses the messages.
            FileNotFoundError: The model has no chat template.
        """
        _check_call("LLM.chat", kwargs)
        if continue_final_message:
            raise NotImplementedError("LLM.chat: continue_final_message is not built yet; leave it at False")
        template = self._chat_template if chat_template is None else read_template(chat_template)
        single = len(messages) > 0 and isinstance(messages[0], Mapping)
        conversations = typing.cast("list[Sequence[Message]]", [messages] if single else list(messages))
        requests = []
        all_params = self._params_for(sampling_params, len(conversations))
        priorities = _priorities_for(priority, len(conversations))
        for conversation, params, first in zip(conversations, all_params, priorities, strict=True):
            variables: dict[str, typing.Any] = {"add_generation_prompt": add_generation_prompt}
            variables.update(chat_template_kwargs or {})
            variables["messages"] = [_with_plain_content(message) for message in conversation]
            if tools is not None:
                variables["tools"] = list(tools)
            text, add_special_tokens = self._engine.chat_prompt(json.dumps(variables, ensure_ascii=False), template)
            ids = self._engine.tokenize(text, add_special_tokens)
            requests.append(Request(text, ids, self._checked(params), first))
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

    def beam_search(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: BeamSearchParams,
        *,
        use_tqdm: bool = False,
        **kwargs: typing.Any,
    ) -> list[BeamSearchOutput]:
        """The likeliest continuations of each prompt that a beam search finds, the best first.

        Raises:
            ValueError: As generate().
        """
        refuse_unknown("LLM.beam_search", kwargs, _BEAM_SEARCH_LATER)
        for name, value in kwargs.items():
            if value is not None:
                raise NotImplementedError(f"LLM.beam_search: {name} is not built yet; leave it at None")
        listed = _list_prompts(prompts)
        one_token = one_token_params(params, self.info["n_vocab"])
        requests = []
        for i, prompt in enumerate(listed):
            requests.append(self._make_request(prompt, SamplingParams(), f"prompts[{i}]")._replace(params=one_token))

        self._check(requests)

        def run(some: Sequence[Request]) -> list[RequestOutput]:
            return self._run(some, use_tqdm=False)

        return search(run, self._tokenizer, requests, params, self.info["max_context"], use_tqdm)

    def _check(self, requests: Sequence[Request]) -> None:
        # Every request is accepted before the first is run: a bad one must not cost the work of those before it.
        for i, request in enumerate(requests):
            try:
                self._engine.check(request.token_ids, request.params.to_native(seed=0))
            except _native.OctavoError as error:
                raise type(error)(f"prompts[{i}]: {error}") from None

    def _run(self, requests: Sequence[Request], use_tqdm: bool | Callable[..., tqdm]) -> list[RequestOutput]:
        self._check(requests)
        outputs: list[RequestOutput | None] = [None] * len(requests)
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
            with contextlib.closing(self._finished(requests)) as finished:
                for i, output in finished:
                    outputs[i] = output
                    n_tokens += sum(len(completion.token_ids) for completion in output.outputs)
                    speed = n_tokens / max(time.monotonic() - started, 1e-9)
                    bar.set_postfix_str(f"output: {speed:.1f} tok/s", refresh=False)
                    bar.update()
        return typing.cast("list[RequestOutput]", outputs)

    def _finished(self, requests: Sequence[Request]) -> Generator[tuple[int, RequestOutput], None, None]:
        """Runs `requests`, and gives the place and output of each as it ends. No more are under way than the engine needs to
        be busy: what waits costs memory, there and here."""
        first_number = self._take_numbers(len(requests))
        # Equals keep their order.
        waiting = deque(sorted(range(len(requests)), key=lambda i: requests[i].priority))
        ready = _native.ReadyQueue()
        under_way: dict[int, RequestState] = {}
        n_outputs = 0
        try:
            while waiting or under_way:
                while waiting and n_outputs < 2 * self._max_num_seqs:
                    i = waiting.popleft()
                    number = first_number + i
                    under_way[i] = self._submit(requests[i], number, str(number), ready, i)
                    n_outputs += requests[i].params.n
                for i in ready.wait():
                    state = under_way.get(i)
                    if state is None:
                        continue  # told once more after its end
                    state.read()
                    output = state.output(RequestOutputKind.FINAL_ONLY)
                    if output is not None:
                        n_outputs -= requests[i].params.n
                        del under_way[i]
                        yield i, output
        finally:
            for state in under_way.values():
                state.abort()


_BEAM_SEARCH_LATER = ("lora_request", "concurrency_limit")


def _priorities_for(given: Sequence[int] | None, n_prompts: int) -> list[int]:
    if given is None:
        return [0] * n_prompts
    priorities = [as_integer("priority", one) for one in given]
    if len(priorities) != n_prompts:
        raise ValueError(f"priority: expected {n_prompts}, as many as prompts, found {len(priorities)}")
    return priorities


def _check_call(call: str, given: Mapping[str, typing.Any]) -> None:
    """Refuses misspelt keywords, and those of vLLM's methods that Octavo does not have unless at their default."""
    later = {
        "lora_request": None,
        "tokenization_kwargs": None,
        "chat_template_content_format": "auto",
        "mm_processor_kwargs": None,
    }
    refuse_unknown(call, given, later)
    for name, value in given.items():
        if value != later[name]:
            raise NotImplementedError(f"{call}: {name} is not built yet; leave it at {later[name]!r}")


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
