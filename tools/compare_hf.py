#!/usr/bin/env python3
"""Loads a W8A8 folder that Octavo wrote in Hugging Face transformers with the compressed-tensors package, and compares.

  tools/compare_hf.py MODEL --octavo build/release/octavo [--text FILE] [--tokens 256]

1. The weights that compressed-tensors dequantizes equal `codes * scale` bit for bit.
   The scales and zero points of static inputs are the stored ones.
2. Logits, on short pieces of a text: with Octavo's rule for activations (dynamic: absmax / 127; static: x / scale is
   rounded before the zero point is added) in place of the package's, and fp32 compute, transformers agrees with `octavo score` to 1e-3 of the largest logit. Asked of F32 checkpoints, and of
   most pieces only: the two sum in another order, and where that moves one activation over the edge between two int8
   codes, all that follows moves by a quantization step. A 16-bit checkpoint has such edges everywhere (activations and
   KV cache in bf16); its difference is shown without a limit.
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


def stored_tensors(folder: pathlib.Path):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})
    return tensors


def octavo_logprobs(program, model, pieces):
    """[n pieces, tokens, n_vocab]: the distribution after every token, by `octavo score`."""
    n_vocab = json.loads((model / "config.json").read_text())["vocab_size"]
    lines = "".join(json.dumps({"ids": ids}) + "\n" for ids in pieces)
    answers = subprocess.run([program, "score", str(model), "--top", str(n_vocab)], input=lines, stdout=subprocess.PIPE,
                             text=True, check=True).stdout
    table = torch.full((len(pieces), len(pieces[0]), n_vocab), float("nan"), dtype=torch.float64)
    for i, answer in enumerate(answers.splitlines()):
        for position, row in enumerate(json.loads(answer)["top"]):
            ids, logprobs = zip(*row)
            table[i, position, list(ids)] = torch.tensor(logprobs, dtype=torch.float64)
    assert not table.isnan().any(), "octavo score left tokens out"
    return table


def token_absmax_127(self, x):
    scale = x.abs().amax(-1, keepdim=True) / 127
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return torch.nn.functional.linear(torch.round(x / scale) * scale, self.weight, self.bias)


def static_input(scale, zero_point):
    def forward(self, x):
        codes = (torch.round(x / scale) + zero_point).clamp(-128, 127)
        return torch.nn.functional.linear((codes - zero_point) * scale, self.weight, self.bias)

    return forward


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--octavo", required=True)
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--pieces", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=8, help="of a piece")
    arguments = parser.parse_args()

    stored = stored_tensors(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model)
    text = arguments.text.read_text(encoding="utf-8") if arguments.text else "It was the best of times. " * 60
    ids = AutoTokenizer.from_pretrained(arguments.model)(text[:20000], add_special_tokens=False)["input_ids"]
    pieces = [ids[i * arguments.tokens :][: arguments.tokens] for i in range(arguments.pieces)]
    tokens = torch.tensor(pieces)
    with torch.no_grad():
        own_rule = model(tokens).logits.double()  # also makes the package dequantize

    n_quantized = n_static = n_different = 0
    for name, module in model.named_modules():
        scale = stored.get(f"{name}.weight_scale")
        if scale is None:
            continue
        n_quantized += 1
        expected = (stored[f"{name}.weight"].float() * scale.float()).to(module.weight.dtype)
        if not torch.equal(expected, module.weight.data):
            n_different += 1
            print(f"{name}: dequantized weights differ")
        static = {key: stored[f"{name}.{key}"] for key in ("input_scale", "input_zero_point") if f"{name}.{key}" in stored}
        n_static += bool(static)
        if static.keys() != {key for key, _ in module.named_parameters() if key.startswith("input_")}:
            n_different += 1
            print(f"{name}: stores {sorted(static)}, the package expects others")
        elif any(not torch.equal(value.float(), getattr(module, key).float()) for key, value in static.items()):
            n_different += 1
            print(f"{name}: static input differs")
    n_stored = sum(name.endswith(".weight_scale") for name in stored)
    print(f"weights: {n_quantized} of {n_stored} quantized linears loaded, {n_static} with static inputs, {n_different} differ")

    half = model.dtype != torch.float32
    torch.nn.Module.float(model)  # transformers refuses its own on a quantized model
    for name, module in model.named_modules():
        scale = stored.get(f"{name}.weight_scale")
        if scale is not None:
            module.quantization_enabled = False
            module.weight.data = stored[f"{name}.weight"].float() * scale.float()
            forward = token_absmax_127
            if f"{name}.input_scale" in stored:
                forward = static_input(stored[f"{name}.input_scale"].float(), stored[f"{name}.input_zero_point"].float())
            module.forward = forward.__get__(module)
    with torch.no_grad():
        replaced = model(tokens).logits.double()

    ours = octavo_logprobs(arguments.octavo, arguments.model, pieces)
    largest = replaced.abs().max()
    failed = n_different > 0 or n_quantized != n_stored or n_quantized == 0
    for what, logits, needed in (("Octavo's activation rule, fp32", replaced, None if half else 0.5),
                                ("the package as it is", own_rule, None)):
        difference = (logits.log_softmax(-1) - ours).abs()
        shares = difference.amax((1, 2)) / largest  # by piece
        agreeing = (shares < 1e-3).double().mean().item()
        print(f"logits, {what}: median piece {shares.median():.1e} of the largest logit ({largest:.1f}), worst {shares.max():.1e}; "
              f"{agreeing:.0%} of {len(pieces)} pieces below 1e-3; mean difference {difference.mean():.1e}")
        failed |= needed is not None and agreeing < needed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
