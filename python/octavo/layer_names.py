"""The linear layers of a decoder model and what people call them.

One layer has a Hugging Face name, ``model.layers.0.self_attn.q_proj``, and a MindFormers name,
``model.layers.0.attention.wq``; Golden Stick writes ``network.`` before either. Blacklists and policies may use any
of these spellings. Called by ``ptq/policy.py`` and ``ptq/summary.py``.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["LM_HEAD", "SLOTS", "LayerName", "layer_names", "matched_by_regex", "matched_by_substring"]

# Slot -> (Hugging Face, MindFormers), both under "model.layers.N."; in the order in which a layer uses them.
SLOTS = {
    "q": ("self_attn.q_proj", "attention.wq"),
    "k": ("self_attn.k_proj", "attention.wk"),
    "v": ("self_attn.v_proj", "attention.wv"),
    "o": ("self_attn.o_proj", "attention.wo"),
    "gate": ("mlp.gate_proj", "feed_forward.w1"),
    "up": ("mlp.up_proj", "feed_forward.w3"),
    "down": ("mlp.down_proj", "feed_forward.w2"),
}
LM_HEAD = "lm_head"  # the same in both worlds
_PREFIX = "network."


@dataclass(frozen=True)
class LayerName:
    """One linear layer: the decoder layer it belongs to (-1 for lm_head), its slot, and both names."""

    layer: int
    slot: str
    hugging_face: str
    mindformers: str

    @property
    def spellings(self) -> tuple[str, ...]:
        """Both names, without ``network.``."""
        return (self.hugging_face, self.mindformers)


def layer_names(n_layers: int) -> list[LayerName]:
    """Every linear layer of a model with `n_layers` decoder layers, in model order, lm_head last."""
    names = [LayerName(layer, slot, f"model.layers.{layer}.{hugging_face}", f"model.layers.{layer}.{mindformers}")
             for layer in range(n_layers) for slot, (hugging_face, mindformers) in SLOTS.items()]
    return [*names, LayerName(-1, LM_HEAD, LM_HEAD, LM_HEAD)]


def _matched(names: Sequence[LayerName], test: Callable[[str], bool]) -> set[LayerName]:
    # "network." comes second: it holds "wo", and a test for o_proj by that name must not match every layer.
    found = {name for name in names if any(test(spelling) for spelling in name.spellings)}
    return found or {name for name in names if any(test(_PREFIX + spelling) for spelling in name.spellings)}


def matched_by_regex(names: Sequence[LayerName], pattern: re.Pattern[str]) -> set[LayerName]:
    """The layers whose name, in some spelling, begins with a match of `pattern` (``re.match``)."""
    return _matched(names, lambda spelling: pattern.match(spelling) is not None)


def matched_by_substring(names: Sequence[LayerName], entry: str) -> set[LayerName]:
    """The layers whose name, in some spelling, contains `entry`; the empty text is in every name."""
    return _matched(names, lambda spelling: entry in spelling)
