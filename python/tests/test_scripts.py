"""The documentation's two scripts, whole: quantize the demo model with ``PTQ``, generate from it with ``LLM``.

Once with import lines changed by the one rule (the first word becomes ``octavo``), once with not a letter changed,
through ``python -m octavo.compat``. What the documentation leaves undefined is defined above it; the model is the demo
under the documentation's name.
"""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import octavo

DEFINITIONS = """\
from collections import OrderedDict
from mindspore_gs.ptq import PTQMode
import mindspore as ms
quant_mode = PTQMode.QUANTIZE
"""
QUANTIZE = '''\
from mindformers import AutoModel
from mindformers import AutoTokenizer
network = AutoModel.from_pretrained("Qwen3-8B-bf16")
tokenizer = AutoTokenizer.from_pretrained("Qwen3-8B-bf16")

from mindspore import GeneratorDataset
ds = GeneratorDataset(source="ceval", column_names=["subjects", "input_ids", "labels"])

from mindspore import dtype as msdtype
from mindspore_gs.ptq import PTQ
from mindspore_gs.common import BackendTarget
from mindspore_gs.ptq import PTQConfig, PTQMode, OutliersSuppressionType, QuantGranularity, PrecisionRecovery
cfg = PTQConfig(mode=quant_mode, backend=BackendTarget.ASCEND, weight_quant_dtype=msdtype.int8,
                act_quant_dtype=msdtype.int8, outliers_suppression=OutliersSuppressionType.SMOOTH,
                opname_blacklist=['lm_head'])
w2_config = PTQConfig(mode=quant_mode, backend=BackendTarget.ASCEND, weight_quant_dtype=msdtype.int8,
                      act_quant_dtype=msdtype.int8, outliers_suppression=OutliersSuppressionType.NONE,
                      precision_recovery=PrecisionRecovery.NONE,
                      act_quant_granularity=QuantGranularity.PER_TOKEN,
                      weight_quant_granularity=QuantGranularity.PER_CHANNEL)
layer_policies = OrderedDict({r'.*\\.w2.*': w2_config})
ptq = PTQ(config=cfg, layer_policies=layer_policies)
from research.qwen3.qwen3_transformers import Qwen3ParallelTransformerLayer
ptq.decoder_layer_types.append(Qwen3ParallelTransformerLayer)
ptq.apply(network, ds)
ptq.convert(network)
ms.save_checkpoint(network.parameters_dict(), "Qwen3-8B-A8W8", format="safetensors",
                   choice_func=lambda x: "key_cache" not in x and "value_cache" not in x and "float_weight" not in x)
'''
GENERATE = '''\
import vllm_mindspore
from vllm import LLM, SamplingParams
prompts = ["I am", "Today is", "Llama is"]
sampling_params = SamplingParams(temperature=0.0, top_p=0.95)
llm = LLM(model="Qwen3-8B-A8W8", quantization='SmoothQuant')
outputs = llm.generate(prompts, sampling_params)
for output in outputs:
    prompt = output.prompt
    generated_text = output.outputs[0].text
    print(f"Prompt: {prompt!r}, Generated text: {generated_text!r}")
'''


def with_octavo_imports(script: str) -> str:
    """The rule: the first component of an imported module's name becomes octavo; research goes under it."""
    script = re.sub(r"^(from|import) research\b", r"\1 octavo.research", script, flags=re.MULTILINE)
    return re.sub(r"^(from|import) (?:mindformers|mindspore_gs|mindspore|vllm_mindspore|vllm)\b", r"\1 octavo", script,
                  flags=re.MULTILINE)


def run(script: str, name: str, workplace: Path, compat: bool) -> str:
    """What the script prints; it must end well."""
    (workplace / name).write_text(script if compat else with_octavo_imports(script), encoding="utf-8")
    module = ["-m", "octavo.compat"] if compat else []
    done = subprocess.run([sys.executable, *module, name], cwd=workplace, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_import_rule() -> None:
    changed = with_octavo_imports(DEFINITIONS + QUANTIZE + GENERATE)
    assert re.findall(r"^(?:from|import) (\S+)", changed, re.MULTILINE) == [
        "collections", "octavo.ptq", "octavo", "octavo", "octavo", "octavo", "octavo", "octavo.ptq", "octavo.common",
        "octavo.ptq", "octavo.research.qwen3.qwen3_transformers", "octavo", "octavo"]


@pytest.mark.parametrize("compat", [False, True], ids=["imports changed", "unchanged"])
def test_both_scripts(compat: bool, workplace: Path, ceval: Path) -> None:
    summary = run(DEFINITIONS + QUANTIZE, "quantize.py", workplace, compat)
    assert summary.startswith("Qwen3-8B-bf16: 35 of 36 linear layers are int8\n")
    assert (workplace / "Qwen3-8B-A8W8" / "quantization_description.json").is_file()
    assert not [path.name for path in workplace.iterdir() if path.name.startswith(".octavo-")]
    lines = run(GENERATE, "generate.py", workplace, compat).splitlines()
    assert [re.match(r"Prompt: ('[^']+'), Generated text: (['\"]).+\2$", line) is not None for line in lines] == [True] * 3
    assert [line.split(", Generated")[0] for line in lines] == ["Prompt: 'I am'", "Prompt: 'Today is'",
                                                                "Prompt: 'Llama is'"]


def scripts_of_the_page() -> list[str]:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_the_page_shows_these_scripts() -> None:
    assert scripts_of_the_page()[:2] == [with_octavo_imports(DEFINITIONS + QUANTIZE), with_octavo_imports(GENERATE)]


def test_the_pages_other_scripts_run(demo: str, capfd: pytest.CaptureFixture[str]) -> None:
    search, serve = (script.replace("Qwen3-8B-A8W8", demo) for script in scripts_of_the_page()[2:])
    llm = octavo.LLM(demo, use_tqdm_on_load=False)
    exec(search, {"llm": llm, "prompts": ["I am"]})
    (best,) = llm.beam_search("I am", octavo.BeamSearchParams(4, 16))[0].sequences[:1]
    assert capfd.readouterr().out == f"{best.text} {best.cum_logprob}\n"
    exec(serve, {})
    params = octavo.SamplingParams(temperature=0, max_tokens=64)
    assert capfd.readouterr().out == llm.generate("I am", params, use_tqdm=False)[0].outputs[0].text
