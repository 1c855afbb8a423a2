"""Number formats by the names that MindSpore users know: ``from octavo import dtype as msdtype``.

Printed as MindSpore prints them, because error messages quote them: ``str(int8)`` is ``Int8``, ``repr(int8)`` is
``mindspore.int8``. A name here says nothing about what Octavo can quantize to; :class:`octavo.ptq.PTQ` does.
"""
from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DType", "bfloat16", "bool_", "float16", "float32", "float64", "int4", "int8", "int16", "int32", "int64",
           "qint4x2", "uint8", "uint16", "uint32", "uint64"]


@dataclass(frozen=True)
class DType:
    """A number format: MindSpore's name for it and the width of one element in bits."""

    name: str
    bits: int

    def __str__(self) -> str:
        return {"bfloat16": "BFloat16"}.get(self.name, self.name.capitalize().replace("Uint", "UInt"))

    def __repr__(self) -> str:
        return f"mindspore.{self.name}"


bool_ = DType("bool", 8)
int4 = DType("int4", 4)
qint4x2 = int4  # two in a byte; MindSpore prints it as int4 too
int8 = DType("int8", 8)
int16 = DType("int16", 16)
int32 = DType("int32", 32)
int64 = DType("int64", 64)
uint8 = DType("uint8", 8)
uint16 = DType("uint16", 16)
uint32 = DType("uint32", 32)
uint64 = DType("uint64", 64)
float16 = DType("float16", 16)
bfloat16 = DType("bfloat16", 16)
float32 = DType("float32", 32)
float64 = DType("float64", 64)
