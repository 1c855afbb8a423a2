"""Beam search over requests of one token, as vLLM does it: `LLM.beam_search`.

Each round asks the model for the log-probabilities that follow every beam; of all the beams' likeliest continuations the
best beam_width go on. A beam that ends the text is set aside. The prefix cache keeps what the beams have in common.

    score = sum of log-probabilities / n_tokens ^ length_penalty

Among equal scores, the continuation of the better beam comes first, and then the likelier, lower token.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from tqdm.auto import tqdm  # type: ignore[import-untyped]

from octavo.outputs import LogprobsAt, RequestOutput
from octavo.request import Request
from octavo.sampling_params import BeamSearchParams, SamplingParams
from octavo.tokenizer import Tokenizer

__all__ = ["BeamSearchOutput", "BeamSearchSequence", "one_token_params", "search"]


@dataclasses.dataclass
class BeamSearchSequence:
    """A beam.

    Attributes:
        tokens: The prompt's and those found.
        logprobs: For each token found, the distribution it was chosen from.
        cum_logprob: The sum over the tokens found.
        text: Of all tokens.
        finish_reason: "stop" at an end of text, "length" otherwise.
        stop_reason: The end-of-text token.
    """

    tokens: list[int]
    logprobs: list[LogprobsAt]
    cum_logprob: float = 0.0
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclasses.dataclass
class BeamSearchOutput:
    """The beams of one prompt, the best first."""

    sequences: list[BeamSearchSequence]


def one_token_params(params: BeamSearchParams, n_vocab: int) -> SamplingParams:
    """The parameters of a round's requests. One continuation of a beam may end the text, so a few more than beam_width have
    to be known; vLLM takes twice as many."""
    return SamplingParams(
        temperature=0, max_tokens=1, logprobs=min(2 * params.beam_width, n_vocab), detokenize=False, ignore_eos=True
    )


class _Search:
    """The beams of one prompt."""

    def __init__(self, prompt: Request, params: BeamSearchParams, end: int | None) -> None:
        self._params = params
        self._end = end
        self._template = prompt
        self._completed: list[BeamSearchSequence] = []
        self.beams = [BeamSearchSequence(prompt.token_ids, [])]

    def requests(self, max_context: int) -> list[Request]:
        """One for each beam that has room to go on."""
        if len(self.beams[0].tokens if self.beams else []) >= max_context:
            return []
        return [self._template._replace(token_ids=beam.tokens) for beam in self.beams]

    def advance(self, outputs: Iterator[RequestOutput], n_outputs: int) -> None:
        """Takes the outputs of its requests."""
        if n_outputs == 0:
            return
        found = []
        for beam, output in zip(self.beams, [next(outputs) for _ in range(n_outputs)], strict=True):
            (at,) = output.outputs[0].logprobs or [{}]
            for token, entry in at.items():
                longer = BeamSearchSequence(
                    [*beam.tokens, token], [*beam.logprobs, at], beam.cum_logprob + entry.logprob, finish_reason="length"
                )
                if token == self._end:
                    longer.finish_reason, longer.stop_reason = "stop", token
                    self._completed.append(longer)
                else:
                    found.append(longer)
        self.beams = self._best(found)

    def result(self, tokenizer: Tokenizer) -> BeamSearchOutput:
        best = self._best([*self._completed, *self.beams])
        for beam in best:
            is_shown = beam.finish_reason != "stop" or self._params.include_stop_str_in_output
            beam.text = tokenizer.decode(beam.tokens if is_shown else beam.tokens[:-1])
        return BeamSearchOutput(best)

    def _best(self, beams: list[BeamSearchSequence]) -> list[BeamSearchSequence]:
        return sorted(beams, key=self._score, reverse=True)[: self._params.beam_width]

    def _score(self, beam: BeamSearchSequence) -> float:
        n_tokens = len(beam.tokens) - (beam.finish_reason == "stop")
        return float(beam.cum_logprob / n_tokens**self._params.length_penalty)


def search(
    run: Callable[[Sequence[Request]], list[RequestOutput]],
    tokenizer: Tokenizer,
    prompts: Sequence[Request],
    params: BeamSearchParams,
    max_context: int,
    use_tqdm: bool,
) -> list[BeamSearchOutput]:
    """Searches for all prompts at once; `run` answers requests in their order."""
    end = None if params.ignore_eos else tokenizer.eos_token_id
    searches = [_Search(prompt, params, end) for prompt in prompts]
    for _ in tqdm(range(params.max_tokens), desc="Beam search", unit="token", disable=not use_tqdm):
        asked = [one.requests(max_context) for one in searches]
        if not any(asked):
            break
        outputs = iter(run([request for some in asked for request in some]))
        for one, some in zip(searches, asked, strict=True):
            one.advance(outputs, len(some))
    return [one.result(tokenizer) for one in searches]
