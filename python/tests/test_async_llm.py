"""octavo.AsyncLLM: many requests on one event loop, on the engine without weights and on the demo model."""

import asyncio
import contextlib
import gc
import threading
import time

import pytest

import octavo
from octavo import LLM, AsyncEngineArgs, AsyncLLM, RequestOutputKind, SamplingParams

GREEDY = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
QUIET = {"use_tqdm_on_load": False}


@pytest.fixture(scope="module")
def echo() -> AsyncLLM:
    return AsyncLLM("echo:", **QUIET)


@pytest.fixture
def slow() -> AsyncLLM:
    """An echo whose step takes 5 ms."""
    return AsyncLLM("echo:", echo_step_us=5000, max_num_seqs=4, **QUIET)


@pytest.fixture(scope="module")
def model(demo) -> AsyncLLM:
    return AsyncLLM.from_engine_args(AsyncEngineArgs(model=demo, enable_log_requests=False, **QUIET))


def echo_params(kind=RequestOutputKind.CUMULATIVE, **given):
    return SamplingParams(temperature=0, max_tokens=4000, output_kind=kind, **given)


async def collect(engine, prompt, params, request_id="r", **given):
    return [output async for output in engine.generate(prompt, params, request_id, **given)]


async def until(condition):
    """Waits for what another thread does."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


def n_under_way(engine):
    return engine.stats.n_running + engine.stats.n_waiting


def test_output_kinds(model, demo):
    (expected,) = LLM(demo, **QUIET).generate("It was a dark", GREEDY, use_tqdm=False)
    whole = expected.outputs[0]

    def run(kind, **given):
        params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True, output_kind=kind, **given)
        return asyncio.run(collect(model, "It was a dark", params))

    cumulative = run(RequestOutputKind.CUMULATIVE)
    for before, after in zip(cumulative, cumulative[1:], strict=False):
        assert after.outputs[0].text.startswith(before.outputs[0].text)
        assert after.outputs[0].token_ids[: len(before.outputs[0].token_ids)] == before.outputs[0].token_ids
        assert not before.finished and before.outputs[0].finish_reason is None
    assert cumulative[-1].outputs == [whole] and cumulative[-1].finished
    deltas = run(RequestOutputKind.DELTA)
    assert "".join(output.outputs[0].text for output in deltas) == whole.text
    assert sum((output.outputs[0].token_ids for output in deltas), []) == whole.token_ids
    assert [output.finished for output in deltas] == [False] * (len(deltas) - 1) + [True]
    (final,) = run(RequestOutputKind.FINAL_ONLY)
    assert final.outputs == [whole] and final.finished
    assert final.request_id == "r" and final.prompt_token_ids == expected.prompt_token_ids

    scored = run(RequestOutputKind.DELTA, logprobs=1, prompt_logprobs=0)
    assert len(scored[0].prompt_logprobs) == len(expected.prompt_token_ids)
    assert all(output.prompt_logprobs is None for output in scored[1:])
    assert [len(output.outputs[0].logprobs) == len(output.outputs[0].token_ids) for output in scored] == [True] * len(scored)


def test_several_outputs(model):
    params = SamplingParams(n=3, seed=5, max_tokens=8, output_kind=RequestOutputKind.DELTA)
    texts = ["", "", ""]
    for output in asyncio.run(collect(model, "I am", params)):
        for completion in output.outputs:
            texts[completion.index] += completion.text
    params.output_kind = RequestOutputKind.FINAL_ONLY
    (final,) = asyncio.run(collect(model, "I am", params))
    assert [completion.text for completion in final.outputs] == texts and len(set(texts)) == 3


def test_metrics_are_of_the_monotonic_clock(model):
    before, wall = time.monotonic(), time.time()
    (output,) = asyncio.run(collect(model, "I am", SamplingParams(max_tokens=4, output_kind=RequestOutputKind.FINAL_ONLY)))
    metrics = output.metrics
    times = [before, metrics.queued_ts, metrics.scheduled_ts, metrics.first_token_ts, metrics.last_token_ts, time.monotonic()]
    assert times == sorted(times)
    assert metrics.first_token_latency == pytest.approx(metrics.first_token_ts - metrics.queued_ts)
    assert wall <= metrics.arrival_time <= time.time()


def test_thousands_at_once_need_no_threads():
    echo = AsyncLLM("echo:", echo_step_us=500, **QUIET)

    async def main():
        n_threads = threading.active_count()

        async def ask(i):
            async for output in echo.generate(f"request {i}", echo_params(), f"r{i}"):
                assert threading.active_count() == n_threads
            return output

        outputs = await asyncio.gather(*(ask(i) for i in range(3000)))
        assert [output.outputs[0].text for output in outputs] == [f"request {i}" for i in range(3000)]
        n_tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        assert echo.stats.n_steps < n_tokens / 20  # they ran together

    asyncio.run(main())
    assert n_under_way(echo) == 0


def test_leaving_the_loop_ends_the_request(slow):
    async def main():
        async for _ in slow.generate("a long text " * 50, echo_params(), "left"):
            break
        await until(lambda: n_under_way(slow) == 0)

        async with contextlib.aclosing(slow.generate("a long text " * 50, echo_params(), "closed")) as outputs:
            await anext(outputs)
        assert "closed" not in slow._under_way
        await until(lambda: n_under_way(slow) == 0)
        assert slow.stats.n_cancelled == 2

    asyncio.run(main())


def test_cancelling_a_task_ends_its_request(slow):
    async def main():
        tasks = [asyncio.create_task(collect(slow, "a long text " * 50, echo_params(), f"r{i}")) for i in range(20)]
        await until(lambda: n_under_way(slow) == 20)
        for task in tasks:
            task.cancel()
        assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True))
        assert not slow._under_way and not slow._readers
        await until(lambda: n_under_way(slow) == 0)
        (done,) = await collect(slow, "abc", echo_params(RequestOutputKind.FINAL_ONLY))
        assert done.outputs[0].text == "abc"

    asyncio.run(main())


@pytest.mark.parametrize("kind", RequestOutputKind)
def test_abort(slow, kind):
    async def main():
        prompt = "a long text " * 50
        tasks = [asyncio.create_task(collect(slow, prompt, echo_params(kind), f"r{i}")) for i in range(3)]
        await until(lambda: n_under_way(slow) == 3)
        await slow.abort("r0")
        await slow.abort(["r1", "r2", "unknown"])
        for outputs in await asyncio.wait_for(asyncio.gather(*tasks), 20):
            assert outputs[-1].finished and outputs[-1].outputs[0].finish_reason == "abort"
            assert outputs[-1].outputs[0].stop_reason is None
        await until(lambda: n_under_way(slow) == 0)

    asyncio.run(main())


def test_a_request_that_waits_is_aborted_too(slow):
    async def main():
        first = [asyncio.create_task(collect(slow, "x" * 2000, echo_params(), f"r{i}")) for i in range(4)]
        await until(lambda: slow.stats.n_running == 4)
        waiting = asyncio.create_task(collect(slow, "y", echo_params(), "waits"))
        await until(lambda: slow.stats.n_waiting == 1)
        await slow.abort("waits")
        (output,) = await waiting
        assert output.outputs[0].finish_reason == "abort" and output.outputs[0].token_ids == []
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)

    asyncio.run(main())


def test_priorities(demo):
    engine = AsyncLLM("echo:", echo_step_us=2000, max_num_seqs=1, **QUIET)
    ended = []

    async def ask(name, priority):
        await collect(engine, "abcd", echo_params(RequestOutputKind.FINAL_ONLY), name, priority=priority)
        ended.append(name)

    async def main():
        first = asyncio.create_task(ask("first", -9))
        await until(lambda: engine.stats.n_running == 1)
        await asyncio.gather(first, ask("late", 2), ask("soon", -1), ask("middle", 0))

    asyncio.run(main())
    assert ended == ["first", "soon", "middle", "late"]


def test_several_loops_share_a_model(echo):
    texts = []

    def work(name):
        async def main():
            outputs = await asyncio.gather(*(collect(echo, f"{name} {i}", echo_params(), f"{name} {i}") for i in range(50)))
            texts.extend(output[-1].outputs[0].text for output in outputs)

        asyncio.run(main())

    threads = [threading.Thread(target=work, args=(f"thread {i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts) == sorted(f"thread {i} {j}" for i in range(3) for j in range(50))
    assert not echo._readers


def test_the_tokens_are_llms(model, demo):
    prompts = [f"{start} {i}" for i in range(8) for start in ("I am", "Today is")]
    params = SamplingParams(seed=3, max_tokens=12, output_kind=RequestOutputKind.FINAL_ONLY)
    expected = LLM(demo, **QUIET).generate(prompts, params, use_tqdm=False)

    async def main():
        return await asyncio.gather(*(collect(model, prompt, params, prompt) for prompt in prompts))

    for (output,), other in zip(asyncio.run(main()), expected, strict=True):
        assert output.outputs == other.outputs


def test_refusals(echo):
    def refused(error, match, *args, **given):
        with pytest.raises(error, match=match):
            asyncio.run(collect(echo, *args, **given))

    refused(ValueError, "^prompt", [10**6], GREEDY)
    refused(TypeError, "^prompt: expected token ids", 7, GREEDY)
    refused(TypeError, "expected SamplingParams", "x", None)
    refused(ValueError, "leave no room", "x" * 5000, GREEDY)
    refused(TypeError, "^priority: expected an integer", "x", GREEDY, priority=0.5)
    refused(NotImplementedError, "lora_request", "x", GREEDY, lora_request=1)
    refused(TypeError, "'lora_reqest'.*did you mean 'lora_request'", "x", GREEDY, lora_reqest=1)
    with pytest.raises(TypeError, match="'max_num_sequences'.*did you mean 'max_num_seqs'"):
        AsyncEngineArgs("echo:", max_num_sequences=3)
    with pytest.raises(NotImplementedError, match="^AsyncLLM: tensor_parallel_size"):
        AsyncLLM("echo:", tensor_parallel_size=2)
    assert not echo._under_way and not echo._readers

    async def twice():
        outputs = echo.generate("x", echo_params(), "same")
        await anext(outputs)
        with pytest.raises(ValueError, match="request_id: 'same' is under way"):
            await collect(echo, "x", echo_params(), "same")
        await outputs.aclose()

    asyncio.run(twice())


def test_shutdown():
    engine = AsyncLLM("echo:", echo_step_us=5000, **QUIET)

    async def main():
        await engine.check_health()
        task = asyncio.create_task(collect(engine, "a long text " * 50, echo_params()))
        await until(lambda: n_under_way(engine) == 1)
        engine.shutdown()
        outputs = await asyncio.wait_for(task, 20)
        assert outputs[-1].outputs[0].finish_reason == "abort"
        assert not engine.is_running and engine.is_stopped and not engine.errored
        with pytest.raises(RuntimeError, match="shutdown"):
            await collect(engine, "x", GREEDY)
        with pytest.raises(RuntimeError, match="shutdown"):
            await engine.check_health()
        assert (await engine.get_tokenizer()).decode([65]) == "A"

    asyncio.run(main())


def test_a_closed_loop_leaves_nothing_behind(slow):
    async def main():
        outputs = slow.generate("a long text " * 50, echo_params(), "r")
        await anext(outputs)
        return outputs

    outputs = asyncio.run(main())  # the loop closes the generator
    assert not slow._under_way and not slow._readers
    del outputs
    gc.collect()
    asyncio.run(until(lambda: n_under_way(slow) == 0))


def test_names_are_vllms():
    assert octavo.AsyncLLMEngine is AsyncLLM
    assert [kind.name for kind in RequestOutputKind] == ["CUMULATIVE", "DELTA", "FINAL_ONLY"]
    for name in ("AsyncLLM", "AsyncLLMEngine", "AsyncEngineArgs", "RequestOutputKind", "BeamSearchParams"):
        assert name in octavo.__all__ and getattr(octavo, name)
