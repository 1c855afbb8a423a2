#!/usr/bin/env python3
"""Writes tests/golden: tiny random models as Hugging Face folders, and what transformers computes with them.

    python tools/make_golden.py [OUT]        needs torch, transformers, safetensors

For a model NAME, OUT/NAME/ is the folder and OUT/NAME.safetensors holds the expectations:
    tokens   I64 [t]         the input
    logits   F32 [t, vocab]  of the stored weights, computed in fp32
    low      F32 [t, vocab]  (BF16 and F16 models) of transformers in that type: the error we may make twice
    hidden   F32 [n_layers + 1, t, d_model]  (some models) the residual stream before each layer and after the last
    tap.L.S  F32 [t, k]      (some models) what layer L's q_proj, o_proj, gate_proj, down_proj read (S = 0 … 3)
OUT/demo.safetensors is for models/demo, on a text of English and Chinese; its logits are too wide to keep them all:
    nll      F32 [t - 1]     -log p(tokens[i + 1]), and nll_low of transformers in bf16
    logits   F32 [vocab], low  after the last token
The int8 model's linears are evaluated as Octavo defines W8A8 (docs/NUMERICS.md), everything else in fp32.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

QWEN3, LLAMA = "Qwen3ForCausalLM", "LlamaForCausalLM"
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}
CT_GROUP = {
    "targets": ["Linear"],
    "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False},
    "input_activations": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True},
}
CT_CONFIG = {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
             "ignore": ["lm_head"], "config_groups": {"group_0": CT_GROUP}}

# heads: (query, kv). Odd counts, head_dim apart from hidden/heads, lengths past one KV block of 64: what breaks
# first. `extra` goes into config.json as it is.
MODELS = {
    "qwen3-f32": dict(arch=QWEN3, dtype="F32", d=40, heads=(3, 1), head_dim=16, d_ff=72, layers=2, vocab=101, t=70,
                      details=True),
    "qwen3-bf16-tied": dict(arch=QWEN3, dtype="BF16", d=48, heads=(6, 2), head_dim=8, d_ff=88, layers=3, vocab=128,
                            t=67, tied=True),
    "qwen3-f32-bias": dict(arch=QWEN3, dtype="F32", d=36, heads=(7, 1), head_dim=10, d_ff=52, layers=2, vocab=67,
                           t=40, extra={"attention_bias": True}, save_pretrained=True),
    "qwen3-f32-long": dict(arch=QWEN3, dtype="F32", d=32, heads=(4, 2), head_dim=34, d_ff=48, layers=2, vocab=61,
                           t=200, extra={"rope_theta": 1e6}),
    "llama-f32-llama3": dict(arch=LLAMA, dtype="F32", d=40, heads=(5, 5), head_dim=12, d_ff=64, layers=2, vocab=96,
                             t=70, extra={"rope_scaling": LLAMA3_ROPE}, save_pretrained=True, details=True),
    "llama-bf16-bias": dict(arch=LLAMA, dtype="BF16", d=40, heads=(4, 2), head_dim=None, d_ff=96, layers=2, vocab=99,
                            t=66, extra={"attention_bias": True, "mlp_bias": True}),
    "llama-f16-linear": dict(arch=LLAMA, dtype="F16", d=42, heads=(6, 3), head_dim=14, d_ff=60, layers=2, vocab=80,
                             t=65, tied=True, extra={"rope_scaling": {"type": "linear", "factor": 2.0}}),
    "qwen3-int8": dict(arch=QWEN3, dtype="F32", d=40, heads=(3, 1), head_dim=16, d_ff=72, layers=2, vocab=101, t=70,
                       int8=True),
}
TORCH = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def config_of(m):
    config = {
        "architectures": [m["arch"]],
        "model_type": "qwen3" if m["arch"] == QWEN3 else "llama",
        "hidden_size": m["d"],
        "intermediate_size": m["d_ff"],
        "num_hidden_layers": m["layers"],
        "num_attention_heads": m["heads"][0],
        "num_key_value_heads": m["heads"][1],
        "vocab_size": m["vocab"],
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": m.get("tied", False),
        "bos_token_id": 1,
        "eos_token_id": [2, 3],
    }
    if m["head_dim"] is not None:
        config["head_dim"] = m["head_dim"]
    return config | m.get("extra", {})


def random_weights(model, seed):
    """Weights that make attention sharp and logits of order one, where the default 0.02 makes both flat."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            value = 1 + 0.3 * noise
        elif parameter.dim() == 1:
            value = 0.2 * noise
        elif "embed_tokens" in name:
            value = noise
        else:
            value = 1.5 * noise / parameter.shape[1] ** 0.5
        parameter.data.copy_(value)


class W8A8(torch.nn.Module):
    """y = float(sum codes) * w_scale * x_scale, dynamic absmax/127 per token."""

    def __init__(self, weight):
        super().__init__()
        scale = weight.abs().amax(1, keepdim=True) / 127
        self.scale = scale
        self.codes = torch.round(weight / scale).clamp(-127, 127)

    def forward(self, x):
        x_scale = x.abs().amax(-1, keepdim=True) / 127
        x_codes = torch.round(x / x_scale)
        sums = (x_codes.double() @ self.codes.double().T).float()
        return sums * self.scale.squeeze(1) * x_scale


def quantize(model, tensors):
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            quantized = W8A8(module.weight.data)
            parent, leaf = name.rsplit(".", 1)
            setattr(model.get_submodule(parent), leaf, quantized)
            tensors[name + ".weight"] = quantized.codes.to(torch.int8)
            tensors[name + ".weight_scale"] = quantized.scale


def evaluate(model, tokens, details):
    taps = {}
    handles = []
    sites = ["self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"]
    if details:
        for layer, block in enumerate(model.model.layers):
            for site, name in enumerate(sites):
                def listen(_, inputs, key=f"tap.{layer}.{site}"):
                    taps[key] = inputs[0][0].float().contiguous()
                handles.append(block.get_submodule(name).register_forward_pre_hook(listen))
        # hidden_states of the model's output would have the final norm in its last entry.
        stream = []
        handles.append(model.model.layers[0].register_forward_pre_hook(
            lambda _, args, kwargs: stream.append((args[0] if args else kwargs["hidden_states"])[0].clone()),
            with_kwargs=True))
        for block in model.model.layers:
            handles.append(block.register_forward_hook(
                lambda _, __, out: stream.append((out[0] if isinstance(out, tuple) else out)[0].clone())))
    with torch.no_grad():
        logits = model(tokens[None]).logits[0].float().contiguous()
    for handle in handles:
        handle.remove()
    if details:
        taps["hidden"] = torch.stack(stream).float().contiguous()
    return logits, taps


def load(folder, dtype):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def make(out, name, m, seed):
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(m)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.from_pretrained(folder), attn_implementation="eager").float().eval()
    random_weights(model, seed)
    tensors = {key: value.detach().to(TORCH[m["dtype"]]).contiguous() for key, value in model.state_dict().items()
               if not (m.get("tied") and key == "lm_head.weight")}
    weights = folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})

    generator = torch.Generator().manual_seed(seed + 1)
    tokens = torch.randint(0, m["vocab"], (m["t"],), generator=generator)
    expected = {"tokens": tokens}
    reference = load(folder, torch.float32)
    if m.get("int8"):
        quantize(reference, tensors)
        save_file(tensors, weights, metadata={"format": "pt"})
        config["quantization_config"] = CT_CONFIG
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    expected["logits"], details = evaluate(reference, tokens, m.get("details", False))
    expected |= details
    if m["dtype"] != "F32":
        expected["low"], _ = evaluate(load(folder, TORCH[m["dtype"]]), tokens, False)
        error = (expected["low"] - expected["logits"]).abs().max() / expected["logits"].abs().max()
        print(f"{name}: transformers in {m['dtype']} is off by {error:.2e}")
    if m.get("save_pretrained"):  # config.json as transformers itself writes it today (rope_parameters)
        reference.config.architectures = [m["arch"]]
        reference.config.dtype = TORCH[m["dtype"]]
        reference.config.save_pretrained(folder)
    save_file(expected, out / (name + ".safetensors"))
    for file in [weights, out / (name + ".safetensors")]:
        file.chmod(0o644)  # safetensors makes its files private
    size = sum(f.stat().st_size for f in [*folder.iterdir(), out / (name + ".safetensors")])
    print(f"{name}: max |logit| {expected['logits'].abs().max():.2f}, {size / 1024:.0f} KiB")


DEMO_TEXT = """The rain had not ceased since morning, and Mr. Harding, who disliked nothing so much as a wet
journey, stood at the window of the inn and looked down upon the yard. "You will not go to-night, sir?" said the
landlady. He answered that he must; that his sister was expecting him, and that he had never yet broken his word.
是岁大旱，民多饥。太守开仓以赈之，全活者甚众。帝闻而嘉之，赐帛百匹。"""


def make_demo(out):
    folder = pathlib.Path(__file__).parent.parent / "models/demo"
    tokens = torch.tensor(transformers.AutoTokenizer.from_pretrained(folder)(DEMO_TEXT)["input_ids"])
    expected = {"tokens": tokens}
    for suffix, dtype in [("", torch.float32), ("_low", torch.bfloat16)]:
        logits, _ = evaluate(load(folder, dtype), tokens, False)
        nll = torch.nn.functional.cross_entropy(logits[:-1], tokens[1:], reduction="none")
        expected["nll" + suffix] = nll
        expected["low" if suffix else "logits"] = logits[-1].contiguous()
        print(f"demo{suffix}: {len(tokens)} tokens, {nll.mean():.4f} nats a token")
    save_file(expected, out / "demo.safetensors")
    (out / "demo.safetensors").chmod(0o644)


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests/golden")
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for seed, (name, m) in enumerate(MODELS.items()):
        make(out, name, m, 1000 * (seed + 1))
    make_demo(out)
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{total / 1e6:.2f} MB in all")


if __name__ == "__main__":
    main()
