#!/usr/bin/env python3
"""Writes tests/golden/golden-stick: one tiny model in every layout that Golden Stick and msModelSlim write.

    python tools/make_golden_stick.py [OUT]        needs numpy alone

A second implementation of the formats and of their arithmetic, in double precision and independent of Octavo:
min-max ranges, smoothing with exponent 0.5, static asymmetric inputs, a dynamic down projection. OUT/NAME/ is a
folder; OUT/expected.safetensors holds
    tokens      I64 [t]
    float       F32 [t, vocab]  logits of the model before it was quantized
    NAME        F32 [t, vocab]  logits of that folder, by what its tensors say:
        q = clip(round(x / input_scale) + zp, -128, 127);  y = (q w^T - zp sum_k w) * deq_scale
        dynamic: t = max|x| / 127 of a token;  y = (round(x / t) w^T) * t * weight_scale
"""

import json
import pathlib
import struct
import sys

import numpy as np

D, HEADS, KV_HEADS, HEAD_DIM, D_FF, VOCAB, LAYERS, T = 24, 4, 2, 10, 36, 40, 1, 12
EPS, THETA = 1e-6, 10000.0
CONFIG = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": D, "intermediate_size": D_FF,
          "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
          "head_dim": HEAD_DIM, "vocab_size": VOCAB, "max_position_embeddings": 64, "rms_norm_eps": EPS,
          "rope_theta": THETA, "hidden_act": "silu", "tie_word_embeddings": False}
GROUPS = (("q", "k", "v"), ("o",), ("gate", "up"))  # linears that read one input, all static
STATIC = [slot for group in GROUPS for slot in group]
HUGGING_FACE = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
                "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
MINDFORMERS = {"q": "attention.wq", "k": "attention.wk", "v": "attention.wv", "o": "attention.wo",
               "gate": "feed_forward.w1", "up": "feed_forward.w3", "down": "feed_forward.w2"}


def to_bf16(x):
    """The nearest bfloat16, as float32; ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


class BF16:
    """An array to be stored as BF16."""

    def __init__(self, x):
        self.bits = (to_bf16(x).view(np.uint32) >> 16).astype(np.uint16)


def save(path, tensors):
    names = {"float32": "F32", "int8": "I8", "int32": "I32", "int64": "I64"}
    header, data = {"__metadata__": {"format": "ms"}}, b""
    for name, x in tensors.items():
        array, dtype = (x.bits, "BF16") if isinstance(x, BF16) else (x, names[x.dtype.name])
        place = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": place}
        data += np.ascontiguousarray(array).tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


# The model: {"embed", "head", "norm", "layers": [{slot: w, "norm1", "norm2", "q_norm", "k_norm"}]}.
def random_model(rng):
    def matrix(n, k):
        return to_bf16(rng.normal(0, 1.2 / np.sqrt(k), (n, k))).astype(np.float64)

    def norm(n, outliers):
        w = rng.uniform(0.5, 1.5, n)
        w[rng.choice(n, outliers, replace=False)] *= 7
        return to_bf16(w).astype(np.float64)

    shapes = {"q": (HEADS * HEAD_DIM, D), "k": (KV_HEADS * HEAD_DIM, D), "v": (KV_HEADS * HEAD_DIM, D),
              "o": (D, HEADS * HEAD_DIM), "gate": (D_FF, D), "up": (D_FF, D), "down": (D, D_FF)}
    layers = [{**{slot: matrix(*shape) for slot, shape in shapes.items()}, "norm1": norm(D, 2), "norm2": norm(D, 2),
               "q_norm": norm(HEAD_DIM, 0), "k_norm": norm(HEAD_DIM, 0)} for _ in range(LAYERS)]
    return {"embed": matrix(VOCAB, D) * 2, "head": matrix(VOCAB, D), "norm": norm(D, 0), "layers": layers}


def rms(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight


def rope(x):  # [t, heads, head_dim]
    half = HEAD_DIM // 2
    angle = np.arange(len(x))[:, None] * THETA ** (-np.arange(half) / half)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def forward(model, tokens, linear):
    """Logits [t, vocab]; linear(layer, slot, x) is the product."""
    h = model["embed"][tokens]
    t = len(tokens)
    for i, p in enumerate(model["layers"]):
        x = rms(h, p["norm1"])
        q = rope(rms(linear(i, "q", x).reshape(t, HEADS, HEAD_DIM), p["q_norm"]))
        k = rope(rms(linear(i, "k", x).reshape(t, KV_HEADS, HEAD_DIM), p["k_norm"]))
        v = linear(i, "v", x).reshape(t, KV_HEADS, HEAD_DIM)
        k, v = (np.repeat(a, HEADS // KV_HEADS, 1) for a in (k, v))
        score = np.einsum("shd,thd->hst", q, k) / np.sqrt(HEAD_DIM)
        score[:, np.triu(np.ones((t, t), bool), 1)] = -np.inf
        score = np.exp(score - score.max(-1, keepdims=True))
        a = np.einsum("hst,thd->shd", score / score.sum(-1, keepdims=True), v).reshape(t, -1)
        h = h + linear(i, "o", a)
        x = rms(h, p["norm2"])
        gate, up = linear(i, "gate", x), linear(i, "up", x)
        h = h + linear(i, "down", gate / (1 + np.exp(-gate)) * up)
    return rms(h, model["norm"]) @ model["head"].T


def inputs_of(model, tokens):
    """{(layer, slot): x} of the float model."""
    seen = {}

    def linear(layer, slot, x):
        seen[layer, slot] = x
        return x @ model["layers"][layer][slot].T

    forward(model, tokens, linear)
    return seen


def smoothing(xs, ws):
    """s[k] = max|x|^0.5 / max|w|^0.5 over the linears that share it."""
    x = np.max([np.abs(x).max(0) for x in xs], 0)
    w = np.max([np.abs(w).max(0) for w in ws], 0)
    return np.maximum(np.sqrt(x) / np.sqrt(w), 1e-5)


def weight_codes(w):
    scale = (np.abs(w).max(1) / 127.5).astype(np.float32)
    return np.clip(np.rint(w / scale[:, None]), -128, 127).astype(np.int8), scale


def input_range(xs):
    low, high = min(x.min() for x in xs), max(x.max() for x in xs)
    scale = np.float32((high - low) / 255)
    return scale, int(np.rint(-128 - low / scale))


class Quantized:
    """One linear: what its file says. divisor [k] or [1], deq [n]; dynamic where divisor is None."""

    def __init__(self, w, x_scale=None, zp=0, s=None):
        self.codes, self.w_scale = weight_codes(w if s is None else w * s)
        self.x_scale, self.zp, self.s = x_scale, zp, s
        self.divisor = self.deq = None
        if x_scale is not None:
            self.divisor = np.full(1, x_scale) if s is None else (x_scale * s).astype(np.float32)
            self.deq = np.float32(x_scale) * self.w_scale

    def bias(self):
        return (-self.zp * self.codes.astype(np.int64).sum(1)).astype(np.int32)

    def product(self, x):
        w = self.codes.astype(np.float64)
        if self.divisor is None:
            t = np.abs(x).max(-1, keepdims=True) / 127
            return np.rint(x / t) @ w.T * t * self.w_scale
        q = np.clip(np.rint(x / self.divisor.astype(np.float64)) + self.zp, -128, 127)
        return (q @ w.T - self.zp * w.sum(1)) * self.deq.astype(np.float64)


def quantize(model, seen, share, smooth):
    """{(layer, slot): Quantized}. share: the linears of a group have one range and one s; smooth: s at run time."""
    out = {}
    for i, p in enumerate(model["layers"]):
        for group in GROUPS if share else [(slot,) for slot in STATIC]:
            xs, ws = [seen[i, slot] for slot in group], [p[slot] for slot in group]
            s = smoothing(xs, ws) if smooth else None
            x_scale, zp = input_range([x if s is None else x / s for x in xs])
            for slot in group:
                out[i, slot] = Quantized(p[slot], x_scale, zp, s)
        out[i, "down"] = Quantized(p["down"])
    return out


def fold_smoothing(model, seen):
    """The equivalent model whose norms and v rows divide by s: what the folder's float tensors then are."""
    layers = []
    for i, p in enumerate(model["layers"]):
        p = dict(p)
        for group, norm in ((("q", "k", "v"), "norm1"), (("gate", "up"), "norm2")):
            s = smoothing([seen[i, group[0]]], [p[slot] for slot in group])
            p[norm] = (p[norm] / s).astype(np.float32).astype(np.float64)
            p.update({slot: p[slot] * s for slot in group})
        s = smoothing([seen[i, "o"]], [p["o"]]).reshape(KV_HEADS, HEADS // KV_HEADS, HEAD_DIM)
        s = s.max(1)  # heads of one kv head share its v
        p["v"] = p["v"] / s.reshape(-1)[:, None]
        p["o"] = p["o"] * np.repeat(s[:, None], HEADS // KV_HEADS, 1).reshape(-1)
        layers.append(p)
    return {**model, "layers": layers}


def f32(x):
    return np.asarray(x, np.float32)


def fp32_bits(x):
    return f32(x).view(np.uint32).astype(np.int64)


def float_tensors(model, names):
    """names: embed, norm, norm1, norm2, q_norm, k_norm as the layout calls them."""
    out = {names["embed"]: f32(model["embed"]), names["norm"]: f32(model["norm"]), "lm_head.weight": f32(model["head"])}
    for i, p in enumerate(model["layers"]):
        for key in ("norm1", "norm2", "q_norm", "k_norm"):
            out[f"model.layers.{i}.{names[key]}.weight"] = f32(p[key])
    return out


HUGGING_FACE_FLOATS = {"embed": "model.embed_tokens.weight", "norm": "model.norm.weight", "norm1": "input_layernorm",
                       "norm2": "post_attention_layernorm", "q_norm": "self_attn.q_norm", "k_norm": "self_attn.k_norm"}
MINDFORMERS_FLOATS = {"embed": "model.tok_embeddings.embedding_weight", "norm": "model.norm_out.weight",
                      "norm1": "attention_norm", "norm2": "ffn_norm", "q_norm": "attention.q_norm",
                      "k_norm": "attention.k_norm"}


def mindformers_linear(module, linears, bits, input_type):
    """One linear, or a fused one: its parts' rows under each other, its input's tensors once."""
    rows = lambda of: np.concatenate([of(one) for one in linears])
    first = linears[0]
    out = {f"{module}._layer.weight": rows(lambda one: one.codes)}
    if first.divisor is None:
        return {**out, f"{module}._layer.matmul.weight_scale": f32(first.w_scale)}
    out[f"{module}._layer.matmul.dequant_scale"] = rows(lambda one: fp32_bits(one.deq) if bits else f32(one.deq))
    # As Golden Stick has it: through bf16, to the output's units and back.
    out[f"{module}._layer.matmul.quant_bias"] = rows(
        lambda one: np.rint(to_bf16(one.bias() * one.deq) / one.deq).astype(np.int32))
    out[f"{module}.quant_op.input_scale"] = input_type(first.divisor)
    out[f"{module}.quant_op.input_zp"] = np.full(len(first.divisor), first.zp, np.int8)
    return out


def write_mindformers(folder, model, linears):
    tensors = float_tensors(model, MINDFORMERS_FLOATS)
    for (i, slot), one in linears.items():
        tensors.update(mindformers_linear(f"model.layers.{i}.{MINDFORMERS[slot]}", [one], True, f32))
    save(folder / "Tiny-A8W8.safetensors", tensors)


def write_mindformers_fused(folder, model, linears):
    parts = [float_tensors(model, MINDFORMERS_FLOATS)] + [{} for _ in range(LAYERS)]
    for i in range(LAYERS):
        prefix = f"model.layers.{i}."
        for module, slots in (("attention.w_qkv", "q k v"), ("attention.wo", "o"),
                              ("feed_forward.w_gate_hidden", "gate up"), ("feed_forward.w2", "down")):
            parts[i + 1].update(
                mindformers_linear(prefix + module, [linears[i, slot] for slot in slots.split()], False, BF16))
        parts[i + 1][prefix + "attention.infer_attention.key_cache"] = np.zeros((2, 4), np.float32)
    where = {}
    for n, part in enumerate(parts):
        name = f"part_{n}.safetensors"
        save(folder / name, part)
        where.update({tensor: name for tensor in part})
    (folder / "param_name_map.json").write_text(json.dumps(where, indent=0))


def write_hugging_face(folder, model, linears, one_linear):
    """one_linear(Quantized) -> {leaf: tensor} of a static linear."""
    tensors = float_tensors(model, HUGGING_FACE_FLOATS)
    types = {name: "FLOAT" for name in tensors}
    for (i, slot), one in linears.items():
        module = f"model.layers.{i}.{HUGGING_FACE[slot]}"
        leaves = {"weight": one.codes, "weight_scale": f32(one.w_scale),
                  "weight_offset": np.zeros(len(one.codes), np.int32)}
        if slot != "down":
            leaves.update(one_linear(one))
        for leaf, tensor in leaves.items():
            tensors[f"{module}.{leaf}"] = tensor
            types[f"{module}.{leaf}"] = "W8A8_DYNAMIC" if slot == "down" else "W8A8"
    file = "quant-model-00001-of-00001.safetensors"
    save(folder / file, tensors)
    total = (folder / file).stat().st_size
    total -= 8 + struct.unpack("<Q", (folder / file).read_bytes()[:8])[0]
    index = {"metadata": {"total_size": total}, "weight_map": {name: file for name in tensors}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=0))
    (folder / "quantization_description.json").write_text(json.dumps(types, indent=0))


def ascend_leaves(one):
    k = one.codes.shape[1]
    return {"input_scale": np.broadcast_to(f32(one.divisor), k).copy(), "input_offset": np.full(k, one.zp, np.int8),
            "deq_scale": f32(one.deq), "quant_bias": one.bias()}


def mindformers_leaves(one):
    return {**ascend_leaves(one), "deq_scale": fp32_bits(one.deq), "smooth_scale": f32(1 / one.s)}


def none_leaves(one):
    return {"input_scale": f32(one.divisor), "input_offset": np.full(1, one.zp, np.int32)}


def write_ascend(folder, model, linears):
    tensors = float_tensors(model, HUGGING_FACE_FLOATS)
    types = {"model_quant_type": "W8A8", "version": "1.0.0", **{name: "FLOAT" for name in tensors}}
    for (i, slot), one in linears.items():
        module = f"model.layers.{i}.{HUGGING_FACE[slot]}"
        if slot == "down":
            leaves = {"weight_scale": f32(one.w_scale)[:, None], "weight_offset": np.zeros((D, 1), np.float32)}
        else:
            leaves = {"input_scale": f32(one.divisor), "input_offset": np.full(1, one.zp, np.float32),
                      "quant_bias": one.bias(), "deq_scale": fp32_bits(one.deq)}
        for leaf, tensor in {"weight": one.codes, **leaves}.items():
            tensors[f"{module}.{leaf}"] = tensor
            types[f"{module}.{leaf}"] = "W8A8_DYNAMIC" if slot == "down" else "W8A8"
    save(folder / "quant_model_weight_w8a8.safetensors", tensors)
    (folder / "quant_model_description_w8a8.json").write_text(json.dumps(types, indent=0))


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/golden-stick")
    rng = np.random.default_rng(8)
    model = random_model(rng)
    tokens = rng.integers(0, VOCAB, T)
    seen = inputs_of(model, tokens)
    folded = fold_smoothing(model, seen)
    folded_seen = inputs_of(folded, tokens)
    own = quantize(model, seen, share=False, smooth=True)
    shared = quantize(model, seen, share=True, smooth=True)
    rounded = quantize(model, seen, share=True, smooth=True)
    for one in rounded.values():
        if one.divisor is not None:
            one.divisor = to_bf16(one.divisor)
    one_scale = quantize(folded, folded_seen, share=True, smooth=False)
    plain = quantize(model, seen, share=True, smooth=False)
    layouts = {
        "a": (model, own, write_mindformers),
        "a-fused": (model, rounded, write_mindformers_fused),
        "b-ascend": (folded, one_scale, lambda *args: write_hugging_face(*args, ascend_leaves)),
        "b-none": (folded, one_scale, lambda *args: write_hugging_face(*args, none_leaves)),
        "b-smoothed": (model, shared, lambda *args: write_hugging_face(*args, mindformers_leaves)),
        "c": (model, plain, write_ascend),
    }
    want = forward(model, tokens, lambda i, slot, x: x @ model["layers"][i][slot].T)
    expected = {"tokens": np.asarray(tokens, np.int64), "float": f32(want)}
    for name, (floats, linears, write) in layouts.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
        write(folder, floats, linears)
        logits = forward(floats, tokens, lambda i, slot, x: linears[i, slot].product(x))
        expected[name] = f32(logits)
        print(f"{name:12} relative mean squared error {np.mean((logits - want) ** 2) / np.mean(want ** 2):.5f}")
    save(out / "expected.safetensors", expected)


if __name__ == "__main__":
    main()
