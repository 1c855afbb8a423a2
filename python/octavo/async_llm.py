"""`AsyncLLM`: a model for programs that run on asyncio, such as servers, with the shape of vLLM's.

The C++ engine runs all requests in its own thread. After a step that made tokens it raises one file descriptor, which the
event loop watches; the tasks whose requests have something wake, read it and detokenize. There is no thread for a request,
and none between engine and loop.
"""

from __future__ import annotations

import asyncio
import os
import typing
from collections.abc import AsyncGenerator, Iterable

from octavo import _native
from octavo.keywords import refuse_unknown
from octavo.loaded_model import ARGUMENTS, LoadedModel, Prompt
from octavo.outputs import RequestOutput
from octavo.request import RequestState
from octavo.sampling_params import SamplingParams, as_integer
from octavo.tokenizer import Tokenizer

__all__ = ["AsyncEngineArgs", "AsyncLLM", "AsyncLLMEngine"]

# Of vLLM's servers; they change no output.
_SERVER_HINTS = ("disable_log_requests", "enable_log_requests")

# vLLM's arguments of generate -> the value that Octavo keeps.
_LATER = {
    "data_parallel_rank": None,
    "lora_request": None,
    "prompt_text": None,
    "reasoning_ended": None,
    "tokenization_kwargs": None,
    "trace_headers": None,
}


class AsyncEngineArgs:
    """The arguments of AsyncLLM as an object, for `AsyncLLM.from_engine_args`; each is an attribute.

    Raises:
        TypeError: A misspelt argument, with the nearest right one.
    """

    def __init__(self, model: str | os.PathLike[str], **arguments: typing.Any) -> None:
        refuse_unknown("AsyncEngineArgs", arguments, [*ARGUMENTS, *_SERVER_HINTS])
        vars(self).update(model=model, **arguments)

    def __repr__(self) -> str:
        return f"AsyncEngineArgs({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class AsyncLLM(LoadedModel):
    __doc__ = LoadedModel.__doc__

    def __init__(self, model: str | os.PathLike[str], **arguments: typing.Any) -> None:
        super().__init__(model, **arguments)
        self._is_running = True
        self._under_way: dict[str, tuple[RequestState, _Readers, int]] = {}
        self._readers: dict[asyncio.AbstractEventLoop, _Readers] = {}

    @classmethod
    def from_engine_args(cls, engine_args: AsyncEngineArgs, **ignored: typing.Any) -> AsyncLLM:
        """Reads the model. vLLM's further arguments (start_engine_loop, usage_context, stat_loggers, …) mean nothing here."""
        given = {name: value for name, value in vars(engine_args).items() if name not in _SERVER_HINTS}
        return cls(**given)

    async def get_tokenizer(self) -> Tokenizer:
        """The model's tokenizer: encode, decode, apply_chat_template."""
        return self._tokenizer

    async def generate(
        self,
        prompt: Prompt,
        sampling_params: SamplingParams,
        request_id: str,
        *,
        priority: int = 0,
        **kwargs: typing.Any,
    ) -> AsyncGenerator[RequestOutput, None]:
        """Continues `prompt`: RequestOutputs as tokens come, the last of them `finished`.

        sampling_params.output_kind says what each holds: all of an output so far (CUMULATIVE), what is new (DELTA), or
        everything, once, at the end (FINAL_ONLY). Of n outputs, one RequestOutput holds those that have something new; a
        reader that is slower than the model gets several tokens at once. Leaving the loop, closing the generator or
        cancelling the task ends the request before the engine's next step.

        Args:
            prompt: A text, a list of token ids, or a dictionary with "prompt" or "prompt_token_ids".
            request_id: For abort(); of no other request under way.
            priority: The smaller runs first.

        Raises:
            ValueError: A prompt that leaves no room in the context, an unknown token, a request_id that is under way.
            MemoryError: Too many requests wait.
            RuntimeError: After shutdown().
        """
        refuse_unknown("AsyncLLM.generate", kwargs, _LATER)
        for name, value in kwargs.items():
            if value != _LATER[name]:
                raise NotImplementedError(f"AsyncLLM.generate: {name} is not built yet; leave it at {_LATER[name]!r}")
        self._check_running()
        if request_id in self._under_way:
            raise ValueError(f"request_id: {request_id!r} is under way")
        request = self._make_request(prompt, sampling_params, "prompt", as_integer("priority", priority))
        loop = asyncio.get_running_loop()
        readers = self._readers.get(loop) or self._readers.setdefault(loop, _Readers(loop))
        key = self._take_numbers(1)
        ready = readers.add(key)
        state = None
        try:
            state = self._submit(request, key, request_id, readers.queue, key)
            self._under_way[request_id] = (state, readers, key)
            while not state.finished:
                await ready.wait()
                ready.clear()
                state.read()
                output = state.output(sampling_params.output_kind)
                if output is not None:
                    yield output
        finally:
            if state is not None:
                state.abort()
                del self._under_way[request_id]
            if readers.remove(key):
                del self._readers[loop]

    async def abort(self, request_id: str | Iterable[str]) -> None:
        """Ends requests: their generators give what came until now, with finish_reason "abort". One that is not under way is
        passed by."""
        for one in [request_id] if isinstance(request_id, str) else list(request_id):
            self._abort(one)

    def _abort(self, request_id: str) -> None:
        if request_id in self._under_way:
            state, _, _ = self._under_way[request_id]
            state.cancel()  # the engine's last word wakes the reader

    @property
    def is_running(self) -> bool:
        """Whether generate() may be called."""
        return self._is_running

    @property
    def is_stopped(self) -> bool:
        """Whether shutdown() was called."""
        return not self._is_running

    @property
    def errored(self) -> bool:
        """Always False: an error ends the request that it concerns, not the engine."""
        return False

    async def check_health(self) -> None:
        """Raises RuntimeError after shutdown()."""
        self._check_running()

    def shutdown(self) -> None:
        """Aborts what is under way and gives the model's memory back once the generators have ended."""
        self._is_running = False
        for request_id in list(self._under_way):
            self._abort(request_id)
        self._engine = typing.cast(_native.Engine, _ShutDown())

    def _check_running(self) -> None:
        if not self._is_running:
            raise RuntimeError("AsyncLLM: shutdown() was called; open the model again")


AsyncLLMEngine = AsyncLLM


class _ShutDown:
    """In the place of an engine that was given back."""

    def __getattr__(self, name: str) -> typing.NoReturn:
        raise RuntimeError("AsyncLLM: shutdown() was called; open the model again")


class _Readers:
    """The requests that tasks of one event loop wait for, each with an event that says it has something to read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.queue = _native.ReadyQueue()
        self._loop = loop
        self._events: dict[int, asyncio.Event] = {}

    def add(self, key: int) -> asyncio.Event:
        if not self._events:
            self._loop.add_reader(self.queue.fileno(), self._wake_those_told)
        self._events[key] = asyncio.Event()
        return self._events[key]

    def remove(self, key: int) -> bool:
        """Whether it was the last."""
        del self._events[key]
        if not self._events:
            self._loop.remove_reader(self.queue.fileno())
        return not self._events

    def wake(self, key: int) -> None:
        """May be called by another thread."""
        event = self._events.get(key)
        if event is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(event.set)

    def _wake_those_told(self) -> None:
        for key in self.queue.take():
            event = self._events.get(key)  # None: told once more after its end
            if event is not None:
                event.set()
