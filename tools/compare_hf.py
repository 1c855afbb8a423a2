#!/usr/bin/env python3
"""Loads a W8A8 folder that Octavo wrote in Hugging Face transformers with the compressed-tensors package, and compares.

  tools/compare_hf.py MODEL --octavo build/release/octavo [--text FILE] [--tokens 256]

1. The weights that compressed-tensors dequantizes equal `codes * scale` bit for bit.
2. Logits: Octavo's rule for activations (absmax / 127, fp32 products, attention on keys and values rounded to the KV
   cache's type) in place of the package's must agree with `octavo score` to 1e-3 of the largest logit.
3. For information: the difference with the package's own rule (absmax / 127.5) and types.
Needs torch, transformers, compressed-tensors, safetensors. Exit code 1 when 1 or 2 fails."""
import argparse
import json
import pathlib
import subprocess
import sys

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def stored_tensors(folder: pathlib.Path):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})
    return tensors


def octavo_logprobs(program, model, ids):
    """[len(ids), n_vocab]: the distribution after every token, by `octavo score`."""
    n_vocab = json.loads((model / "config.json").read_text())["vocab_size"]
    answer = subprocess.run([program, "score", str(model), "--top", str(n_vocab)], input=json.dumps({"ids": ids}) + "\n",
                            capture_output=True, text=True, check=True).stdout
    rows = json.loads(answer)["top"]
    table = torch.full((len(ids), n_vocab), float("nan"), dtype=torch.float64)
    for i, row in enumerate(rows):
        for token, logprob in row:
            table[i, token] = logprob
    assert not table.isnan().any(), "octavo score left tokens out"
    return table


def attention_on_rounded_cache(kv_dtype):
    """Eager attention in fp32 whose q, keys, values and probabilities are rounded as docs/NUMERICS.md says."""
    def rounded(x):
        return x.to(kv_dtype).float()

    def attention(module, query, key, value, attention_mask, scaling=None, **_):
        groups = query.shape[1] // key.shape[1]
        key, value = (rounded(x).repeat_interleave(groups, dim=1) for x in (key, value))
        scores = (rounded(query) @ key.transpose(2, 3)) * scaling
        n = scores.shape[-1]
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf"))
        weights = rounded(torch.exp(scores - scores.amax(-1, keepdim=True)))
        return ((weights @ value) / weights.sum(-1, keepdim=True)).transpose(1, 2).contiguous(), None

    return attention


def token_absmax_127(self, x):
    scale = x.abs().amax(-1, keepdim=True) / 127
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return torch.nn.functional.linear(torch.round(x / scale) * scale, self.weight, self.bias)


def in_16_bit(self, x):
    return torch.nn.functional.linear(x.to(torch.bfloat16).float(), self.weight, self.bias)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--octavo", required=True)
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=256)
    arguments = parser.parse_args()

    stored = stored_tensors(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model)
    text = arguments.text.read_text(encoding="utf-8") if arguments.text else "It was the best of times. " * 40
    ids = AutoTokenizer.from_pretrained(arguments.model)(text, add_special_tokens=False)["input_ids"][: arguments.tokens]
    tokens = torch.tensor([ids])
    with torch.no_grad():
        own_rule = model(tokens).logits[0].double()  # also makes the package dequantize

    n_quantized = n_different = 0
    for name, module in model.named_modules():
        scale = stored.get(f"{name}.weight_scale")
        if scale is None:
            continue
        n_quantized += 1
        expected = (stored[f"{name}.weight"].float() * scale.float()).to(module.weight.dtype)
        if not torch.equal(expected, module.weight.data):
            n_different += 1
            print(f"{name}: dequantized weights differ")
    n_stored = sum(name.endswith(".weight_scale") for name in stored)
    print(f"weights: {n_quantized} of {n_stored} quantized linears loaded, {n_different} differ")

    half = model.dtype != torch.float32
    model = model.float()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            scale = stored.get(f"{name}.weight_scale")
            if scale is not None:
                module.weight.data = stored[f"{name}.weight"].float() * scale.float()
            rule = token_absmax_127 if scale is not None else in_16_bit if half else None
            module.quantization_enabled = False
            if rule is not None:
                module.forward = rule.__get__(module)
    ALL_ATTENTION_FUNCTIONS.register("octavo", attention_on_rounded_cache(torch.bfloat16 if half else torch.float32))
    model.config._attn_implementation = "octavo"
    with torch.no_grad():
        replaced = model(tokens).logits[0].double()

    ours = octavo_logprobs(arguments.octavo, arguments.model, ids)
    largest = replaced.abs().max()
    failed = n_different > 0 or n_quantized != n_stored or n_quantized == 0
    for what, logits, limit in (("Octavo's activation rule, fp32", replaced, 1e-3), ("the package as it is", own_rule, None)):
        difference = (logits.log_softmax(-1) - ours).abs()
        share = (difference.max() / largest).item()
        print(f"logits, {what}: max {difference.max():.3e} ({share:.2e} of the largest logit {largest:.2f}), "
              f"mean {difference.mean():.3e}" + (f"; limit {limit:g}" if limit else ""))
        failed |= limit is not None and share > limit
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
