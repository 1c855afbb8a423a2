"""``PTQ.apply``, ``convert``, ``summary``: what reaches the core, what is left behind. The core is stood in for."""
from __future__ import annotations

import gc
import json
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import octavo
from octavo import AutoModel, GeneratorDataset, save_checkpoint
from octavo import dtype as msdtype
from octavo.common import BackendTarget
from octavo.ptq import PTQ, GPTQQuantConfig, OutliersSuppressionType, PTQConfig, PTQMode, QuantGranularity
from octavo.research.llama3_1.infer.transformer import ParallelTransformerLayer
from octavo.research.qwen3.qwen3_transformers import Qwen3ParallelTransformerLayer

CONFIG = PTQConfig(weight_quant_dtype=msdtype.int8, act_quant_dtype=msdtype.int8, opname_blacklist=["lm_head"],
                   outliers_suppression=OutliersSuppressionType.SMOOTH)
W2_CONFIG = PTQConfig(weight_quant_dtype=msdtype.int8, act_quant_dtype=msdtype.int8,
                      act_quant_granularity=QuantGranularity.PER_TOKEN)
POLICIES = OrderedDict({r".*\.w2.*": W2_CONFIG})


class Core:
    """Stands in for ``octavo._native``: notes the call, writes a folder."""

    def __init__(self) -> None:
        self.call: dict[str, Any] = {}
        self.error: BaseException | None = None

    def quantize(self, source: str, target: str, **options: Any) -> dict[str, Any]:
        self.call = {"source": source, "target": target, **options}
        options["progress"]("layer 1/5 smooth", 1, 5)
        Path(target).mkdir()
        (Path(target) / "config.json").write_text((Path(source) / "config.json").read_text())
        (Path(target) / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        if self.error:
            raise self.error
        return {}


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Iterator[Core]:
    stand_in = Core()
    module = ModuleType("octavo._native")
    module.quantize = stand_in.quantize  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "octavo._native", module)
    monkeypatch.setattr(octavo, "_native", module, raising=False)
    yield stand_in


@pytest.fixture
def network(workplace: Path) -> Any:
    return AutoModel.from_pretrained("Qwen3-8B-bf16")


def samples() -> GeneratorDataset:
    return GeneratorDataset([[1, 2, 3], [4, 5]], ["input_ids"])


@pytest.mark.parametrize("order", ["script", "keyword", "with helper"])
def test_apply_calls_the_core(order: str, core: Core, network: Any, workplace: Path) -> None:
    ptq = PTQ(config=CONFIG, layer_policies=POLICIES)
    ptq.decoder_layer_types.append(Qwen3ParallelTransformerLayer)
    if order == "script":
        result = ptq.apply(network, samples())
    elif order == "keyword":
        result = ptq.apply(network, datasets=samples(), framework="mindone")
    else:
        result = ptq.apply(network, object(), samples())
    assert result is network
    call = core.call
    assert call["source"] == str(workplace / "Qwen3-8B-bf16")
    assert call["format"] == "golden-stick"
    assert call["token_samples"] == [[1, 2, 3], [4, 5]]
    assert (call["calibration"], call["n_samples"], call["length_tokens"]) == ("", 2, 3)
    recipe = json.loads(call["recipe_text"])
    assert recipe["layers"][r"model\.layers\.4\.mlp\.down_proj$"]["activations"] == "dynamic"
    assert Path(call["target"]).parent.parent == workplace


@pytest.mark.parametrize(("backend", "layout"), [(BackendTarget.ASCEND, "golden-stick"),
                                                 (BackendTarget.NONE, "compressed-tensors"),
                                                 (BackendTarget.CPU, "compressed-tensors"),
                                                 (BackendTarget.CUDA, "compressed-tensors")])
def test_backend_chooses_the_layout(backend: BackendTarget, layout: str, core: Core, network: Any) -> None:
    config = PTQConfig(backend=backend, act_quant_dtype=msdtype.int8)
    PTQ(config).apply(network, samples())
    assert core.call["format"] == layout


def test_a_ceval_folder_is_named_to_the_core(core: Core, network: Any, ceval: Path) -> None:
    PTQ(CONFIG).apply(network, GeneratorDataset("ceval", ["subjects", "input_ids", "labels"]))
    assert core.call["calibration"] == f"ceval:{ceval}@test"
    assert core.call["token_samples"] == []


def test_only_per_token_without_smoothing_does_without_data(core: Core, network: Any) -> None:
    with pytest.raises(ValueError, match="please provide dataset when use PTQ quant to quantize network"):
        PTQ(CONFIG).apply(network)
    PTQ(W2_CONFIG).apply(network)
    assert "calibration" not in core.call


def test_the_folder_lives_as_long_as_something_reads_it(core: Core, network: Any, workplace: Path) -> None:
    PTQ(CONFIG, POLICIES).apply(network, samples())
    assert [path.name[:8] for path in workplace.iterdir() if path.name.startswith(".")] == [".octavo-"]
    folder = network.folder
    del network, core
    gc.collect()
    assert folder.path.is_dir()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), MemoryError("big")])
def test_nothing_is_left_after_a_failure(error: BaseException, core: Core, network: Any, workplace: Path) -> None:
    core.error = error
    with pytest.raises(type(error)):
        PTQ(CONFIG).apply(network, samples())
    assert [path.name for path in workplace.iterdir()] == ["Qwen3-8B-bf16"]
    assert network.quantized is None
    core.error = None
    PTQ(CONFIG).apply(network, samples())  # another try is fine


def test_convert_prints_the_summary(core: Core, network: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ptq = PTQ(CONFIG, POLICIES)
    planned = ptq.summary(network)
    ptq.apply(network, samples())
    capsys.readouterr()
    assert ptq.convert(network) is network
    printed = capsys.readouterr().out
    assert printed == planned + "\n"
    assert printed.startswith("Qwen3-8B-bf16: 35 of 36 linear layers are int8\n")
    assert "0-4     mlp.down_proj     feed_forward.w2" in printed


def test_save_checkpoint_takes_what_apply_made(core: Core, network: Any, workplace: Path) -> None:
    PTQ(CONFIG).apply(network, samples())
    (network.folder.path / "model.safetensors").unlink()
    header = json.dumps({"w": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (network.folder.path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\7")
    save_checkpoint(network.parameters_dict(), "out")
    assert network.parameters_dict()["w"].asnumpy().tolist() == [7]
    assert AutoModel.from_pretrained("out").parameters_dict()["w"].asnumpy().tolist() == [7]


def test_quantized_networks_are_not_quantized_again(core: Core, network: Any, workplace: Path) -> None:
    PTQ(CONFIG).apply(network, samples())
    with pytest.raises(ValueError, match="is quantized already by PTQ.apply; open the float model again"):
        PTQ(CONFIG).apply(network, samples())
    (workplace / "Qwen3-8B-bf16" / "quantization_description.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is quantized already \(quantization_description.json\)"):
        PTQ(CONFIG).apply(AutoModel.from_pretrained("Qwen3-8B-bf16"), samples())


def test_warnings_point_at_the_users_line(core: Core, network: Any) -> None:
    with pytest.warns(UserWarning) as caught:
        config = PTQConfig(act_quant_dtype=msdtype.int8, algo_args=GPTQQuantConfig(), opname_blacklist=["no_such_layer"])
        ptq = PTQ(config, OrderedDict({"no_such_pattern": PTQConfig(backend=BackendTarget.CPU)}))
        ptq.apply(network, samples())
    assert [str(warning.message).split()[0] for warning in caught] == ["GPTQQuantConfig", "The", "layer_policies:",
                                                                       "opname_blacklist:", "config:"]
    assert {warning.filename for warning in caught} == {__file__}


def test_what_summary_warned_of_apply_does_not_repeat(core: Core, network: Any) -> None:
    ptq = PTQ(PTQConfig(act_quant_dtype=msdtype.int8, algo_args={"alpha": 0.5}, opname_blacklist=["no_such_layer"]))
    with pytest.warns(UserWarning) as caught:
        ptq.summary(network)
        ptq.apply(network, samples())
    assert [str(warning.message).split()[0] for warning in caught] == ["opname_blacklist:", "config:"]
    with pytest.warns(UserWarning) as caught:  # another network's layers are others
        ptq.apply(AutoModel.from_pretrained("Qwen3-8B-bf16"), samples())
    assert len(caught) == 2


def bad_policies(*entries: tuple[Any, Any]) -> Any:
    return OrderedDict(entries)


@pytest.mark.parametrize(("arguments", "error", "text"), [
    ({"config": {"mode": 1}}, TypeError, "Shall init PTQ with PTQConfig, but got <class 'dict'>"),
    ({"layer_policies": {".*w2": W2_CONFIG}}, TypeError, "layer_policies should be an OrderedDict, but got <class 'dict'>"),
    ({"layer_policies": bad_policies((3, W2_CONFIG))}, TypeError, "all key of layer_policies should be a string"),
    ({"layer_policies": bad_policies(("(w2", W2_CONFIG))}, TypeError, r"'\(w2' is not a regular expression: missing \)"),
    ({"layer_policies": bad_policies((".*w2", None))}, ValueError, r"policy of '\.\*w2' is None; to leave layers float"),
    ({"layer_policies": bad_policies((".*w2", "w8a8"))}, TypeError, "should be PTQConfig, but got <class 'str'>"),
    ({"layer_policy": None}, TypeError, "unexpected keyword argument 'layer_policy'; did you mean 'layer_policies'"),
])
def test_ptq_refuses(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        PTQ(**arguments)


def test_misspelt_fields_name_the_right_one() -> None:
    with pytest.raises(TypeError, match=r"PTQConfig\(\) got an unexpected keyword argument 'act_quant_dytpe'; did you mean "
                                        "'act_quant_dtype'"):
        PTQConfig(act_quant_dytpe=msdtype.int8)  # type: ignore[call-arg]


def test_deploy_is_explained(network: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"open a quantized folder with octavo\.LLM"):
        PTQ(PTQConfig(mode=PTQMode.DEPLOY)).apply(network, samples())


@pytest.mark.parametrize(("arguments", "error", "text"), [
    ({"network": "Qwen3-8B-bf16"}, TypeError, "expected one from octavo.AutoModel.from_pretrained"),
    ({"framework": "mindformer"}, ValueError, "^Invalid framework: mindformer.*did you mean 'mindformers'"),
    ({"network_helper": samples()}, TypeError, "two data sets"),
    ({"datasets": [[1, 2]]}, TypeError, "Unsupported data type: <class 'list'>"),
    ({"dataset": None}, TypeError, "'dataset'; did you mean 'datasets'"),
])
def test_apply_refuses(network: Any, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        PTQ(CONFIG).apply(**{"network": network, "datasets": samples(), **arguments})


def test_decoder_layer_types_must_fit(network: Any) -> None:
    ptq = PTQ(CONFIG)
    ptq.decoder_layer_types.append(ParallelTransformerLayer)
    with pytest.raises(ValueError, match="ParallelTransformerLayer matches no layer of this network, Qwen3ForCausalLM; it "
                                         "stands for llama"):
        ptq.apply(network, samples())
    ptq.decoder_layer_types[:] = [dict]
    with pytest.raises(TypeError, match="<class 'dict'> is no decoder layer class"):
        ptq.apply(network, samples())


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda ptq, network: ptq.convert(network), ValueError, "call apply"),
    (lambda ptq, network: ptq.convert("net"), TypeError, "`net_opt` must be isinstance of Network"),
    (lambda ptq, network: ptq.convert(network, 3), TypeError, "`ckpt_path` must be isinstance of str"),
    (lambda ptq, network: ptq.convert(network, "a.ckpt"), NotImplementedError, "ckpt_path='a.ckpt'"),
])
def test_convert_refuses(network: Any, call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(PTQ(CONFIG), network)


@pytest.mark.parametrize(("name", "error", "text"), [
    ("Qwen/Qwen3-8B", FileNotFoundError, "Names on a model hub are not supported yet; download the model first"),
    ("Qwen3-8B-bf61", FileNotFoundError, "Qwen3-8B-bf61' is not there; did you mean 'Qwen3-8B-bf16'"),
    ("Qwen3-8B-bf16/config.json", FileNotFoundError, "config.json' is a file"),
    ("empty", FileNotFoundError, "has no config.json"),
    ("run_qwen3_8b.yaml", NotImplementedError, "models from a YAML file"),
    ("gpt2", NotImplementedError, "architecture 'GPT2LMHeadModel' is not supported yet; supported are Qwen3ForCausalLM"),
    ("broken", ValueError, "config.json is not JSON"),
    ("layerless", ValueError, "num_hidden_layers is None"),
])
def test_models_that_cannot_be_opened(workplace: Path, name: str, error: type[Exception], text: str) -> None:
    for folder, config in [("empty", None), ("gpt2", '{"architectures": ["GPT2LMHeadModel"]}'), ("broken", "{"),
                           ("layerless", '{"architectures": ["Qwen3ForCausalLM"]}')]:
        (workplace / folder).mkdir()
        if config:
            (workplace / folder / "config.json").write_text(config)
    with pytest.raises(error, match=text):
        AutoModel.from_pretrained(name)
