"""OpenVINO's runtime, as OpenVINO GenAI calls it: one stateful model whose keys and values stay inside, token ids
in, the likeliest token out. Sequences are equally long here, so they are one batch without padding:
    openvino_peer.py FOLDER [--threads 2 …]"""
import collections
import os

import numpy
import openvino
from openvino import opset13

import measurement


def keep_last_logits(model):
    """lm_head on the last position alone, as OpenVINO GenAI changes every model it opens."""
    product = model.get_results()[0].input_value(0).get_node()
    while product.get_type_name() != "MatMul":
        product = product.input_value(0).get_node()
    last = opset13.slice(product.input_value(0), numpy.int64([-1]), numpy.int64([-2]), numpy.int64([-1]),
                         numpy.int64([1]))
    product.input(0).replace_source_output(last.output(0))
    model.validate_nodes_and_infer_types()


def kernels(compiled):
    """How often each kernel was chosen for products and norms: "brgemm_avx512_bf16 x197"."""
    chosen = collections.Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        if info["layerType"].astype(str) in ("FullyConnected", "RMS"):
            chosen[info["primitiveType"].astype(str)] += 1
    return ", ".join(f"{name} x{n}" for name, n in chosen.most_common())


VERSION = openvino.get_version().split("-")[0]


class OpenVino(measurement.SteppedPeer):
    name = f"OpenVINO ({VERSION})"
    dtype = "int8"

    def __init__(self, folder, threads):
        core = openvino.Core()
        model = core.read_model(f"{folder}/openvino_model.xml")
        keep_last_logits(model)
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        if os.environ.get("ONEDNN_MAX_CPU_ISA") == "AVX2":
            # What it chooses on a CPU without AVX-512; it asks the CPU and not oneDNN, which would then refuse.
            options |= {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
        elif group := os.environ.get("OPENVINO_INPUT_GROUP"):
            options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = group
            self.name = f"OpenVINO ({VERSION}, {group} inputs a scale)"
        self._compiled = core.compile_model(model, "CPU", options)
        self._inputs = {name for port in self._compiled.inputs for name in port.get_names()}

    def start(self, n_sequences, max_tokens):
        self._request = self._compiled.create_infer_request()
        self._position = 0
        self._next = None
        self.isa = kernels(self._compiled)  # chosen by the first inference

    def _run(self, tokens):
        batch, n = tokens.shape
        end = self._position + n
        inputs = {"input_ids": tokens, "attention_mask": numpy.ones((batch, end), numpy.int64),
                  "position_ids": numpy.tile(numpy.arange(self._position, end, dtype=numpy.int64), (batch, 1)),
                  "beam_idx": numpy.arange(batch, dtype=numpy.int32)}
        self._request.infer({name: value for name, value in inputs.items() if name in self._inputs})
        self._position = end
        self._next = self._request.get_output_tensor(0).data[:, -1, :].argmax(axis=1).reshape(batch, 1)

    def prefill(self, prompts):
        self._run(numpy.array(prompts, dtype=numpy.int64))

    def decode(self):
        self._run(self._next.astype(numpy.int64))


if __name__ == "__main__":
    measurement.main(OpenVino)
