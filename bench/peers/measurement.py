"""What every peer is asked to do, and the rows it answers with: the same works, units and medians as
`octavo bench --json`. A peer is a Peer, or a SteppedPeer where its library runs one step at a time."""
import argparse
import json
import statistics
import sys
import time

N_STEPS = 16  # of a decode run, as octavo bench


class Peer:
    """Sequences of token ids, side by side, greedy."""

    name = ""
    dtype = ""
    isa = ""  # what it says that it runs on

    def generate(self, prompts, n_tokens):
        """prompts: a list of equally long lists of ids. n_tokens >= 1 for each. When each token of all was there, in
        seconds from the beginning: [n_tokens], the first with the prompt."""
        raise NotImplementedError


class SteppedPeer(Peer):
    """Each call blocks until its logits are there."""

    def start(self, n_sequences, max_tokens):
        """Room for so many sequences of so many tokens, all empty."""
        raise NotImplementedError

    def prefill(self, prompts):
        """prompts: a list of equally long lists of ids, one a sequence."""
        raise NotImplementedError

    def decode(self):
        """A token for each sequence, greedy."""
        raise NotImplementedError

    def generate(self, prompts, n_tokens):
        self.start(len(prompts), len(prompts[0]) + n_tokens)
        begin = time.perf_counter()
        self.prefill(prompts)
        times = [time.perf_counter() - begin]
        for _ in range(n_tokens - 1):
            self.decode()
            times.append(time.perf_counter() - begin)
        return times


def random_tokens(n, seed):
    """Ids without a pattern that every vocabulary of the shapes has."""
    return [(i * 7919 + seed * 104729) % 150000 + 1 for i in range(n)]


def row(peer, work, seconds, n_tokens, **where):
    rates = sorted(n_tokens / s for s in seconds)
    return {"peer": peer.name, "work": work, "dtype": peer.dtype, "isa": peer.isa, "value": statistics.median(rates),
            "unit": "tok/s", "min": rates[0], "max": rates[-1], "runs": len(rates), **where}


def prefill_row(peer, m, repetitions):
    prompt = random_tokens(m, 1)
    seconds = [peer.generate([prompt], 1)[0] for _ in range(repetitions + 1)]
    return row(peer, "prefill", seconds[1:], m, m=m, batch=1, context=0)


def decode_row(peer, batch, context, repetitions):
    prompts = [random_tokens(max(context, 1), s) for s in range(batch)]
    seconds = []
    for _ in range(repetitions + 1):
        times = peer.generate(prompts, N_STEPS + 2)
        seconds.append(times[-1] - times[1])  # the first step is no run's: it may still prepare
    return row(peer, "decode", seconds[1:], batch * N_STEPS, m=batch, batch=batch, context=context)


def requests_row(peer, n, prompt, output, repetitions):
    """Output tokens a second of n requests that arrive together."""
    prompts = [random_tokens(prompt, s) for s in range(n)]
    seconds = [peer.generate(prompts, output)[-1] for _ in range(repetitions)]
    return row(peer, "engine", seconds, n * output, m=prompt, batch=n, context=prompt + output)


def numbers(text):
    return [int(word) for word in text.split(",") if word]


def main(make_peer):
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="what bench/peers/make_model.py made for this peer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--prefill", type=numbers, default=[512, 2048])
    parser.add_argument("--context", type=numbers, default=[0, 2048])
    parser.add_argument("--batch", type=numbers, default=[4, 16])
    parser.add_argument("--requests", type=numbers, default=[], help="requests of 128 + 64 tokens, such as 1,4,16,64")
    arguments = parser.parse_args()
    peer = make_peer(arguments.model, arguments.threads)
    rows = []

    def add(new):
        rows.append(new)
        print(f"{new['peer']}: {new['work']} m {new['m']} batch {new['batch']} at {new['context']}: "
              f"{new['value']:.1f} tok/s ({new['min']:.1f}…{new['max']:.1f})", file=sys.stderr, flush=True)

    for m in arguments.prefill:
        add(prefill_row(peer, m, arguments.repetitions))
    for context in arguments.context:
        add(decode_row(peer, 1, context, arguments.repetitions))
    for batch in arguments.batch:
        add(decode_row(peer, batch, 0, arguments.repetitions))
    for n in arguments.requests:
        add(requests_row(peer, n, 128, 64, min(arguments.repetitions, 2)))
    json.dump(rows, sys.stdout, indent=1)
    print()
