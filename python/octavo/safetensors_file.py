"""safetensors files from Python: headers without data, one tensor at a time, and a new file from chosen tensors.

Layout: u64 little-endian length N, N bytes of JSON {name: {dtype, shape, data_offsets}}, then the data; offsets count
from the data's first byte. The C++ reader (src/format/safetensors.cc) is the strict one and judges every folder that
is written here; this one serves ``Network.parameters_dict`` and ``save_checkpoint``.
"""
from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from octavo import dtype as msdtype
from octavo.dtype import DType

__all__ = ["TensorEntry", "read_header", "read_tensor", "write_subset"]

_MAX_HEADER_BYTES = 100_000_000  # the bound that the reference implementation has
_DTYPES: dict[str, tuple[DType, str]] = {  # name in files -> our name, numpy's code for the bytes
    "BOOL": (msdtype.bool_, "?"), "U8": (msdtype.uint8, "u1"), "I8": (msdtype.int8, "i1"),
    "U16": (msdtype.uint16, "<u2"), "I16": (msdtype.int16, "<i2"), "U32": (msdtype.uint32, "<u4"),
    "I32": (msdtype.int32, "<i4"), "U64": (msdtype.uint64, "<u8"), "I64": (msdtype.int64, "<i8"),
    "F16": (msdtype.float16, "<f2"), "BF16": (msdtype.bfloat16, "<u2"), "F32": (msdtype.float32, "<f4"),
    "F64": (msdtype.float64, "<f8"),
}


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies: file, element type as the file names it, shape, byte range from the file's beginning."""

    file: Path
    stored_dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def dtype(self) -> DType:
        """The element type by MindSpore's name."""
        return _DTYPES[self.stored_dtype][0]


def _entry(file: Path, name: str, value: Any, data_begin: int, file_bytes: int) -> TensorEntry:
    try:
        stored, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        n_bytes = math.prod(shape) * _DTYPES[stored][0].bits // 8
        whole = 0 <= begin and begin + n_bytes == end and data_begin + end <= file_bytes
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: tensor {name!r} is described as {value!r}, which is not understood") from error
    if not whole:
        raise ValueError(f"{file}: tensor {name!r} says bytes {begin} to {end}; its shape and type need {n_bytes} "
                         f"of the {file_bytes - data_begin} that the file holds")
    return TensorEntry(file, stored, shape, data_begin + begin, data_begin + end)


def read_header(file: Path) -> dict[str, TensorEntry]:
    """Every tensor of `file` by name, in file order.

    Raises:
        ValueError: not a safetensors file, cut short, or a type that is not known.
    """
    file_bytes = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(_MAX_HEADER_BYTES, file_bytes - 8):
            raise ValueError(f"{file} is not a whole safetensors file: its header says {length} bytes, "
                             f"the file has {file_bytes}")
        try:
            header = json.loads(stream.read(length))
        except ValueError as error:
            raise ValueError(f"{file}: the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise ValueError(f"{file}: the header is not a JSON object")
    return {name: _entry(file, name, value, 8 + length, file_bytes)
            for name, value in header.items() if name != "__metadata__"}


def read_tensor(entry: TensorEntry) -> npt.NDArray[Any]:
    """The values, read once into an array of their own (writable, so DLPack takes it); numpy has no bfloat16, so BF16
    comes as float32, which holds each value exactly."""
    with entry.file.open("rb") as stream:
        stream.seek(entry.begin)
        dtype = np.dtype(_DTYPES[entry.stored_dtype][1])
        values = np.fromfile(stream, dtype, (entry.end - entry.begin) // dtype.itemsize)
    if values.nbytes != entry.end - entry.begin:
        raise ValueError(f"{entry.file} became shorter while it was read")
    if entry.stored_dtype == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(entry.shape)


def _copy_range(source: BinaryIO, target: BinaryIO, begin: int, end: int) -> None:
    source.seek(begin)
    left = end - begin
    while left > 0:
        chunk = source.read(min(left, 16 << 20))
        if not chunk:
            raise ValueError(f"{source.name} became shorter while it was read")
        target.write(chunk)
        left -= len(chunk)


def write_subset(source: Path, target: Path, names: Sequence[str]) -> None:
    """Writes the tensors `names` of the file `source` as the file `target`, bytes unchanged, in the order given."""
    entries = read_header(source)
    if list(names) == list(entries):
        shutil.copyfile(source, target)
        return
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        n_bytes = entries[name].end - entries[name].begin
        header[name] = {"dtype": entries[name].stored_dtype, "shape": entries[name].shape,
                        "data_offsets": [offset, offset + n_bytes]}
        offset += n_bytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data begins at a multiple of 8
    with source.open("rb") as reader, target.open("wb") as writer:
        writer.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            _copy_range(reader, writer, entries[name].begin, entries[name].end)
