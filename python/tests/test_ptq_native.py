"""``PTQ`` on the real core: what the script's configs ask for is what the core's own preset does."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo import AutoModel, GeneratorDataset, _native, save_checkpoint
from octavo import dtype as msdtype
from octavo.common import BackendTarget
from octavo.datasets import get_datasets
from octavo.ptq import PTQ, OutliersSuppressionType, PTQConfig, QuantGranularity

W2_CONFIG = PTQConfig(weight_quant_dtype=msdtype.int8, act_quant_dtype=msdtype.int8, backend=BackendTarget.CPU,
                      act_quant_granularity=QuantGranularity.PER_TOKEN)


def documented(**fields: Any) -> PTQConfig:
    return PTQConfig(**{"weight_quant_dtype": msdtype.int8, "act_quant_dtype": msdtype.int8,
                        "outliers_suppression": OutliersSuppressionType.SMOOTH, "opname_blacklist": ["lm_head"],
                        "backend": BackendTarget.CPU, **fields})


def values(folder: Path | str) -> dict[str, np.ndarray[Any, Any]]:
    return {name: parameter.asnumpy() for name, parameter in AutoModel.from_pretrained(folder).parameters_dict().items()}


def assert_equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize(("backend", "layout"), [(BackendTarget.CPU, "compressed-tensors"),
                                                 (BackendTarget.ASCEND, "golden-stick")])
def test_the_documented_configs_are_the_preset(backend: BackendTarget, layout: str, workplace: Path, ceval: Path) -> None:
    dataset = GeneratorDataset("ceval", ["subjects", "input_ids", "labels"], num_samples=16)
    network = AutoModel.from_pretrained("Qwen3-8B-bf16")
    w2_config = PTQConfig(weight_quant_dtype=msdtype.int8, act_quant_dtype=msdtype.int8, backend=backend,
                          act_quant_granularity=QuantGranularity.PER_TOKEN)
    ptq = PTQ(documented(backend=backend), OrderedDict({r".*\.w2.*": w2_config}))
    save_checkpoint(ptq.apply(network, dataset), "ours")
    _native.quantize("Qwen3-8B-bf16", "preset", recipe="w8a8-smoothquant", calibration=f"ceval:{ceval}@test",
                     n_samples=16, format=layout)
    assert_equal(values("ours"), values("preset"))
    assert _native.inspect("ours")["healthy"]


def test_samples_by_another_way_give_the_same(workplace: Path, ceval: Path) -> None:
    """Texts, token ids and get_datasets' padded batches of the same questions."""
    network = AutoModel.from_pretrained("Qwen3-8B-bf16")
    texts = GeneratorDataset("ceval", ["input_ids"], num_samples=4)
    prompts = [prompt for (prompt,) in texts]
    sources = [GeneratorDataset(prompts, ["input_ids"]),
               GeneratorDataset([network.tokenizer.encode(prompt) for prompt in prompts], ["input_ids"]),
               get_datasets("ceval", "ceval", "eval", 2, 400, 1, network.tokenizer, -100, need_pad=True, n_samples=4)]
    results = []
    for number, source in enumerate(sources):
        network = AutoModel.from_pretrained("Qwen3-8B-bf16")
        save_checkpoint(PTQ(documented()).apply(network, source), f"out-{number}")
        results.append(values(f"out-{number}"))
    assert_equal(results[0], results[1])
    assert_equal(results[0], results[2])


def test_nearer_to_the_float_model_than_the_original(data: Path, workplace: Path) -> None:
    """Golden Stick's recipe from Golden Stick's source and samples, beside the checkpoint that it wrote itself."""
    expected = json.loads((data / "golden-stick" / "expected.json").read_text())
    reference = np.array(expected["float_last_logits"])  # [samples, n_vocab]

    def error(folder: Path | str) -> float:
        engine = _native.Engine(str(folder))
        logits = np.array([engine.logits(ids)[-1] for ids in expected["input_ids"]])
        return float(np.square(logits - reference).sum() / np.square(reference).sum())

    network = AutoModel.from_pretrained(data / "golden-stick" / "source")
    ptq = PTQ(documented(backend=BackendTarget.ASCEND),
              OrderedDict({r".*\.w2.*": PTQConfig(act_quant_dtype=msdtype.int8,
                                                  act_quant_granularity=QuantGranularity.PER_TOKEN)}))
    save_checkpoint(ptq.apply(network, GeneratorDataset(expected["input_ids"], ["input_ids"])), "ours")
    assert 0 < error("ours") < error(data / "golden-stick" / "format-b-ascend") < 0.0011


def test_mixed_policies(workplace: Path) -> None:
    network = AutoModel.from_pretrained("Qwen3-8B-bf16")
    policies = OrderedDict({r"model\.layers\.[01]\.feed_forward\.w2": documented(algo_args={"alpha": 0.8}),
                            r".*layers\.[234].*down_proj": W2_CONFIG,
                            r".*layers\.3\.attention": PTQConfig(weight_quant_dtype=None, backend=BackendTarget.CPU)})
    samples = GeneratorDataset(["Once upon a time there was a king", "Today is the day"], ["input_ids"])
    PTQ(documented(), policies).apply(network, samples)
    parameters = network.parameters_dict()
    static = {name.removesuffix(".input_scale") for name in parameters if name.endswith(".input_scale")}
    assert "model.layers.1.mlp.down_proj" in static and "model.layers.2.mlp.down_proj" not in static
    assert str(parameters["model.layers.2.mlp.down_proj.weight"].dtype) == "Int8"
    assert str(parameters["model.layers.3.self_attn.q_proj.weight"].dtype) == "BFloat16"
    stated = json.loads((network.folder.path / "recipe.json").read_text())
    assert stated["layers"][r"model\.layers\.0\.mlp\.down_proj$"]["strength"] == 0.8


def test_without_data(workplace: Path) -> None:
    network = PTQ(W2_CONFIG).apply(AutoModel.from_pretrained("Qwen3-8B-bf16"))
    save_checkpoint(network.parameters_dict(), "ours")
    _native.quantize("Qwen3-8B-bf16", "preset", recipe="rtn-w8a8")
    assert_equal(values("ours"), values("preset"))


def test_a_filter_that_takes_a_needed_tensor(workplace: Path) -> None:
    network = PTQ(W2_CONFIG).apply(AutoModel.from_pretrained("Qwen3-8B-bf16"))
    with pytest.raises(ValueError, match=r"without model\.layers\.0\.mlp\.up_proj\.weight_scale, which.*would not load"):
        save_checkpoint(network, "less", choice_func=lambda name: name != "model.layers.0.mlp.up_proj.weight_scale")
    assert not (workplace / "less").exists()


def test_ctrl_c_ends_the_script_and_leaves_nothing(workplace: Path, ceval: Path) -> None:
    (workplace / "script.py").write_text("""\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background may have it ignored
from octavo import AutoModel, GeneratorDataset
from octavo import dtype as msdtype
from octavo.ptq import PTQ, OutliersSuppressionType, PTQConfig
config = PTQConfig(act_quant_dtype=msdtype.int8, outliers_suppression=OutliersSuppressionType.SMOOTH)
PTQ(config).apply(AutoModel.from_pretrained("Qwen3-8B-bf16"), GeneratorDataset("ceval", ["input_ids"]))
""")
    before = set(workplace.iterdir())
    script = subprocess.Popen([sys.executable, "script.py"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while set(workplace.iterdir()) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    script.send_signal(signal.SIGINT)
    _, errors = script.communicate(timeout=60)
    assert script.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert set(workplace.iterdir()) == before
