"""`SamplingParams`: how one request is sampled, with vLLM's names, order, defaults and meaning.

Ranges are checked in C++ (`check_sampling_params`), once for every surface. What Octavo does not have yet is refused by
name when it is set to anything but its default; nothing is silently ignored that would change the output.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import numbers
import operator
import typing
from collections.abc import Mapping, Sequence

from octavo import _native
from octavo.keywords import suggests_fields

__all__ = ["BeamSearchParams", "RequestOutputKind", "SamplingParams", "as_integer", "checked_seed"]

_GREEDY_BELOW = 1e-5

# Set away from these defaults they ask for something that is not built yet.
_NOT_BUILT = {
    "logprob_token_ids": None,
    "flat_logprobs": False,
    "spaces_between_special_tokens": True,
    "structured_outputs": None,
    "extra_args": None,
    "thinking_token_budget": None,
    "repetition_detection": None,
    "routed_experts_prompt_start": 0,
    "logits_processors": None,
    "guided_decoding": None,
    "truncate_prompt_tokens": None,
}

# Passed to C++ as they are.
_PLAIN = (
    "n",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "max_tokens",
    "min_tokens",
    "stop",
    "stop_token_ids",
    "include_stop_str_in_output",
    "ignore_eos",
    "skip_special_tokens",
    "detokenize",
    "logprobs",
    "prompt_logprobs",
    "bad_words",
)


class RequestOutputKind(enum.Enum):
    """What each RequestOutput of `AsyncLLM.generate` holds; `LLM.generate` returns whole outputs whatever is asked for."""

    CUMULATIVE = 0  # all so far
    DELTA = 1  # what is new
    FINAL_ONLY = 2  # all, once, at the end


def _as_list(name: str, value: typing.Any, one: type) -> list[typing.Any]:
    """None is nothing, a single `one` a list of itself."""
    if value is None:
        return []
    try:
        return [value] if isinstance(value, one) else list(value)
    except TypeError:
        raise TypeError(f"{name}: expected {one.__name__} or a list of them, found {value!r}") from None


def as_integer(name: str, value: typing.Any) -> int:
    """Numpy's integers, too; no float, not even a whole one."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, found {value!r}") from None


def checked_seed(seed: typing.Any) -> int:
    """`seed` as an int in the range that random numbers start from."""
    value = as_integer("seed", seed)
    if not 0 <= value < 2**64:
        raise ValueError(f"seed: expected 0 to {2**64 - 1}, found {value}")
    return value


def _as_token_ids(name: str, value: typing.Any) -> list[int]:
    """As `_as_list`; what is no token id of any model is named with its place."""
    ids = [as_integer(f"{name}[{i}]", token) for i, token in enumerate(_as_list(name, value, int))]
    for i, token in enumerate(ids):
        if not 0 <= token < 2**31:
            raise ValueError(f"{name}[{i}]: expected a token id, found {token}")
    return ids


def _as_bias(given: typing.Any) -> dict[int, float]:
    """`logit_bias` with its numbers cut to what vLLM allows."""
    if not isinstance(given, Mapping):
        raise TypeError(f"logit_bias: expected a dictionary from token id to number, found {given!r}")
    for bias in given.values():
        if not isinstance(bias, numbers.Real):
            raise TypeError(f"logit_bias: expected numbers, found {bias!r}")
        if math.isnan(bias):
            raise ValueError(f"logit_bias: expected numbers, found {bias!r}")
    most = float(_native.MAX_LOGIT_BIAS)
    return {as_integer("logit_bias", token): min(most, max(-most, float(bias))) for token, bias in given.items()}


@suggests_fields
@dataclasses.dataclass(repr=False)
class SamplingParams:
    """How the tokens of one request are chosen.

    Args:
        n: How many sequences of the same prompt; with a seed, the i-th has seed + i. At least 1; 1 when greedy.
        presence_penalty: Subtracted from the logit of a token that the output has already; [-2, 2].
        frequency_penalty: The same, once for each time it is there; [-2, 2].
        repetition_penalty: Logits of tokens in prompt or output are divided by it when positive, multiplied when
            negative; above 0.
        temperature: Logits are divided by it; 0 (below 1e-5) is greedy, and then top_p, top_k and min_p mean nothing.
        top_p: Keep the likeliest tokens whose probabilities reach this sum; (0, 1].
        top_k: Keep this many; 0 or -1 is all.
        min_p: Keep what has at least this share of the likeliest token's probability; [0, 1].
        seed: The same seed gives the same tokens, on every machine. None: drawn from the LLM's own seed.
        stop: Text or texts that end the output and are not part of it.
        stop_token_ids: Tokens that end the output; the token is in token_ids, its text is not in text.
        ignore_eos: Go on after the model's end-of-text token.
        max_tokens: At most so many; 16 by default, None is the model's own limit or the end of its context.
        min_tokens: Neither end-of-text nor stop comes before.
        logprobs: Report the log-probabilities of so many likeliest tokens and of the chosen one, for each token; -1 is
            the whole vocabulary. They are the model's own, before penalties and temperature.
        prompt_logprobs: The same for the prompt's tokens; then no prefix of it is taken from the cache.
        detokenize: False leaves text empty.
        skip_special_tokens: In text.
        include_stop_str_in_output: The text that stopped the output stays its end.
        logit_bias: Token id -> number that is added to its logit, cut to [-100, 100].
        allowed_token_ids: No other token comes.
        bad_words: Words whose tokens, at a text's beginning and after a space, do not come.
        output_kind: What each RequestOutput of AsyncLLM.generate holds.
        stream_interval, skip_clone, skip_reading_prefix_cache: Accepted; they change no output.

    Raises:
        ValueError: A value out of range, by name.
        TypeError: A misspelt keyword (with the nearest right one), a value of the wrong type.
        NotImplementedError: A parameter that Octavo does not have yet, by name.
    """

    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | Sequence[str] | None = None
    stop_token_ids: Sequence[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    logprob_token_ids: Sequence[int] | None = None
    flat_logprobs: bool = False
    detokenize: bool = True
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    include_stop_str_in_output: bool = False
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE
    stream_interval: int | None = None
    skip_clone: bool = False
    structured_outputs: typing.Any = None
    logit_bias: dict[int, float] | None = None
    allowed_token_ids: Sequence[int] | None = None
    extra_args: dict[str, typing.Any] | None = None
    bad_words: Sequence[str] | None = None
    skip_reading_prefix_cache: bool | None = None
    thinking_token_budget: int | None = None
    repetition_detection: typing.Any = None
    routed_experts_prompt_start: int = 0
    # Of earlier versions of vLLM.
    logits_processors: typing.Any = None
    guided_decoding: typing.Any = None
    truncate_prompt_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, default in _NOT_BUILT.items():
            if getattr(self, name) != default:
                raise NotImplementedError(f"SamplingParams: {name} is not built yet; leave it at {default!r}")
        self.stop = _as_list("stop", self.stop, str)
        self.stop_token_ids = _as_token_ids("stop_token_ids", self.stop_token_ids)
        self.bad_words = _as_list("bad_words", self.bad_words, str)
        if self.allowed_token_ids is not None:
            self.allowed_token_ids = _as_token_ids("allowed_token_ids", self.allowed_token_ids)
        self.seed = None if self.seed == -1 else self.seed
        # True is vLLM's old spelling of 1.
        self.logprobs = 1 if self.logprobs is True else self.logprobs
        self.prompt_logprobs = 1 if self.prompt_logprobs is True else self.prompt_logprobs
        if self.logit_bias is not None:
            self.logit_bias = _as_bias(self.logit_bias)
        for name in ("n", "prompt_logprobs", "seed"):
            if name == "n" or getattr(self, name) is not None:
                setattr(self, name, as_integer(name, getattr(self, name)))
        self.check()

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature < _GREEDY_BELOW

    def check(self) -> None:
        """Raises what the constructor raises; for an object whose attributes were changed afterwards."""
        if self.seed is not None:
            checked_seed(self.seed)
        self.to_native(self.seed)
        if not isinstance(self.output_kind, RequestOutputKind):
            raise TypeError(f"output_kind: expected a RequestOutputKind, found {self.output_kind!r}")
        if self.n > 1 and self.is_greedy:
            raise ValueError(f"n: expected 1 with greedy sampling (temperature 0), found {self.n}; all would be the same")
        if self.allowed_token_ids is not None and len(self.allowed_token_ids) == 0:
            raise ValueError("allowed_token_ids: expected at least one token, found none; None allows all")

    def to_native(self, seed: int | None) -> _native.SamplingParams:
        """The C++ core's form, checked; `seed` stands for self.seed."""
        params = _native.SamplingParams()
        values = {name: getattr(self, name) for name in _PLAIN}
        values["seed"] = seed
        values["logit_bias"] = list((self.logit_bias or {}).items())
        values["allowed_token_ids"] = list(self.allowed_token_ids or [])
        for name, value in values.items():
            if value is None and name not in ("seed", "max_tokens", "logprobs", "prompt_logprobs"):
                raise TypeError(f"{name}: None is no value of it; leave it out for the default")
            try:
                setattr(params, name, value)
            except (TypeError, OverflowError, RuntimeError):
                expected = str(typing.get_type_hints(SamplingParams)[name]).replace("collections.abc.", "")
                raise TypeError(f"{name}: expected {expected}, found {value!r}") from None
        params.check()
        return params

    def clone(self) -> SamplingParams:
        """A copy that can be changed."""
        return dataclasses.replace(self)

    def __repr__(self) -> str:
        shown = [field.name for field in dataclasses.fields(self) if field.name in _PLAIN]
        return f"SamplingParams({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


@suggests_fields
@dataclasses.dataclass
class BeamSearchParams:
    """How `LLM.beam_search` searches.

    Args:
        beam_width: How many sequences go on after each token, and how many come out.
        max_tokens: The most that follow the prompt.
        ignore_eos: The end-of-text token is a token like any other.
        temperature: Accepted: the search is over the model's own log-probabilities, which no temperature changes.
        length_penalty: A sequence's score is the sum of its log-probabilities, divided by its number of tokens (the
            prompt's too, without an end of text) to this power.
        include_stop_str_in_output: The end of text stays the text's end.

    Raises:
        ValueError: A value out of range, by name.
        TypeError: A misspelt keyword (with the nearest right one), a value of the wrong type.
    """

    beam_width: int
    max_tokens: int
    ignore_eos: bool = False
    temperature: float = 0.0
    length_penalty: float = 1.0
    include_stop_str_in_output: bool = False

    def __post_init__(self) -> None:
        for name in ("beam_width", "max_tokens"):
            setattr(self, name, as_integer(name, getattr(self, name)))
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, found {getattr(self, name)}")
        for name in ("temperature", "length_penalty"):
            if not isinstance(getattr(self, name), numbers.Real):
                raise TypeError(f"{name}: expected a number, found {getattr(self, name)!r}")
