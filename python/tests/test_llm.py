"""octavo.LLM on the demo model: what it generates, what it reports, what it refuses."""

import inspect
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy
import pytest

import octavo
from octavo import LLM, SamplingParams

PROMPTS = ["I am", "Today is", "It was a dark"]
GREEDY = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)


@pytest.fixture(scope="module")
def llm(demo) -> LLM:
    return LLM(model=demo, use_tqdm_on_load=False)


@pytest.fixture(scope="module")
def echo() -> LLM:
    return LLM("echo:", use_tqdm_on_load=False)


def texts(outputs):
    return [output.outputs[0].text for output in outputs]


def generate(llm, prompts, params=None):
    return llm.generate(prompts, params, use_tqdm=False)


def test_outputs_have_the_order_of_the_prompts(llm):
    outputs = generate(llm, PROMPTS, GREEDY)
    assert [output.prompt for output in outputs] == PROMPTS
    for prompt, output in zip(PROMPTS, outputs, strict=True):
        (alone,) = generate(llm, prompt, GREEDY)
        assert output.outputs == alone.outputs
        assert output.prompt_token_ids == llm.get_tokenizer().encode(prompt)
        assert output.finished and output.outputs[0].finished()
        assert output.outputs[0].finish_reason == "length"
        assert len(output.outputs[0].token_ids) == 8
        assert output.metrics.num_generation_tokens == 8
        assert output.metrics.first_token_latency > 0


def test_a_text_continues_its_prompt_token_by_token(llm):
    (output,) = generate(llm, "It was a dark", GREEDY)
    ids = output.outputs[0].token_ids
    decode = llm.get_tokenizer().decode
    assert decode(output.prompt_token_ids + ids) == "It was a dark" + output.outputs[0].text
    # Greedy: each token is the likeliest after all before it.
    (longer,) = generate(llm, [output.prompt_token_ids + ids[:3]], GREEDY)
    assert longer.outputs[0].token_ids[:5] == ids[3:]


def test_the_program_writes_the_same(demo, llm):
    command = [sys.executable, "-m", "octavo", "generate", demo, "--prompt", "I am", "--max-tokens", "8", "--ignore-eos"]
    for options, params in ((["--greedy"], GREEDY), (["--temperature", "1", "--top-p", "1", "--top-k", "0", "--seed", "9"],
                                                     SamplingParams(seed=9, max_tokens=8, ignore_eos=True))):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        assert texts(generate(llm, "I am", params)) == [done.stdout]


def test_every_form_of_a_prompt(llm):
    ids = llm.get_tokenizer().encode("I am")
    expected = texts(generate(llm, "I am", GREEDY))
    for form in (["I am"], ids, [ids], {"prompt": "I am"}, [{"prompt_token_ids": ids}], {"prompt_token_ids": ids, "prompt": "I am"}):
        assert texts(generate(llm, form, GREEDY)) == expected
    for form in (numpy.array(ids), [numpy.array(ids)], tuple(ids)):
        assert texts(generate(llm, form, GREEDY)) == expected
    assert generate(llm, [], GREEDY) == []


def test_sixteen_tokens_by_default(llm):
    (output,) = generate(llm, "I am", SamplingParams(temperature=0.0, top_p=0.95, ignore_eos=True))
    assert len(output.outputs[0].token_ids) == 16


def test_params_for_each_prompt(llm):
    some = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for n in (1, 2, 3)]
    assert [len(output.outputs[0].token_ids) for output in generate(llm, PROMPTS, some)] == [1, 2, 3]
    with pytest.raises(ValueError, match="expected one or 3.*found 2"):
        generate(llm, PROMPTS, some[:2])


def test_without_params_the_model_says(llm):
    params = llm.get_default_sampling_params()
    assert (round(params.temperature, 6), round(params.top_p, 6), params.top_k, params.max_tokens) == (0.8, 0.95, 50, 16)
    assert params is not llm.get_default_sampling_params()
    assert len(generate(llm, "I am")[0].outputs[0].token_ids) <= 16


def test_generation_config_can_be_left_out_and_overridden(demo):
    neutral = LLM(demo, generation_config="vllm", use_tqdm_on_load=False)
    assert neutral.get_default_sampling_params() == SamplingParams()
    changed = LLM(demo, override_generation_config={"top_k": 7, "max_new_tokens": 5}, use_tqdm_on_load=False)
    assert (changed.get_default_sampling_params().top_k, changed.get_default_sampling_params().max_tokens) == (7, 5)


def test_seeds(demo, llm):
    seeded = SamplingParams(seed=11, max_tokens=12)
    assert texts(generate(llm, "I am", seeded)) == texts(generate(llm, "I am", seeded))
    free = SamplingParams(max_tokens=12)
    first, second = texts(generate(llm, ["I am", "I am"], free))
    assert first != second

    def run_of(seed):
        return texts(generate(LLM(demo, seed=seed, use_tqdm_on_load=False), ["I am", "I am"], free))

    assert run_of(3) == run_of(3) != run_of(4)


def test_n_sequences(llm):
    (output,) = generate(llm, "I am", SamplingParams(n=3, seed=5, max_tokens=12))
    assert [completion.index for completion in output.outputs] == [0, 1, 2]
    assert len({completion.text for completion in output.outputs}) == 3
    (alone,) = generate(llm, "I am", SamplingParams(seed=6, max_tokens=12))
    assert alone.outputs[0].text == output.outputs[1].text


def test_logprobs(llm):
    params = SamplingParams(seed=1, max_tokens=6, logprobs=2, prompt_logprobs=1, ignore_eos=True)
    (output,) = generate(llm, "It was a dark", params)
    (completion,) = output.outputs
    assert len(completion.logprobs) == 6
    total = 0.0
    for token, entries in zip(completion.token_ids, completion.logprobs, strict=True):
        assert next(iter(entries)) == token
        assert len(entries) in (2, 3)
        assert {entry.rank for entry in entries.values()} >= {1, 2}
        assert entries[token].decoded_token == llm.get_tokenizer().decode([token])
        total += entries[token].logprob
    assert completion.cumulative_logprob == pytest.approx(total)
    # What was generated, given as a prompt, has the same log-probabilities to the bit.
    whole = output.prompt_token_ids + completion.token_ids
    (scored,) = generate(llm, [whole], SamplingParams(max_tokens=1, prompt_logprobs=2))
    assert scored.prompt_logprobs[0] is None
    assert scored.prompt_logprobs[-6:] == completion.logprobs
    n_prompt = len(output.prompt_token_ids)
    assert [e and e[t] for e, t in zip(scored.prompt_logprobs, whole, strict=True)][:n_prompt] == [
        e and e[t] for e, t in zip(output.prompt_logprobs, whole, strict=False)
    ]
    with pytest.raises(ValueError, match="logprobs: 21 is more than the 20"):
        generate(llm, "I am", SamplingParams(logprobs=21))


def test_all_logprobs_sum_to_one(demo):
    llm = LLM(demo, max_logprobs=-1, use_tqdm_on_load=False)
    (output,) = generate(llm, "I am", SamplingParams(max_tokens=1, logprobs=-1))
    entries = output.outputs[0].logprobs[0]
    assert len(entries) == llm.info["n_vocab"]
    assert sum(math.exp(entry.logprob) for entry in entries.values()) == pytest.approx(1, abs=1e-4)


def test_logits(llm):
    ids = llm.get_tokenizer().encode("It was a dark")
    logits = llm.logits(ids)
    assert logits.shape == (len(ids), llm.info["n_vocab"]) and logits.dtype == numpy.float32
    (output,) = generate(llm, [ids], GREEDY)
    assert logits[-1].argmax() == output.outputs[0].token_ids[0]
    assert numpy.from_dlpack(logits).ctypes.data == logits.ctypes.data
    with pytest.raises(ValueError, match="at least one token"):
        llm.logits([])


def test_stops(llm):
    (whole,) = generate(llm, "It was a dark", GREEDY)
    text, ids = whole.outputs[0].text, whole.outputs[0].token_ids
    stop = text[3:7]
    (by_text,) = generate(llm, "It was a dark", SamplingParams(temperature=0, max_tokens=8, stop=["zzz", stop]))
    assert by_text.outputs[0].text == text[: text.index(stop)]
    assert (by_text.outputs[0].finish_reason, by_text.outputs[0].stop_reason) == ("stop", stop)
    (kept,) = generate(
        llm, "It was a dark", SamplingParams(temperature=0, max_tokens=8, stop=stop, include_stop_str_in_output=True)
    )
    assert kept.outputs[0].text == text[: text.index(stop)] + stop
    (by_token,) = generate(llm, "It was a dark", SamplingParams(temperature=0, max_tokens=8, stop_token_ids=[ids[4]]))
    assert by_token.outputs[0].stop_reason == ids[4]
    assert by_token.outputs[0].token_ids[-1] == ids[4]


def test_the_end_of_text_ends_it_unless_ignored_or_too_early(llm):
    eos = llm.get_tokenizer().eos_token_id or 12279
    surely = {"temperature": 0, "logit_bias": {eos: 100}, "max_tokens": 6}
    (ended,) = generate(llm, "I am", SamplingParams(**surely))
    assert (ended.outputs[0].text, ended.outputs[0].token_ids) == ("", [eos])
    assert (ended.outputs[0].finish_reason, ended.outputs[0].stop_reason) == ("stop", None)
    (later,) = generate(llm, "I am", SamplingParams(min_tokens=4, **surely))
    assert len(later.outputs[0].token_ids) == 5 and later.outputs[0].finish_reason == "stop"
    (ignored,) = generate(llm, "I am", SamplingParams(ignore_eos=True, **surely))
    assert ignored.outputs[0].token_ids == [eos] * 6 and ignored.outputs[0].text == ""
    (shown,) = generate(llm, "I am", SamplingParams(ignore_eos=True, skip_special_tokens=False, **surely))
    assert shown.outputs[0].text == llm.get_tokenizer().decode([eos]) * 6 != ""


def test_penalties_and_rules_change_the_output(llm):
    base = {"temperature": 0, "max_tokens": 40, "ignore_eos": True}
    (plain,) = generate(llm, "I am", SamplingParams(**base))
    repeats = 40 - len(set(plain.outputs[0].token_ids))
    for penalty in ({"presence_penalty": 2.0}, {"frequency_penalty": 2.0}, {"repetition_penalty": 1.5}):
        (penalized,) = generate(llm, "I am", SamplingParams(**base, **penalty))
        assert 40 - len(set(penalized.outputs[0].token_ids)) < repeats
    (allowed,) = generate(llm, "I am", SamplingParams(allowed_token_ids=[300, 301], max_tokens=9))
    assert set(allowed.outputs[0].token_ids) <= {300, 301}
    word = plain.outputs[0].text.split()[1]
    (without,) = generate(llm, "I am", SamplingParams(bad_words=[word], **base))
    assert word not in without.outputs[0].text.split()


def test_the_repetition_penalty_is_transformers(llm):
    # transformers 5, fp32: generate(do_sample=False, min_new_tokens=24, max_new_tokens=24, repetition_penalty=1.3), and the
    # sum of the log-softmax of its logits.
    expected = {
        "I am": ([379, 417, 198, 6838, 647, 704, 304, 429, 550, 295, 422, 852, 863, 13, 745, 304, 688, 309, 650, 909, 11, 280,
                  198, 1377], -52.753),
        "Today is": ([258, 198, 82, 523, 493, 11, 280, 262, 1255, 282, 345, 852, 13, 540, 795, 550, 417, 839, 347, 283, 198,
                      581, 725, 26], -64.112),
    }  # fmt: skip
    params = SamplingParams(temperature=0, max_tokens=24, min_tokens=24, repetition_penalty=1.3, logprobs=0)
    for output, (ids, logprob) in zip(generate(llm, list(expected), params), expected.values(), strict=True):
        assert output.outputs[0].token_ids == ids
        assert output.outputs[0].cumulative_logprob == pytest.approx(logprob, abs=0.05)


def test_without_detokenizing(llm):
    (output,) = generate(llm, "I am", SamplingParams(temperature=0, max_tokens=4, detokenize=False))
    assert output.outputs[0].text == "" and output.outputs[0].token_ids


def test_chat(llm):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    prompt = llm.get_tokenizer().apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    (answer,) = llm.chat(messages, GREEDY, use_tqdm=False)
    assert answer.prompt == prompt
    assert answer.outputs[0].text == texts(generate(llm, prompt, GREEDY))[0]
    parts = [messages[0], {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert [output.prompt for output in llm.chat([messages, parts], GREEDY, use_tqdm=False)] == [prompt, prompt]
    (open_ended,) = llm.chat(messages, GREEDY, use_tqdm=False, add_generation_prompt=False)
    assert prompt.startswith(open_ended.prompt) and open_ended.prompt != prompt
    with pytest.raises(NotImplementedError, match="lora_request"):
        llm.chat(messages, GREEDY, lora_request="x")


def test_a_chat_template_may_be_brought(demo, llm, tmp_path):
    messages = [{"role": "user", "content": "Hello"}]
    source = "{% for m in messages %}{{ m.role }}: {{ m.content }}. {% endfor %}"
    (tmp_path / "t.jinja").write_text(source)
    for template in (source, str(tmp_path / "t.jinja")):
        assert llm.chat(messages, GREEDY, use_tqdm=False, chat_template=template)[0].prompt == "user: Hello. "
        other = LLM(demo, chat_template=template, use_tqdm_on_load=False)
        assert other.chat(messages, GREEDY, use_tqdm=False)[0].prompt == "user: Hello. "
    with pytest.raises(ValueError, match="no file 'missing.jinja'"):
        llm.chat(messages, GREEDY, chat_template="missing.jinja")


def test_one_bad_prompt_costs_no_work(llm):
    n_before = llm._n_requests
    for bad, expected in (
        ([10**6], r"prompts\[1\].*1000000.*vocabulary"),
        ([2**40], r"prompts\[1\]"),
        ([5] * 600, r"prompts\[1\].*600.*512"),
        ("", r"prompts\[1\].*at least one token"),
        ("half a \ud800 character", r"prompts\[1\]"),
    ):
        with pytest.raises(ValueError, match=expected):
            generate(llm, ["I am", bad], GREEDY)
    with pytest.raises(TypeError, match=r"prompts\[1\].*'promt'.*did you mean 'prompt'"):
        generate(llm, ["I am", {"promt": "x"}], GREEDY)
    for bad in ([1, 1.5], [1, "2"], b"ab", {"prompt_token_ids": "12"}, {"prompt_token_ids": [2.0]}, 5, None):
        with pytest.raises(TypeError, match=r"^prompts\[1\].*: expected (a text or token ids|token ids|a token id)"):
            generate(llm, ["I am", bad], GREEDY)
    for bad in (None, 5, b"ab"):
        with pytest.raises(TypeError, match=r"^prompts: expected a text, a list of token ids, .* found "):
            generate(llm, bad, GREEDY)
    assert llm._n_requests == n_before


def test_a_wrong_seed_is_found_before_loading(demo, monkeypatch):
    monkeypatch.setattr(octavo._native, "Engine", lambda *_: pytest.fail("the model was read"))
    for seed, error in ((2**64, ValueError), (-1, ValueError), ("7", TypeError), (1.5, TypeError)):
        with pytest.raises(error, match="^seed: expected"):
            LLM(demo, seed=seed, use_tqdm_on_load=False)


def test_quantization_names(demo, demo_w8a8):
    for name in ("SmoothQuant", "smoothquant", "compressed-tensors", "Compressed_Tensors"):
        llm = LLM(demo_w8a8, quantization=name, use_tqdm_on_load=False)
        assert llm.info["quantization"].startswith("compressed-tensors w8a8")
    with pytest.raises(ValueError, match="'smoothqant' is unknown; expected one of .*did you mean 'smoothquant'"):
        LLM(demo, quantization="smoothqant")
    with pytest.raises(ValueError, match="expected 'compressed-tensors'.*found 'golden-stick'"):
        LLM(demo_w8a8, quantization="golden-stick")
    with pytest.raises(ValueError, match="holds a float model"):
        LLM(demo, quantization="SmoothQuant")
    with pytest.raises(ValueError, match="quantized already"):
        LLM(demo_w8a8, quantization="rtn-w8a8")
    with pytest.raises(ValueError, match="(?i)calib"):
        LLM(demo, quantization="w8a8", use_tqdm_on_load=False)


def test_a_recipe_quantizes_on_the_fly_and_cleans_up(demo, demo_w8a8, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    llm = LLM(demo, quantization="rtn-w8a8", use_tqdm_on_load=False)
    assert llm.info["quantization"].startswith("compressed-tensors w8a8")
    assert texts(generate(llm, "I am", GREEDY)) == texts(generate(LLM(demo_w8a8, use_tqdm_on_load=False), "I am", GREEDY))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["quantize", "Engine"])
def test_on_the_fly_nothing_is_left_after_a_failure(step, error, demo, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        assert list(tmp_path.iterdir()) != []
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(octavo._native, step, fail)
    with pytest.raises(error) as raised:  # it is kept here, as a notebook does, and with it what its frames refer to
        LLM(demo, quantization="rtn-w8a8", use_tqdm_on_load=False)
    assert list(tmp_path.iterdir()) == []
    del raised


def test_arguments_of_vllm(demo):
    hints = {"gpu_memory_utilization": 0.5, "enforce_eager": True, "trust_remote_code": True, "max_num_seqs": 8}
    LLM(model=demo, tensor_parallel_size=1, dtype="bfloat16", tokenizer=demo, use_tqdm_on_load=False, **hints)
    for later in ({"tensor_parallel_size": 2}, {"enable_lora": True}, {"speculative_config": {}}, {"dtype": "float32"}):
        with pytest.raises(NotImplementedError, match=next(iter(later))):
            LLM(demo, **later)
    with pytest.raises(ValueError, match="dtype"):
        LLM(demo, dtype="bf17")
    with pytest.raises(TypeError, match="'tensor_paralel_size'.*did you mean 'tensor_parallel_size'"):
        LLM(demo, tensor_paralel_size=2)
    with pytest.raises(FileNotFoundError, match="Qwen/Qwen3-8B"):
        LLM("Qwen/Qwen3-8B")
    assert list(inspect.signature(LLM).parameters)[0] == "model"


def test_arguments_of_the_engine(demo, llm):
    small = LLM(demo, max_num_seqs=2, max_num_batched_tokens=16, enable_prefix_caching=False, kv_cache_memory_bytes=2**24,
                use_tqdm_on_load=False)  # fmt: skip
    prompts = [f"It was a dark and stormy night in the year {year} of the old king" * 2 for year in range(6)]
    assert texts(generate(small, prompts, GREEDY)) == texts(generate(llm, prompts, GREEDY))
    assert small.stats.n_chunked_steps > 0 and small.stats.n_prefix_hits == 0
    int8 = LLM(demo, kv_cache_dtype="int8", use_tqdm_on_load=False)
    assert int8.stats.n_pages > 0 and len(generate(int8, "I am", GREEDY)[0].outputs[0].token_ids) == 8
    LLM(demo, kv_cache_dtype="bfloat16", use_tqdm_on_load=False)
    with pytest.raises(NotImplementedError, match=r"kv_cache_dtype='fp8'.*expected 'auto' \(here bfloat16\) or 'int8'"):
        LLM(demo, kv_cache_dtype="fp8")
    int8_head = LLM(demo, lm_head_dtype="int8", use_tqdm_on_load=False)
    assert int8_head.info["fingerprint"] != llm.info["fingerprint"]
    assert int8_head.info["weight_bytes"] > llm.info["weight_bytes"]  # the tied embedding stays beside it
    assert len(generate(int8_head, "I am", GREEDY)[0].outputs[0].token_ids) == 8
    for wrong, error, match in (
        ({"lm_head_dtype": "fp8"}, ValueError, '^lm_head_dtype: expected "auto".*found "fp8"'),
        ({"max_num_seqs": 0}, ValueError, "^max_num_seqs: expected at least 1"),
        ({"max_num_seqs": 8, "max_num_batched_tokens": 4}, ValueError, "^max_num_batched_tokens: expected at least"),
        ({"max_num_seqs": "8"}, TypeError, "^max_num_seqs: expected an integer"),
        ({"kv_cache_memory_bytes": 1}, MemoryError, "keys and values"),
        ({"speculation": "sometimes"}, ValueError, "^speculation"),
    ):
        with pytest.raises(error, match=match):
            LLM(demo, use_tqdm_on_load=False, **wrong)


def test_prompts_run_together_and_share_their_beginning(demo):
    llm = LLM(demo, use_tqdm_on_load=False)
    begin = "It was a dark and stormy night. " * 12
    (first,) = generate(llm, begin + "The old man", GREEDY)
    assert first.num_cached_tokens == 0
    outputs = generate(llm, [f"{begin} Number {i}" for i in range(16)], GREEDY)
    assert all(output.num_cached_tokens >= 16 for output in outputs)
    assert llm.stats.n_rows > 2 * llm.stats.n_steps
    for output in outputs:
        metrics = output.metrics
        times = [metrics.queued_ts, metrics.scheduled_ts, metrics.first_token_ts, metrics.last_token_ts, time.monotonic()]
        assert times == sorted(times) and metrics.num_generation_tokens == 8


def test_more_prompts_than_may_wait_finish_in_any_order(echo):
    class Bar:
        def __init__(self, **given):
            self.n, self.total = 0, given["total"]
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            pass

        def set_postfix_str(self, text, refresh):
            pass

        def update(self):
            self.n += 1
            most.append(echo.stats.n_running + echo.stats.n_waiting)

    bars, most = [], []
    prompts = [f"prompt {'x' * (i % 7)} {i}" for i in range(2000)]
    outputs = echo.generate(prompts, SamplingParams(temperature=0, max_tokens=100), use_tqdm=Bar)
    assert texts(outputs) == prompts
    assert [int(output.request_id) for output in outputs] == list(range(2000))
    assert [(bar.n, bar.total) for bar in bars] == [(2000, 2000)] and max(most) <= 128


def test_priority(demo):
    llm = LLM("echo:", max_num_seqs=1, use_tqdm_on_load=False)
    params = SamplingParams(temperature=0, max_tokens=9)
    outputs = llm.generate(["aaa", "bbb", "ccc"], params, priority=[1, 0, -1], use_tqdm=False)
    ended = [output.metrics.last_token_ts for output in outputs]
    assert texts(outputs) == ["aaa", "bbb", "ccc"] and ended == sorted(ended, reverse=True)
    with pytest.raises(ValueError, match="^priority: expected 2, as many as prompts, found 1"):
        llm.generate(["a", "b"], params, priority=[1])


def test_an_echo_with_a_folders_tokenizer(demo, llm):
    echo = LLM(f"echo:{demo}", use_tqdm_on_load=False)
    params = SamplingParams(temperature=0, max_tokens=100)
    assert texts(generate(echo, "It was a dark", params)) == ["It was a dark"]
    assert echo.get_tokenizer().encode("dark") == llm.get_tokenizer().encode("dark")
    assert texts(echo.chat([{"role": "user", "content": "Hello"}], params, use_tqdm=False))[0]
    with pytest.raises(ValueError, match="^quantization: expected None"):
        LLM("echo:", quantization="SmoothQuant")


def test_only_the_tokenizers_own_end_of_text_has_no_stop_reason(demo, llm):
    end = llm.get_tokenizer().eos_token_id
    (other,) = set(json.loads(pathlib.Path(demo, "generation_config.json").read_text())["eos_token_id"]) - {end}

    def reason(token, **given):
        (output,) = generate(llm, "I am", SamplingParams(temperature=0, logit_bias={token: 100}, max_tokens=3, **given))
        completion = output.outputs[0]
        assert completion.token_ids == ([token] if completion.finish_reason == "stop" else [token] * 3)
        return completion.finish_reason, completion.stop_reason

    assert reason(end) == reason(end, stop_token_ids=[end]) == ("stop", None)
    assert reason(other) == ("stop", other)
    assert reason(other, ignore_eos=True) == ("length", None)
    assert reason(end, ignore_eos=True, stop_token_ids=[end]) == ("stop", end)


def test_max_model_len(demo):
    llm = LLM(demo, max_model_len=20, use_tqdm_on_load=False)
    (output,) = generate(llm, "I am", SamplingParams(max_tokens=None, ignore_eos=True))
    assert len(output.prompt_token_ids) + len(output.outputs[0].token_ids) == 20
    with pytest.raises(ValueError, match="max_context"):
        LLM(demo, max_model_len=10**6)


def test_ctrl_c_stops_at_once_and_the_llm_lives_on(llm):
    expected = texts(generate(llm, "I am", GREEDY))
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt) as raised:  # it is kept here, and with it what its frames refer to
        generate(llm, ["I am"] * 1000, SamplingParams(max_tokens=400, ignore_eos=True))
    end = time.monotonic() + 20
    while llm.stats.n_running + llm.stats.n_waiting > 0:
        assert time.monotonic() < end
        time.sleep(0.01)
    del raised
    assert texts(generate(llm, "I am", GREEDY)) == expected


def test_other_threads_run_meanwhile(llm):
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    generate(llm, "I am", SamplingParams(max_tokens=100, ignore_eos=True))
    stop.set()
    thread.join()
    assert len(ticks) > 5


def test_names_are_exported():
    assert octavo.LLM is LLM and "LLM" in dir(octavo) and "SamplingParams" in octavo.__all__
