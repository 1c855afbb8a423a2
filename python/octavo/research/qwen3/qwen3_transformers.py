"""Qwen3's decoder layer, by the name under which quantizing scripts put it into ``PTQ.decoder_layer_types``."""
from __future__ import annotations

from typing import ClassVar

from octavo.network import DecoderLayer

__all__ = ["Qwen3ParallelTransformerLayer"]


class Qwen3ParallelTransformerLayer(DecoderLayer):
    """The decoder layers of a Qwen3 network."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen3",)
