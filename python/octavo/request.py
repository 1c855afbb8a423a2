"""One request: what was asked for, and what of its answer was read. Used by `octavo.LLM` and `octavo.AsyncLLM`."""

from __future__ import annotations

import dataclasses
import time
import typing
from collections.abc import Callable

from octavo import _native
from octavo.outputs import CompletionOutput, LogprobsAt, RequestOutput, RequestStateStats
from octavo.sampling_params import RequestOutputKind, SamplingParams

__all__ = ["Request", "RequestState"]


class Request(typing.NamedTuple):
    """A prompt as token ids, with its text where that was given; a smaller priority runs first."""

    prompt: str | None
    token_ids: list[int]
    params: SamplingParams
    priority: int = 0


class RequestState:
    """A request under way. `read` never waits; `output` tells what was read."""

    def __init__(
        self,
        request_id: str,
        request: Request,
        stream: _native.Stream,
        logprobs_at: Callable[[_native.TokenScore], LogprobsAt],
    ) -> None:
        params = request.params
        self.request = request
        self._request_id = request_id
        self._stream = stream
        self._logprobs_at = logprobs_at
        self._arrival_time = time.time()
        self._prompt_logprobs: list[LogprobsAt | None] | None = None if params.prompt_logprobs is None else [None]
        self._outputs = [CompletionOutput(i, "", []) for i in range(params.n)]
        if params.logprobs is not None:
            for output in self._outputs:
                output.logprobs, output.cumulative_logprob = [], 0.0
        # What the last output() told: the outputs with something new since, and how much of each was told.
        self._new: set[int] = set()
        self._told = [(0, 0)] * params.n  # characters, tokens
        self._n_told = 0

    @property
    def finished(self) -> bool:
        """Whether every output has ended."""
        return all(output.finished() for output in self._outputs)

    def read(self) -> None:
        """Takes in what the stream has.

        Raises:
            OctavoError: The engine could not go on.
        """
        if self.finished:
            return
        for delta in self._stream.take():
            output = self._outputs[delta.index]
            self._new.add(delta.index)
            if self._prompt_logprobs is not None:
                self._prompt_logprobs += map(self._logprobs_at, delta.prompt_logprobs)
            output.text += delta.text
            output.token_ids += delta.token_ids
            if output.logprobs is not None and output.cumulative_logprob is not None:
                scores = delta.logprobs
                output.logprobs += map(self._logprobs_at, scores)
                output.cumulative_logprob += sum(score.token.logprob for score in scores)
            output.finish_reason = delta.finish_reason
            output.stop_reason = delta.stop_token if delta.stop_text is None else delta.stop_text
        if self._stream.finished:
            self.abort()  # those that the engine's end cut off

    def cancel(self) -> None:
        """Asks the engine to end what has not ended; read() gives what came until then."""
        self._stream.cancel()

    def abort(self) -> None:
        """Ends what has not ended: the engine drops it before its next step."""
        self._stream.cancel()
        for output in self._outputs:
            if not output.finished():
                output.finish_reason = "abort"
                self._new.add(output.index)

    def output(self, kind: RequestOutputKind) -> RequestOutput | None:
        """What was read: of FINAL_ONLY all of it once it is finished, of CUMULATIVE all of the outputs that have something
        new since the last call, of DELTA what is new. None where there is nothing to tell."""
        if not self._new or (kind is RequestOutputKind.FINAL_ONLY and not self.finished):
            return None
        if kind is RequestOutputKind.FINAL_ONLY:
            outputs = self._outputs
        else:
            outputs = [self._tell(self._outputs[i], kind) for i in sorted(self._new)]
        prompt_logprobs = self._prompt_logprobs
        if kind is RequestOutputKind.DELTA and self._n_told > 0:
            prompt_logprobs = None
        self._new.clear()
        self._n_told += 1
        return RequestOutput(
            request_id=self._request_id,
            prompt=self.request.prompt,
            prompt_token_ids=self.request.token_ids,
            prompt_logprobs=prompt_logprobs,
            outputs=outputs,
            finished=self.finished,
            metrics=self._metrics(),
            num_cached_tokens=self._stream.stats.n_cached_tokens,
        )

    def _tell(self, output: CompletionOutput, kind: RequestOutputKind) -> CompletionOutput:
        n_characters, n_tokens = self._told[output.index] if kind is RequestOutputKind.DELTA else (0, 0)
        self._told[output.index] = (len(output.text), len(output.token_ids))
        return dataclasses.replace(
            output,
            text=output.text[n_characters:],
            token_ids=output.token_ids[n_tokens:],
            logprobs=None if output.logprobs is None else output.logprobs[n_tokens:],
        )

    def _metrics(self) -> RequestStateStats:
        stats = self._stream.stats
        return RequestStateStats(
            num_generation_tokens=sum(len(output.token_ids) for output in self._outputs),
            arrival_time=self._arrival_time,
            queued_ts=stats.arrived,
            scheduled_ts=stats.scheduled,
            first_token_ts=stats.first_token,
            last_token_ts=stats.last_token,
            first_token_latency=max(0.0, stats.first_token - stats.arrived),
        )
