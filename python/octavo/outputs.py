"""What `LLM.generate`, `LLM.chat` and `AsyncLLM.generate` give: vLLM's classes, as far as a text model fills them."""

from __future__ import annotations

import dataclasses

__all__ = ["CompletionOutput", "Logprob", "RequestOutput", "RequestStateStats"]


@dataclasses.dataclass
class Logprob:
    """One token's place in a distribution over the vocabulary."""

    logprob: float  # natural logarithm
    rank: int | None = None  # 1 is the likeliest
    decoded_token: str | None = None


# The chosen token first, then the likeliest in order; a chosen token that is among them stands once.
LogprobsAt = dict[int, Logprob]


@dataclasses.dataclass
class CompletionOutput:
    """One generated sequence.

    Attributes:
        index: Which of the request's n.
        text: Without the prompt.
        token_ids: With the token that ended the output, where one did.
        cumulative_logprob: The sum over token_ids; None unless logprobs were asked for.
        logprobs: One dictionary for each of token_ids.
        finish_reason: "stop", "length", or "abort"; None while unfinished.
        stop_reason: The text that ended the output, or the token: one of the request's, or an end of text other than the
            tokenizer's own; None at that one.
    """

    index: int
    text: str
    token_ids: list[int]
    cumulative_logprob: float | None = None
    logprobs: list[LogprobsAt] | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None

    def finished(self) -> bool:
        """Whether nothing more comes."""
        return self.finish_reason is not None


@dataclasses.dataclass
class RequestStateStats:
    """When a request was at work, in seconds: `arrival_time` of time.time(), the others of time.monotonic(), or 0 where it
    has not come to that. `first_token_latency` counts from when the request was queued."""

    num_generation_tokens: int = 0
    arrival_time: float = 0.0
    queued_ts: float = 0.0
    scheduled_ts: float = 0.0
    first_token_ts: float = 0.0
    last_token_ts: float = 0.0
    first_token_latency: float = 0.0


@dataclasses.dataclass
class RequestOutput:
    """A prompt and what was generated from it.

    Attributes:
        request_id: Counted by the LLM, or as AsyncLLM.generate was called.
        prompt: None where token ids were given.
        prompt_token_ids: As the model got them, special tokens included.
        prompt_logprobs: One entry a prompt token, the first None; None unless asked for.
        outputs: n sequences; while the request is under way, those that have something new.
        finished: Whether nothing more comes.
        num_cached_tokens: Prompt tokens that another request had already computed.
    """

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    prompt_logprobs: list[LogprobsAt | None] | None
    outputs: list[CompletionOutput]
    finished: bool
    metrics: RequestStateStats | None = None
    num_cached_tokens: int = 0
