"""octavo.SamplingParams: vLLM's names and defaults, refusals by name."""

import copy
import pickle

import numpy
import pytest

from octavo import SamplingParams


def test_defaults_are_vllms():
    params = SamplingParams()
    expected = dict(
        n=1, presence_penalty=0.0, frequency_penalty=0.0, repetition_penalty=1.0, temperature=1.0, top_p=1.0, top_k=0,
        min_p=0.0, seed=None, ignore_eos=False, max_tokens=16, min_tokens=0, logprobs=None, prompt_logprobs=None,
        detokenize=True, skip_special_tokens=True, spaces_between_special_tokens=True, include_stop_str_in_output=False,
        logit_bias=None, allowed_token_ids=None, stop=[], stop_token_ids=[], bad_words=[],
    )  # fmt: skip
    assert {name: getattr(params, name) for name in expected} == expected


def test_the_order_of_positional_arguments_is_vllms():
    assert SamplingParams(2, 0.5, 0.25, 1.5, 0.7, 0.9, 40, 0.1, 7, "x", [3]) == SamplingParams(
        n=2, presence_penalty=0.5, frequency_penalty=0.25, repetition_penalty=1.5, temperature=0.7, top_p=0.9, top_k=40,
        min_p=0.1, seed=7, stop=["x"], stop_token_ids=[3],
    )  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 0},
        {"n": 2, "temperature": 0},
        {"presence_penalty": 2.1},
        {"frequency_penalty": -2.1},
        {"repetition_penalty": 0.0},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -2},
        {"min_p": 1.5},
        {"max_tokens": 0},
        {"min_tokens": -1},
        {"min_tokens": 17},
        {"logprobs": -2},
        {"prompt_logprobs": -2},
        {"stop": [""]},
        {"stop": "x", "detokenize": False},
        {"allowed_token_ids": []},
        {"seed": -5},
        {"seed": 2**64},
        {"logit_bias": {3: float("nan")}},
    ],
)
def test_out_of_range_is_a_value_error_that_names_it(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}"):
        SamplingParams(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": "hot"}, {"top_k": 1.5}, {"stop": [1]}, {"temperature": None}, {"seed": 1.5}, {"n": 1.5},
     {"prompt_logprobs": 1.5}, {"prompt_logprobs": "2"}, {"output_kind": 1}, {"stop": 3}, {"stop_token_ids": 1.5},
     {"bad_words": 3}, {"allowed_token_ids": 1.5},
     {"logit_bias": [1]}, {"logit_bias": {1.5: 1.0}}, {"logit_bias": {"3": 1.0}},
     {"logit_bias": {3: "much"}}],
)
def test_a_wrong_type_is_a_type_error_that_names_it(wrong):
    with pytest.raises(TypeError, match=f"^{next(iter(wrong))}: "):
        SamplingParams(**wrong)


@pytest.mark.parametrize("name", ["stop_token_ids", "allowed_token_ids"])
@pytest.mark.parametrize(("wrong", "error"), [("x", TypeError), (1.5, TypeError), (None, TypeError), (-1, ValueError),
                                              (2**31, ValueError)])
def test_a_wrong_token_id_is_named_with_its_place(name, wrong, error):
    with pytest.raises(error, match=rf"^{name}\[1\]: .*found {wrong!r}"):
        SamplingParams(**{name: [3, wrong]})
    assert getattr(SamplingParams(**{name: numpy.array([3, 4])}), name) == [3, 4]


def test_a_misspelt_keyword_is_answered_with_the_nearest():
    with pytest.raises(TypeError, match="'temprature'.*did you mean 'temperature'"):
        SamplingParams(temprature=1.0)


@pytest.mark.parametrize(
    "later",
    [
        {"structured_outputs": {"regex": "a+"}},
        {"logits_processors": [len]},
        {"guided_decoding": {}},
        {"repetition_detection": {"max_pattern_size": 3}},
        {"thinking_token_budget": 5},
        {"flat_logprobs": True},
        {"extra_args": {"a": 1}},
        {"spaces_between_special_tokens": False},
    ],
)
def test_what_is_not_built_is_refused_by_name(later):
    with pytest.raises(NotImplementedError, match=next(iter(later))):
        SamplingParams(**later)


def test_spellings_that_mean_the_same():
    assert SamplingParams(stop="end").stop == ["end"]
    assert SamplingParams(seed=-1).seed is None
    assert SamplingParams(logprobs=True).logprobs == 1
    assert SamplingParams(top_k=-1, temperature=0).is_greedy
    assert SamplingParams(logit_bias={3: 500, 4: -500.0}).logit_bias == {3: 100.0, 4: -100.0}


def test_numpys_integers_are_integers():
    params = SamplingParams(n=numpy.int64(2), seed=numpy.uint64(2**64 - 1), prompt_logprobs=numpy.int32(3))
    assert (params.n, params.seed, params.prompt_logprobs) == (2, 2**64 - 1, 3)
    assert {type(value) for value in (params.n, params.seed, params.prompt_logprobs)} == {int}


def test_the_range_of_seeds_is_named():
    with pytest.raises(ValueError, match="^seed: expected 0 to 18446744073709551615, found -2$"):
        SamplingParams(seed=-2)


def test_a_change_after_construction_is_checked_too():
    params = SamplingParams()
    params.top_p = 3
    with pytest.raises(ValueError, match="top_p"):
        params.check()


def test_copies_are_equal_and_shown():
    params = SamplingParams(temperature=0.5, stop=["a"])
    assert params.clone() == copy.deepcopy(params) == pickle.loads(pickle.dumps(params)) == params
    assert "temperature=0.5" in repr(params) and "stop=['a']" in repr(params)
