"""Which layers a blacklist and a policy take, and the recipe that the C++ core gets."""
from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from typing import Any

import pytest

from octavo import dtype as msdtype
from octavo.common import BackendTarget
from octavo.layer_names import layer_names
from octavo.ptq import (PTQ, AWQConfig, OutliersSuppressionType, PrecisionRecovery, PTQConfig, QuantGranularity,
                        SmoothQuantConfig)
from octavo.ptq.policy import LayerPlan, resolve
from octavo.ptq.recipe import needs_calibration, recipe_text
from octavo.ptq.summary import summary_text

NAMES = layer_names(2)


def w8a8(**fields: Any) -> PTQConfig:
    """The documentation's net config; `fields` replace some of it."""
    return PTQConfig(**{"weight_quant_dtype": msdtype.int8, "act_quant_dtype": msdtype.int8,
                        "outliers_suppression": OutliersSuppressionType.SMOOTH, "opname_blacklist": ["lm_head"],
                        **fields})


def dynamic(**fields: Any) -> PTQConfig:
    """The documentation's policy of w2."""
    return w8a8(**{"outliers_suppression": OutliersSuppressionType.NONE, "opname_blacklist": [],
                   "act_quant_granularity": QuantGranularity.PER_TOKEN, **fields})


def plans(config: PTQConfig, **policies: PTQConfig) -> list[LayerPlan]:
    return resolve(NAMES, config, policies, warnings.warn)


def schemes(found: list[LayerPlan], layer: int) -> dict[str, str]:
    return {plan.name.slot: plan.scheme for plan in found if plan.name.layer == layer}


def float_layers(found: list[LayerPlan]) -> list[str]:
    return [plan.name.hugging_face for plan in found if not plan.is_int8]


DOCUMENTED = {**dict.fromkeys(["q", "k", "v", "o", "gate", "up"], "A8W8 SMOOTH 0.5"), "down": "A8DYNAMICW8"}


def test_both_names_of_every_layer() -> None:
    assert len(NAMES) == 15
    assert {name.slot: (name.hugging_face, name.mindformers) for name in NAMES if name.layer != 0} == {
        "q": ("model.layers.1.self_attn.q_proj", "model.layers.1.attention.wq"),
        "k": ("model.layers.1.self_attn.k_proj", "model.layers.1.attention.wk"),
        "v": ("model.layers.1.self_attn.v_proj", "model.layers.1.attention.wv"),
        "o": ("model.layers.1.self_attn.o_proj", "model.layers.1.attention.wo"),
        "gate": ("model.layers.1.mlp.gate_proj", "model.layers.1.feed_forward.w1"),
        "up": ("model.layers.1.mlp.up_proj", "model.layers.1.feed_forward.w3"),
        "down": ("model.layers.1.mlp.down_proj", "model.layers.1.feed_forward.w2"),
        "lm_head": ("lm_head", "lm_head"),
    }


@pytest.mark.parametrize("pattern", [
    r".*\.w2.*", r".*down_proj", r".*\.mlp\.down_proj$", r"model\.layers\.\d+\.feed_forward\.w2",
    r"network\.model\.layers\.\d+\.feed_forward\.w2", r"network\.model\.layers\.\d+\.mlp\.down_proj",
])
def test_a_policy_may_use_any_spelling(pattern: str) -> None:
    found = plans(w8a8(), **{pattern: dynamic()})
    assert schemes(found, 0) == schemes(found, 1) == DOCUMENTED
    assert float_layers(found) == ["lm_head"]


def test_patterns_are_matched_from_the_start() -> None:
    with pytest.warns(UserWarning, match=r"'w2' matches no layer"):
        assert schemes(plans(w8a8(), w2=dynamic()), 0)["down"] == "A8W8 SMOOTH 0.5"


@pytest.mark.parametrize(("entry", "expected"), [
    ("lm_head", []), ("w2", ["down"]), ("down_proj", ["down"]), ("wo", ["o"]), ("layers.1.feed_forward", []),
    ("network.model.layers.0.mlp.", ["gate", "up", "down"]), ("layers.0.attention", ["q", "k", "v", "o"]),
])
def test_blacklist_is_a_test_for_a_part_of_the_name(entry: str, expected: list[str]) -> None:
    config = w8a8(outliers_suppression=OutliersSuppressionType.NONE, opname_blacklist=[entry])
    assert [slot for slot, scheme in schemes(plans(config), 0).items() if scheme == "float"] == expected


def test_the_prefix_alone_takes_part_where_a_name_asks_for_it() -> None:
    """"network" holds "wo"; a pattern for o_proj must not take every layer."""
    policy = dynamic(outliers_suppression=OutliersSuppressionType.NONE)
    assert [slot for slot, scheme in schemes(plans(w8a8(), **{".*wo.*": policy}), 0).items()
            if scheme == "A8DYNAMICW8"] == ["o"]


def test_an_empty_blacklist_entry_is_in_every_name() -> None:
    with pytest.raises(ValueError, match="nothing to quantize: opname_blacklist ''"):
        plans(w8a8(opname_blacklist=[""]))


def test_a_blacklist_entry_that_matches_nothing_is_told() -> None:
    with pytest.warns(UserWarning, match="opname_blacklist: 'linear_fc2' is in no layer's name"):
        plans(w8a8(opname_blacklist=["linear_fc2"]))


def test_a_policy_replaces_the_config_and_its_blacklist() -> None:
    config = w8a8(opname_blacklist=["lm_head", "w2"])
    assert schemes(plans(config), 0)["down"] == "float"
    assert schemes(plans(config, **{r".*\.w2": dynamic()}), 0)["down"] == "A8DYNAMICW8"
    assert schemes(plans(w8a8(), **{r".*\.w2": dynamic(opname_blacklist=["layers.0."])}), 0)["down"] == "float"


def test_a_policy_of_float() -> None:
    found = plans(w8a8(), **{r".*\.w2": PTQConfig(weight_quant_dtype=None)})
    assert schemes(found, 1)["down"] == "float"


def test_two_policies_for_one_layer() -> None:
    with pytest.raises(RuntimeError, match=r"layer_policy '.*w2' and '.*down_proj' conflict, matching same layer "
                                           r"model\.layers\.0\.mlp\.down_proj \(model\.layers\.0\.feed_forward\.w2\)"):
        plans(w8a8(), **{".*w2": dynamic(), ".*down_proj": dynamic()})


@pytest.mark.parametrize(("pattern", "policy", "text"), [
    (".*wq", dynamic(), r"q_proj \(model\.layers\.0\.attention\.wq\): A8DYNAMICW8, by policy '\.\*wq'; .*k_proj .*A8W8"),
    (".*up_proj", PTQConfig(weight_quant_dtype=None), r"gate_proj .*A8W8 SMOOTH 0\.5.*up_proj .*float"),
    (".*k_proj", w8a8(algo_args=SmoothQuantConfig(alpha=0.7)), "k_proj .*SMOOTH 0.7"),
])
def test_layers_that_share_an_input_must_agree(pattern: str, policy: PTQConfig, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plans(w8a8(), **{pattern: policy})


def test_unsmoothed_layers_may_leave_a_sharer_float() -> None:
    found = plans(w8a8(outliers_suppression=OutliersSuppressionType.NONE, opname_blacklist=["wv"]))
    assert schemes(found, 0)["v"] == "float"
    assert schemes(found, 0)["q"] == "A8W8"


@pytest.mark.parametrize(("fields", "text"), [
    ({"kvcache_quant_dtype": msdtype.int8}, "int8 KV cache"),
    ({"weight_quant_dtype": msdtype.qint4x2, "act_quant_dtype": None}, "int4 weights"),
    ({"act_quant_dtype": None}, "int8 weights with float activations"),
    ({"outliers_suppression": OutliersSuppressionType.OUTLIER_SUPPRESSION_LITE}, "OUTLIER_SUPPRESSION_LITE"),
    ({"outliers_suppression": OutliersSuppressionType.OUTLIER_SUPPRESSION_PLUS}, "OUTLIER_SUPPRESSION_PLUS"),
    ({"outliers_suppression": OutliersSuppressionType.AWQ, "act_quant_dtype": None, "algo_args": AWQConfig()}, "AWQ"),
    ({"precision_recovery": PrecisionRecovery.GPTQ, "act_quant_dtype": None, "algo_args": {"block_size": 128}}, "GPTQ"),
    ({"weight_clip": True}, "weight_clip"),
])
def test_what_is_not_there_yet_is_refused_not_replaced(fields: dict[str, Any], text: str) -> None:
    config = w8a8(**fields)
    PTQ(config)
    with pytest.raises(NotImplementedError, match=f"config asks for .*{text}.*does not have yet; nothing was quantized"):
        plans(config)


def test_a_config_for_no_layer_is_no_obstacle() -> None:
    config = w8a8(act_quant_dtype=None, outliers_suppression=OutliersSuppressionType.NONE)
    found = plans(config, **{r"model\.layers.*": dynamic()})
    assert set(schemes(found, 0).values()) == {"A8DYNAMICW8"}


def test_lm_head_stays_float() -> None:
    assert float_layers(plans(w8a8(opname_blacklist=[]))) == ["lm_head"]
    assert float_layers(plans(w8a8(), **{".*": dynamic()})) == ["lm_head"]
    with pytest.raises(NotImplementedError, match="policy 'lm_head' asks for an int8 lm_head"):
        plans(w8a8(), lm_head=dynamic())


@pytest.mark.parametrize(("args", "text"), [
    ({"alhpa": 0.5}, "'alhpa'.*did you mean 'alpha'"), ({"alpha": 1.5}, "from 0 to 1"), ({"alpha": "0.5"}, "from 0 to 1"),
    ({"alpha": float("nan")}, "from 0 to 1"),
])
def test_wrong_strengths(args: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plans(w8a8(algo_args=args))


@pytest.mark.parametrize(("config", "text"), [
    (dynamic(algo_args={"alpha": 0.8}), "^config: algo_args 'alpha' without effect, .*outliers_suppression is NONE"),
    (w8a8(algo_args={"alpha": 0.8, "block_size": 9, "duo_scaling": True}), "args 'block_size', 'duo_scaling' without"),
])
def test_args_without_effect_are_named(config: PTQConfig, text: str) -> None:
    with pytest.warns(UserWarning, match=text):
        plans(config)


def test_args_with_effect_are_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plans(w8a8(algo_args=SmoothQuantConfig(alpha=0.8)))


def test_recipe_of_the_documentation() -> None:
    found = plans(w8a8(), **{r".*\.w2.*": dynamic()})
    recipe = json.loads(recipe_text(found, "ptq"))
    assert recipe["smooth"] == {"norm_qkv": True, "v_o": True, "norm_mlp": True, "up_down": False, "rule": "fixed",
                                "strengths": [0.5]}
    assert recipe["ignore"] == ["lm_head"]
    assert len(recipe["layers"]) == 14
    assert recipe["layers"][r"model\.layers\.1\.self_attn\.q_proj$"] == {
        "scheme": "w8a8", "smooth": True, "activations": "static", "strength": 0.5}
    assert recipe["layers"][r"model\.layers\.1\.mlp\.down_proj$"] == {
        "scheme": "w8a8", "smooth": False, "activations": "dynamic"}
    assert needs_calibration(found)


def test_recipe_with_down_smoothed_too_and_strengths_of_its_own() -> None:
    policy = w8a8(algo_args={"alpha": 0.8}, act_quant_granularity=QuantGranularity.PER_TOKEN)
    recipe = json.loads(recipe_text(plans(w8a8(), **{".*w2": policy}), "ptq"))
    assert recipe["smooth"]["up_down"] is True
    assert recipe["layers"][r"model\.layers\.0\.mlp\.down_proj$"] == {
        "scheme": "w8a8", "smooth": True, "activations": "dynamic", "strength": 0.8}


def test_recipe_without_smoothing_needs_no_calibration() -> None:
    found = plans(dynamic(opname_blacklist=["layers.0"]))
    recipe = json.loads(recipe_text(found, "ptq"))
    assert recipe["smooth"] is False
    assert recipe["layers"][r"model\.layers\.0\.mlp\.up_proj$"] == {"scheme": "float"}
    assert not needs_calibration(found)


def test_summary() -> None:
    found = resolve(layer_names(3), w8a8(), {r"model\.layers\.[02].*\.w2": dynamic()}, warnings.warn)
    assert summary_text("Tiny", found).splitlines() == [
        "Tiny: 21 of 22 linear layers are int8",
        "layers  Hugging Face      MindFormers      weights           activations              smoothing  decided by",
        *(f"0-2     {hf:<16}  {mf:<15}  int8 per channel  int8 per tensor, static  alpha 0.5  config" for hf, mf in [
            ("self_attn.q_proj", "attention.wq"), ("self_attn.k_proj", "attention.wk"),
            ("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"),
            ("mlp.gate_proj", "feed_forward.w1"), ("mlp.up_proj", "feed_forward.w3")]),
        "0,2     mlp.down_proj     feed_forward.w2  int8 per channel  int8 per token           -          "
        r"policy 'model\.layers\.[02].*\.w2'",
        "1       mlp.down_proj     feed_forward.w2  int8 per channel  int8 per tensor, static  alpha 0.5  config",
        "-       lm_head           lm_head          float             float                    -          "
        "opname_blacklist 'lm_head'",
    ]


def test_network_wide_fields_of_a_policy_are_overruled_with_a_warning() -> None:
    policy = dynamic(backend=BackendTarget.CPU)
    with pytest.warns(UserWarning, match="network policy backend"):
        ptq = PTQ(w8a8(), OrderedDict({".*w2": policy}))
    assert ptq.layer_policies[".*w2"].backend is BackendTarget.ASCEND
    assert policy.backend is BackendTarget.CPU  # the user's object is left alone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PTQ(w8a8(), OrderedDict({".*w2": dynamic()}))
