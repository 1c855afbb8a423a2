"""CTranslate2 through its Generator. The last token of a prompt is always a step of its own there, so its prefill has one
step more than the others':
    ctranslate2_peer.py FOLDER [--threads 2 …]"""
import os
import re
import tempfile
import time

os.environ["CT2_VERBOSE"] = "1"  # read when the library is loaded

import ctranslate2  # noqa: E402

import measurement  # noqa: E402


def with_log(call):
    """What call gives, and what was written to file descriptor 2 meanwhile."""
    kept = os.dup(2)
    with tempfile.TemporaryFile(mode="w+") as file:
        os.dup2(file.fileno(), 2)
        try:
            result = call()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return result, file.read()


class CTranslate2(measurement.Peer):
    name = f"CTranslate2 ({ctranslate2.__version__})"
    dtype = "int8"

    def __init__(self, folder, threads):
        self._generator, log = with_log(
            lambda: ctranslate2.Generator(folder, compute_type="int8", intra_threads=threads))
        facts = dict(re.findall(r"- ([^:]*): (\S+)", log))
        self.isa = (f"own loops {facts.get('Selected ISA')}, int8 products {facts.get('GEMM_S8 backend')}, "
                    f"compute type {facts.get('Selected compute type')}")

    def generate(self, prompts, n_tokens):
        times = [0.0] * n_tokens

        def note(result):  # once for each sequence of a step
            times[result.step] = time.perf_counter() - begin
            return False

        words = [[f"t{token}" for token in prompt] for prompt in prompts]  # make_model.py's vocabulary
        begin = time.perf_counter()
        self._generator.generate_batch(words, include_prompt_in_result=False, min_length=n_tokens,
                                       max_length=n_tokens, callback=note)
        return times


if __name__ == "__main__":
    measurement.main(CTranslate2)
