"""The table of what each linear layer became; layers of equal fate share a line. Called by ``PTQ.summary``."""
from __future__ import annotations

from collections.abc import Sequence

from octavo.layer_names import SLOTS
from octavo.ptq.policy import LayerPlan

__all__ = ["summary_text"]

_HEADINGS = ("layers", "Hugging Face", "MindFormers", "weights", "activations", "smoothing", "decided by")


def _ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as "0-3,7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _cells(plan: LayerPlan, layers: Sequence[int]) -> tuple[str, ...]:
    hugging_face, mindformers = SLOTS.get(plan.name.slot, (plan.name.hugging_face, plan.name.mindformers))
    weights, activations = "float", "float"
    if plan.is_int8:
        weights = "int8 per channel"
        activations = "int8 per tensor, static" if plan.is_static else "int8 per token"
    smoothing = "-" if plan.alpha is None else f"alpha {plan.alpha:g}"
    where = _ranges(layers) if plan.name.slot in SLOTS else "-"
    return (where, hugging_face, mindformers, weights, activations, smoothing, plan.decided_by)


def summary_text(title: str, plans: Sequence[LayerPlan]) -> str:
    """A title line, a heading line, and a line for each kind of layer with the decoder layers it stands for."""
    groups: dict[tuple[object, ...], list[LayerPlan]] = {}
    for plan in plans:
        key = (plan.name.slot, plan.is_int8, plan.is_static, plan.alpha, plan.decided_by)
        groups.setdefault(key, []).append(plan)
    slots = [*SLOTS, plans[-1].name.slot]
    ordered = sorted(groups.values(), key=lambda group: (slots.index(group[0].name.slot), group[0].name.layer))
    table = [_HEADINGS, *(_cells(group[0], [plan.name.layer for plan in group]) for group in ordered)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    n_int8 = sum(plan.is_int8 for plan in plans)
    return "\n".join([f"{title}: {n_int8} of {len(plans)} linear layers are int8", *lines])
