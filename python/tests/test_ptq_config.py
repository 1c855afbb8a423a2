"""``PTQConfig`` and ``PTQ`` against mindspore_gs 1.4.1 itself: what it accepts, refuses, says and warns of.

The tables were recorded by running it (shared data, golden-stick/README.md). Messages are compared word for word; there
is no exception to list among these 83,280 rows. Elsewhere, on purpose: a bad regular expression and a policy of None,
where the original fails by accident (test_ptq_bad_use.py).
"""
from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from octavo import dtype as msdtype
from octavo.common import BackendTarget
from octavo.ptq import (PTQ, AWQConfig, GPTQQuantConfig, OutliersSuppressionType, PrecisionRecovery, PTQConfig, PTQMode,
                        QuantGranularity, SmoothQuantConfig)

_DTYPES: dict[str, Any] = {"None": None, "int8": msdtype.int8, "int16": msdtype.int16, "qint4x2": msdtype.qint4x2}
_ALGO_ARGS: dict[str, Any] = {
    "none": lambda: {},
    "GPTQ()": GPTQQuantConfig,
    "GPTQ(desc)": lambda: GPTQQuantConfig(desc_act=True),
    "GPTQ(static)": lambda: GPTQQuantConfig(static_groups=True),
    "GPTQ(desc,static)": lambda: GPTQQuantConfig(desc_act=True, static_groups=True),
    "AWQ()": AWQConfig,
    "Smooth(0.7)": lambda: SmoothQuantConfig(alpha=0.7),
    "dict(alpha=0.7)": lambda: {"alpha": 0.7},
    "dict(desc_act,static_groups)": lambda: {"desc_act": True, "static_groups": True, "damp_percent": 0.1,
                                             "block_size": 64},
}


def _read(file: Path) -> tuple[dict[int, str], Iterator[dict[str, str]]]:
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    messages = {int(number): text for number, text in
                (line.removeprefix("# msg ").split("\t", 1) for line in lines if line.startswith("# msg "))}
    table = [line.split("\t") for line in lines if not line.startswith("#")]
    return messages, (dict(zip(table[0], row, strict=True)) for row in table[1:])


def _answer(fields: dict[str, Any]) -> str:
    """What Octavo says, in the words of the tables: outcome, then warnings, then the algo_args that PTQ works with."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            config = PTQConfig(**fields)
        except (TypeError, ValueError) as error:
            outcome, args = f"C {type(error).__name__}: {error}", ""
        else:
            try:
                args = str(PTQ(config)._config.algo_args)
                outcome = "ok"
            except (TypeError, ValueError) as error:
                outcome, args = f"P {type(error).__name__}: {error}", ""
    return "|".join([outcome, *sorted(f"warning: {item.message}" for item in caught), args])


def _expected(code: str, messages: dict[int, str], algo_args: str | None) -> str:
    code, _, args = code.partition("=a")
    outcome, *warned = code.split("+w")
    if outcome != "ok":
        outcome = f"{outcome[0]} {messages[int(outcome[1:])]}"
    texts = sorted(messages[int(number)] for number in warned)
    if args:
        algo_args = messages[int(args)].removeprefix("algo_args of PTQ(config)._config: ")
    return "|".join([outcome, *texts, algo_args or ""])


def _fields(row: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "weight_quant_dtype": _DTYPES[row["weight"]],
        "act_quant_dtype": _DTYPES[row["act"]],
        "kvcache_quant_dtype": _DTYPES[row["kvcache"]],
        "outliers_suppression": OutliersSuppressionType[row["outliers"]],
        "precision_recovery": PrecisionRecovery[row["recovery"]],
        "weight_quant_granularity": QuantGranularity[row["w_gran"]],
        "act_quant_granularity": QuantGranularity[row["a_gran"]],
        "group_size": int(row["group"]),
    }
    if "kv_gran" in row:
        fields["kvcache_quant_granularity"] = QuantGranularity[row["kv_gran"]]
    if "algo_args" in row:
        fields["algo_args"] = _ALGO_ARGS[row["algo_args"]]()
    return fields


@pytest.mark.parametrize(("file", "n_rows"), [("ptq_config.tsv.gz", 76_800), ("ptq_config_algo_args.tsv.gz", 6_480)])
def test_every_recorded_combination(data: Path, file: str, n_rows: int) -> None:
    messages, rows = _read(data / "golden-stick" / file)
    differences = []
    count = 0
    for count, row in enumerate(rows, 1):
        answer = _answer(_fields(row))
        default = None
        if "algo_args" not in row and answer.startswith("ok"):
            default = answer.rpartition("|")[2]  # the first table does not record them
        expected = _expected(row["gs_1.4.1"], messages, default)
        if answer != expected:
            differences.append(f"{row}\n  octavo:   {answer}\n  original: {expected}")
    assert count == n_rows
    assert not differences, f"{len(differences)} of {count} differ:\n" + "\n".join(differences[:5])


def test_defaults() -> None:
    config = PTQConfig()
    assert vars(config) == {
        "mode": PTQMode.QUANTIZE, "backend": BackendTarget.ASCEND, "opname_blacklist": [], "algo_args": {},
        "weight_quant_dtype": msdtype.int8, "kvcache_quant_dtype": None, "act_quant_dtype": None,
        "precision_recovery": PrecisionRecovery.NONE, "outliers_suppression": OutliersSuppressionType.NONE,
        "weight_quant_granularity": QuantGranularity.PER_CHANNEL,
        "kvcache_quant_granularity": QuantGranularity.PER_CHANNEL,
        "act_quant_granularity": QuantGranularity.PER_TENSOR, "group_size": 0, "weight_clip": False,
    }


@pytest.mark.parametrize(("fields", "error", "text"), [
    ({"mode": "quantize"}, ValueError, r"^mode shall be in dict_values\("),
    ({"backend": "ascend"}, ValueError, r"^backend shall be in dict_values\("),
    ({"weight_quant_dtype": msdtype.float16}, ValueError,
     r"weight_quant_dtype support \[mindspore.int8, mindspore.int4, None\], but got Float16\."),
    ({"act_quant_dtype": "int8"}, ValueError, r"but got int8\. It is a str, not a DType\."),
    ({"act_quant_granularity": "per_token"}, ValueError, r"but got per_token\. It is a str, not a QuantGranularity\."),
    ({"opname_blacklist": "lm_head"}, TypeError, "Type of opname_blacklist should be a list but got <class 'str'>"),
    ({"opname_blacklist": [1]}, TypeError, "Type of item of opname_blacklist should be one of <class 'str'>"),
    ({"outliers_suppression": "smooth"}, TypeError, "Type of outliers_suppression should be"),
    ({"group_size": 64.0}, TypeError, "Type of group_size should be <class 'int'>"),
    ({"weight_clip": 1}, TypeError, "Type of weight_clip should be <class 'bool'>"),
    ({"precision_recovery": None}, TypeError, "Type of precision_recovery should be"),
    ({"algo_args": 3}, ValueError, "algo_args's type should be dict or dataclass, but now is <class 'int'>"),
    ({"algo_args": SmoothQuantConfig}, TypeError, r"is the class SmoothQuantConfig; give an object of it"),
])
def test_refused_fields(fields: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        PTQConfig(**fields)


def test_the_first_wrong_field_is_named() -> None:
    with pytest.raises(ValueError, match="^mode shall"):
        PTQConfig(mode=1, opname_blacklist="x", group_size="y")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="opname_blacklist"):
        PTQConfig(opname_blacklist="x", group_size="y")  # type: ignore[arg-type]


def test_blacklist_may_be_a_tuple() -> None:
    assert PTQConfig(opname_blacklist=("lm_head",)).opname_blacklist == ("lm_head",)


@pytest.mark.parametrize(("make", "error"), [
    (lambda: GPTQQuantConfig(damp_percent=0), TypeError),
    (lambda: GPTQQuantConfig(damp_percent=1.5), ValueError),
    (lambda: GPTQQuantConfig(block_size=-1), ValueError),
    (lambda: GPTQQuantConfig(desc_act=1), TypeError),
    (lambda: AWQConfig(smooth_alpha=1), TypeError),
    (lambda: AWQConfig(smooth_alpha=[0.5, 1.5]), ValueError),
    (lambda: AWQConfig(weight_clip_ratio=-0.5), ValueError),
    (lambda: SmoothQuantConfig(alpha=1), TypeError),
])
def test_sub_configs_are_strict(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_sub_configs_accept_what_the_original_accepts() -> None:
    assert GPTQQuantConfig(block_size=0).block_size == 0
    assert GPTQQuantConfig(damp_percent=float("nan")).desc_act is False
    assert AWQConfig(smooth_alpha=[]).smooth_alpha == []
    assert SmoothQuantConfig(alpha=7.0).alpha == 7.0


def test_names_from_text() -> None:
    assert OutliersSuppressionType.from_str("Smooth") is OutliersSuppressionType.SMOOTH
    assert OutliersSuppressionType.from_str("smoth") is OutliersSuppressionType.NONE
    assert PrecisionRecovery.from_str("GPTQ") is PrecisionRecovery.GPTQ
    assert QuantGranularity.from_str("PER_TOKEN") is QuantGranularity.PER_TOKEN
    assert QuantGranularity.from_str("per_row") is None


def test_dtypes_print_as_in_mindspore() -> None:
    assert [f"{kind} {kind!r}" for kind in (msdtype.int8, msdtype.qint4x2, msdtype.bfloat16, msdtype.uint8)] == [
        "Int8 mindspore.int8", "Int4 mindspore.int4", "BFloat16 mindspore.bfloat16", "UInt8 mindspore.uint8"]
