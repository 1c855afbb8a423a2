"""llama.cpp through llama-cpp-python's C interface, token ids in, the likeliest token out:
    llama_cpp_peer.py model.gguf [--threads 2 …]"""
import ctypes
import re

import llama_cpp
import numpy

import measurement

N_BATCH = 512  # rows of a step, as octavo bench


class LlamaCpp(measurement.SteppedPeer):
    name = f"llama.cpp ({llama_cpp.__version__})"
    dtype = "Q8_0"

    def __init__(self, path, threads):
        self._log = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        # "CPU : SSE3 = 1 | … | AVX2 = 1 | AVX512 = 1 | …": what it was built with.
        features = re.findall(r"(AVX\w*) = 1", llama_cpp.llama_print_system_info().decode())
        self.isa = "built with " + ", ".join(features)
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._threads = threads
        self._context = None
        self._batch = llama_cpp.llama_batch_init(N_BATCH, 0, 1)

    def start(self, n_sequences, max_tokens):
        if self._context:
            llama_cpp.llama_free(self._context)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = n_sequences * (max_tokens + 255) // 256 * 256 + 256
        params.n_batch = params.n_ubatch = N_BATCH
        params.n_seq_max = n_sequences
        params.n_threads = params.n_threads_batch = self._threads
        params.kv_unified = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError("llama.cpp made no context")
        self._next = [0] * n_sequences
        self._position = [0] * n_sequences

    def _run(self, rows):
        """rows: (token, sequence, wants logits)."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (token, sequence, is_last) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = self._position[sequence]
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = is_last
            self._position[sequence] += 1
        if llama_cpp.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        for i, (_, sequence, is_last) in enumerate(rows):
            if is_last:
                logits = llama_cpp.llama_get_logits_ith(self._context, i)
                self._next[sequence] = int(numpy.ctypeslib.as_array(logits, (self._n_vocab,)).argmax())

    def prefill(self, prompts):
        rows = [(token, sequence, i + 1 == len(prompt))
                for sequence, prompt in enumerate(prompts) for i, token in enumerate(prompt)]
        for begin in range(0, len(rows), N_BATCH):
            self._run(rows[begin:begin + N_BATCH])

    def decode(self):
        self._run([(token, sequence, True) for sequence, token in enumerate(self._next)])


if __name__ == "__main__":
    measurement.main(LlamaCpp)
