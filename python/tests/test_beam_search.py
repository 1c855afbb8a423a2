"""octavo.LLM.beam_search: what transformers finds, what a search over plain logits finds, and how ends of text count."""

import numpy
import pytest

from octavo import LLM, BeamSearchParams


@pytest.fixture(scope="module")
def llm(demo) -> LLM:
    return LLM(demo, use_tqdm_on_load=False)


def log_softmax(row):
    row = row.astype(numpy.float64)
    return row - row.max() - numpy.log(numpy.exp(row - row.max()).sum())


def reference(llm, prompt, width, n_tokens, end=None, length_penalty=1.0):
    """Beam search by definition: every token of the vocabulary may continue every beam."""

    def score(beam):
        tokens, logprob = beam
        return logprob / (len(tokens) - (tokens[-1] == end)) ** length_penalty

    beams, completed = [(list(prompt), 0.0)], []
    for _ in range(n_tokens):
        found = []
        for tokens, logprob in beams:
            row = log_softmax(llm.logits(tokens)[-1])
            for token in numpy.argsort(-row, kind="stable")[: width + 1].tolist():
                (completed if token == end else found).append(([*tokens, token], logprob + row[token]))
        beams = sorted(found, key=score, reverse=True)[:width]
    return sorted(completed + beams, key=score, reverse=True)[:width]


def test_it_finds_what_transformers_finds(llm):
    # transformers 5, fp32: generate(do_sample=False, num_beams=4, num_return_sequences=4, min_new_tokens=6,
    # max_new_tokens=6), and its scores times six.
    expected = {
        "I am": [([1580, 331, 304, 690, 1580, 304], -10.809), ([1580, 304, 690, 1580, 331, 304], -10.985),
                 ([1580, 331, 304, 690, 1580, 331], -11.184), ([1580, 331, 304, 690, 379, 258], -11.269)],
        "It was a dark": [([1282, 11, 280, 335, 318, 258], -11.465), ([1282, 11, 280, 335, 318, 262], -12.497),
                          ([1282, 11, 280, 335, 318, 379], -12.781), ([1282, 11, 280, 335, 318, 638], -12.929)],
    }  # fmt: skip
    outputs = llm.beam_search(list(expected), BeamSearchParams(beam_width=4, max_tokens=6, ignore_eos=True))
    for output, (prompt, beams) in zip(outputs, expected.items(), strict=True):
        for sequence, (ids, logprob) in zip(output.sequences, beams, strict=True):
            assert sequence.tokens == llm.get_tokenizer().encode(prompt) + ids
            assert sequence.cum_logprob == pytest.approx(logprob, abs=0.05)
            assert sequence.text == llm.get_tokenizer().decode(sequence.tokens)
            assert (sequence.finish_reason, sequence.stop_reason) == ("length", None)
            assert sum(at[token].logprob for token, at in zip(ids, sequence.logprobs, strict=True)) == sequence.cum_logprob


@pytest.mark.parametrize("length_penalty", [1.0, 0.0, 2.0])
def test_it_is_the_definition(llm, length_penalty, monkeypatch):
    prompt = llm.get_tokenizer().encode("It was a dark")
    # A frequent word as the end of text, so that some beams end early.
    end = reference(llm, prompt, 3, 4)[0][0][-2]
    monkeypatch.setattr(type(llm.get_tokenizer()), "eos_token_id", end)
    for width in (1, 3):
        expected = reference(llm, prompt, width, 6, end, length_penalty)
        params = BeamSearchParams(beam_width=width, max_tokens=6, length_penalty=length_penalty)
        (output,) = llm.beam_search([prompt], params)
        assert [sequence.tokens for sequence in output.sequences] == [tokens for tokens, _ in expected]
        for sequence, (tokens, logprob) in zip(output.sequences, expected, strict=True):
            assert sequence.cum_logprob == pytest.approx(logprob, abs=1e-4)
            ended = tokens[-1] == end
            assert (sequence.finish_reason, sequence.stop_reason) == (("stop", end) if ended else ("length", None))
            assert sequence.text == llm.get_tokenizer().decode(tokens[:-1] if ended else tokens)
    if length_penalty <= 1:  # otherwise the short ones lose
        assert any(sequence.finish_reason == "stop" for sequence in output.sequences)
    (shown,) = llm.beam_search([prompt], BeamSearchParams(3, 6, length_penalty=length_penalty, include_stop_str_in_output=True))
    assert [s.text for s in shown.sequences] == [llm.get_tokenizer().decode(s.tokens) for s in shown.sequences]


def test_every_run_and_company_gives_the_same(llm):
    params = BeamSearchParams(beam_width=12, max_tokens=3)
    together = llm.beam_search(["I am", {"prompt": "Today is"}], params)
    assert together == [llm.beam_search(prompt, params)[0] for prompt in ("I am", "Today is")]
    assert [len(output.sequences) for output in together] == [12, 12]


def test_beams_end_where_the_context_does(demo):
    llm = LLM(demo, max_model_len=16, use_tqdm_on_load=False)
    (output,) = llm.beam_search("I am", BeamSearchParams(2, 100, ignore_eos=True))
    assert [len(sequence.tokens) for sequence in output.sequences] == [16, 16]


def test_refusals(llm):
    for wrong, error in (({"beam_width": 0}, ValueError), ({"max_tokens": 0}, ValueError), ({"beam_width": 1.5}, TypeError),
                         ({"length_penalty": "1"}, TypeError)):  # fmt: skip
        with pytest.raises(error, match=f"^{next(iter(wrong))}: expected"):
            BeamSearchParams(**{"beam_width": 2, "max_tokens": 3, **wrong})
    with pytest.raises(TypeError, match="'beam_with'.*did you mean 'beam_width'"):
        BeamSearchParams(beam_with=2, max_tokens=3)
    params = BeamSearchParams(2, 3)
    with pytest.raises(ValueError, match=r"prompts\[1\]"):
        llm.beam_search(["I am", [5] * 600], params)
    with pytest.raises(NotImplementedError, match="lora_request"):
        llm.beam_search("I am", params, lora_request="x")
