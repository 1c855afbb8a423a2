"""From layer plans to a recipe of the C++ core (docs/RECIPES.md), as JSON text. Called by ``PTQ.apply``."""
from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from octavo.layer_names import LM_HEAD
from octavo.ptq.policy import LayerPlan

__all__ = ["needs_calibration", "recipe_text"]

# The layers behind each place where scale moves from activations into weights.
_SMOOTH_PLACES = {"norm_qkv": ("q", "k", "v"), "v_o": ("o",), "norm_mlp": ("gate", "up"), "up_down": ("down",)}


def needs_calibration(plans: Sequence[LayerPlan]) -> bool:
    """Some activation range must be known before: for a static scale or for smoothing."""
    return any(plan.is_static or plan.alpha is not None for plan in plans)


def _smooth(plans: Sequence[LayerPlan]) -> Any:
    alphas = sorted({plan.alpha for plan in plans if plan.alpha is not None})
    if not alphas:
        return False
    smoothed = {plan.name.slot for plan in plans if plan.alpha is not None}
    places: dict[str, Any] = {place: any(slot in smoothed for slot in slots) for place, slots in _SMOOTH_PLACES.items()}
    return {**places, "rule": "fixed", "strengths": alphas[:1]}


def _rule(plan: LayerPlan) -> dict[str, Any]:
    if not plan.is_int8:
        return {"scheme": "float"}
    rule = {"scheme": "w8a8", "smooth": plan.alpha is not None,
            "activations": "static" if plan.is_static else "dynamic"}
    return rule if plan.alpha is None else {**rule, "strength": plan.alpha}


def recipe_text(plans: Sequence[LayerPlan], name: str) -> str:
    """The recipe called `name`, with one rule for each linear layer, by its full name; lm_head stays float."""
    rules = {re.escape(plan.name.hugging_face) + "$": _rule(plan) for plan in plans if plan.name.slot != LM_HEAD}
    return json.dumps({
        "name": name,
        "weights": {"bits": 8, "type": "int", "strategy": "channel"},
        "activations": {"bits": 8, "type": "int", "strategy": "token", "dynamic": True},
        "smooth": _smooth(plans),
        "ignore": [LM_HEAD],
        "layers": rules,
    }, indent=1)
