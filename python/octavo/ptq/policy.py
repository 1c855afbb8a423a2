"""What a ``PTQConfig`` and its layer policies come to for each linear layer of one network.

Everything that can be wrong is found here, before any work: two policies for one layer, layers that share an input
but not its quantization, and what Octavo does not have yet. Called by ``PTQ.apply``; turned into a recipe of the C++
core by ``ptq/recipe.py``.
"""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from octavo import dtype as msdtype
from octavo.keywords import did_you_mean
from octavo.layer_names import LM_HEAD, LayerName, matched_by_regex, matched_by_substring
from octavo.ptq.algo_args import AWQConfig, GPTQQuantConfig, SmoothQuantConfig
from octavo.ptq.config import OutliersSuppressionType, PrecisionRecovery, PTQConfig, QuantGranularity

__all__ = ["LayerPlan", "resolve"]

# Layers that read one tensor: it is quantized once, and smoothing divides it once.
_SHARED_INPUTS = (("q", "k", "v"), ("gate", "up"))


@dataclass(frozen=True)
class LayerPlan:
    """What happens to one linear layer, and which word of the user's decided it."""

    name: LayerName
    is_int8: bool
    is_static: bool = False  # activations: one scale and zero point from calibration; else one scale per token
    alpha: float | None = None  # SmoothQuant's strength; None: not smoothed
    decided_by: str = ""

    @property
    def scheme(self) -> str:
        """Golden Stick's short name, with the strength of smoothing."""
        if not self.is_int8:
            return "float"
        smoothed = "" if self.alpha is None else f" SMOOTH {self.alpha:g}"
        return ("A8W8" if self.is_static else "A8DYNAMICW8") + smoothed


@dataclass(frozen=True)
class _Claim:
    """A config and the words for where it comes from."""

    config: PTQConfig
    origin: str


def _owners(names: Sequence[LayerName], config: PTQConfig, policies: Mapping[str, PTQConfig],
            warn: Callable[[str], None]) -> dict[LayerName, _Claim]:
    owners: dict[LayerName, str] = {}
    for pattern in policies:
        matched = matched_by_regex(names, re.compile(pattern))
        if not matched:
            warn(f"layer_policies: '{pattern}' matches no layer of this network")
        for name in names:
            if name not in matched:
                continue
            if name in owners:
                raise RuntimeError(f"layer_policy '{owners[name]}' and '{pattern}' conflict, matching same layer "
                                   f"{name.hugging_face} ({name.mindformers})")
            owners[name] = pattern
    whole_network = _Claim(config, "config")
    return {name: _Claim(policies[owners[name]], f"policy '{owners[name]}'") if name in owners else whole_network
            for name in names}


def _blacklisted(names: Sequence[LayerName], config: PTQConfig, warn: Callable[[str], None]) -> dict[LayerName, str]:
    """The layers that the config's own blacklist keeps float, each with the entry that does."""
    found: dict[LayerName, str] = {}
    for entry in config.opname_blacklist:
        matched = matched_by_substring(names, entry)
        if not matched:
            warn(f"opname_blacklist: {entry!r} is in no layer's name")
        found.update({name: entry for name in matched})
    return found


def _not_yet(config: PTQConfig) -> str:
    """What the config asks for that Octavo does not have; ``""`` when it has all."""
    missing = []
    if config.kvcache_quant_dtype is not None:
        missing.append("an int8 KV cache (kvcache_quant_dtype)")
    if config.weight_quant_dtype == msdtype.qint4x2:
        missing.append("int4 weights (weight_quant_dtype)")
    elif config.weight_quant_dtype is not None and config.act_quant_dtype is None:
        missing.append("int8 weights with float activations (act_quant_dtype=None)")
    if config.outliers_suppression not in (OutliersSuppressionType.NONE, OutliersSuppressionType.SMOOTH):
        missing.append(str(config.outliers_suppression))
    if config.precision_recovery is not PrecisionRecovery.NONE:
        missing.append(str(config.precision_recovery))
    if config.weight_clip:
        missing.append("weight_clip=True")
    return ", ".join(missing)


def _alpha(claim: _Claim) -> float | None:
    if claim.config.outliers_suppression is not OutliersSuppressionType.SMOOTH:
        return None
    own = [field.name for field in dataclasses.fields(SmoothQuantConfig)]
    foreign = [field.name for config in (AWQConfig, GPTQQuantConfig) for field in dataclasses.fields(config)]
    for key in claim.config.algo_args:
        if key not in own + foreign:
            raise ValueError(f"{claim.origin}: algo_args has {key!r}, which SmoothQuant does not know; it knows 'alpha'"
                             + did_you_mean(key, own))
    alpha = claim.config.algo_args.get("alpha", SmoothQuantConfig().alpha)
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 <= alpha <= 1:
        raise ValueError(f"{claim.origin}: SmoothQuant's alpha is {alpha!r}, expected a number from 0 to 1")
    return float(alpha)


def _plan(name: LayerName, claim: _Claim, blacklist: Mapping[LayerName, str]) -> LayerPlan:
    config = claim.config
    if name in blacklist:
        return LayerPlan(name, is_int8=False, decided_by=f"opname_blacklist {blacklist[name]!r}")
    if config.weight_quant_dtype is None and config.kvcache_quant_dtype is None:
        return LayerPlan(name, is_int8=False, decided_by=claim.origin)
    if missing := _not_yet(config):
        raise NotImplementedError(f"{claim.origin} asks for {missing}, which Octavo does not have yet; nothing was "
                                  "quantized")
    return LayerPlan(name, is_int8=True, is_static=config.act_quant_granularity is QuantGranularity.PER_TENSOR,
                     alpha=_alpha(claim), decided_by=claim.origin)


def _plan_lm_head(name: LayerName, claims: Mapping[LayerName, _Claim], blacklist: Mapping[LayerName, str]) -> LayerPlan:
    """lm_head stays float, as in Golden Stick, which quantizes decoder layers only; asking for it by name is refused."""
    claim = claims[name]
    alone = claim.origin != "config" and sum(other == claim for other in claims.values()) == 1
    if name in blacklist or not alone or claim.config.weight_quant_dtype is None:
        decided_by = f"opname_blacklist {blacklist[name]!r}" if name in blacklist else "always float"
        return LayerPlan(name, is_int8=False, decided_by=decided_by)
    raise NotImplementedError(f"{claim.origin} asks for an int8 lm_head, which Octavo does not have yet; nothing was "
                              "quantized")


def _check_shared_inputs(plans: Sequence[LayerPlan]) -> None:
    by_place = {(plan.name.layer, plan.name.slot): plan for plan in plans}
    for layer in sorted({plan.name.layer for plan in plans if plan.name.slot != LM_HEAD}):
        for slots in _SHARED_INPUTS:
            group = [by_place[layer, slot] for slot in slots]
            smoothed = any(plan.alpha is not None for plan in group)
            asked = {plan.scheme for plan in group if plan.is_int8 or smoothed}
            if len(asked) > 1:
                each = "; ".join(f"{plan.name.hugging_face} ({plan.name.mindformers}): {plan.scheme}, by "
                                 f"{plan.decided_by}" for plan in group)
                raise ValueError("layers that read the same input must be quantized the same way, because it is "
                                 f"quantized and smoothed once for all of them: {each}")


def _warn_of_idle_args(claims: Mapping[LayerName, _Claim], plans: Sequence[LayerPlan],
                       warn: Callable[[str], None]) -> None:
    """Names the `algo_args` that the algorithms chosen do not read: a strength without SMOOTH is likely a mistake."""
    quantizing = {plan.decided_by for plan in plans if plan.is_int8}
    for origin, config in {claim.origin: claim.config for claim in claims.values()}.items():
        smooths = config.outliers_suppression is OutliersSuppressionType.SMOOTH
        idle = [repr(key) for key in config.algo_args if not (smooths and key == "alpha")]
        if idle and origin in quantizing:
            warn(f"{origin}: algo_args {', '.join(idle)} without effect, because outliers_suppression is "
                 f"{config.outliers_suppression.name} and precision_recovery {config.precision_recovery.name}")


def resolve(names: Sequence[LayerName], config: PTQConfig, policies: Mapping[str, PTQConfig],
            warn: Callable[[str], None]) -> list[LayerPlan]:
    """One plan for each of `names`, in order. A layer that a policy's pattern matches gets that policy alone, its
    blacklist included; the others get `config`. `warn` is told of what has no effect.

    Raises:
        RuntimeError: two patterns match one layer.
        ValueError: q, k, v or gate, up that disagree, a wrong alpha, nothing left to quantize.
        NotImplementedError: what Octavo does not have yet.
    """
    claims = _owners(names, config, policies, warn)
    blacklists = {}
    for own in (config, *policies.values()):
        blacklists[id(own)] = _blacklisted(names, own, warn)
    plans = []
    for name in names:
        claim = claims[name]
        blacklist = blacklists[id(claim.config)]
        plans.append(_plan_lm_head(name, claims, blacklist) if name.slot == LM_HEAD else _plan(name, claim, blacklist))
    if not any(plan.is_int8 for plan in plans):
        raise ValueError("every layer stays float, so there is nothing to quantize: "
                         + ", ".join(sorted({f"{plan.decided_by}" for plan in plans})))
    _check_shared_inputs(plans)
    _warn_of_idle_args(claims, plans, warn)
    return plans
