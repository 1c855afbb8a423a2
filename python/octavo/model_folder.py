"""A model folder in Hugging Face layout, as far as Python looks into it: its config and the list of its tensors.

Whether a folder is sound is for the C++ core to say (``octavo._native.inspect``, and the pre-flight of quantizing).
"""
from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import weakref
from pathlib import Path
from typing import Any

from octavo.keywords import did_you_mean
from octavo.safetensors_file import TensorEntry, read_header

__all__ = ["INDEX_FILE", "ModelFolder", "TemporaryFolder", "find_model_folder"]

INDEX_FILE = "model.safetensors.index.json"
# Golden Stick's, and msModelSlim's, list of how each tensor is quantized.
_DESCRIPTION_FILES = ("quantization_description.json", "quant_model_description.json")
_TEMPORARY_NAME = re.compile(r"\.octavo-(?P<space>[0-9a-f]{16})-(?P<pid>[0-9]+)-.+")


def find_model_folder(name: str | os.PathLike[str], call: str) -> Path:
    """The local folder called `name`, from the working directory; `call` is named in errors.

    Raises:
        FileNotFoundError: no such folder, or no model in it; a hub's name ("Qwen/Qwen3-8B") is explained.
        NotImplementedError: MindFormers' way, a YAML file.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        raise NotImplementedError(f"{call}({str(name)!r}): models from a YAML file are not supported; give the model "
                                  "folder that holds config.json")
    if not path.is_dir():
        what = "is a file" if path.exists() else "is not there"
        raise FileNotFoundError(f"{call}({str(name)!r}): expected a local model folder, {str(path.absolute())!r} {what}"
                                + _other_folder(path))
    if not (path / "config.json").is_file():
        raise FileNotFoundError(f"{call}({str(name)!r}): the folder {str(path.absolute())!r} has no config.json; "
                                "expected a model in Hugging Face layout")
    return path.absolute()


def _other_folder(path: Path) -> str:
    """What may have been meant by a folder that is not there."""
    beside = path.parent.iterdir() if path.parent.is_dir() else []
    near = did_you_mean(path.name, [folder.name for folder in beside if (folder / "config.json").is_file()])
    return near or ". Names on a model hub are not supported yet; download the model first and give its folder"


def _read_json_object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file}: expected a JSON object, found {type(value).__name__}")
    return value


def _process_space() -> str:
    """Where a process id means what it means here: this host, since it started, in this container; "" if unknown.

    A host's name alone does not say it: containers and machines on one shared disk may have the same.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        parts = (socket.gethostname(), boot, os.readlink("/proc/self/ns/pid"))
    except OSError:
        return ""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _remove_abandoned(beside: Path, space: str) -> None:
    """Removes what killed processes of the process space `space` have left."""
    for folder in beside.iterdir():
        parts = _TEMPORARY_NAME.fullmatch(folder.name)
        if parts is None or parts["space"] != space:
            continue
        try:
            os.kill(int(parts["pid"]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (OverflowError, PermissionError):  # no process has such an id, or it is alive and someone else's
            continue


class TemporaryFolder:
    """A new empty folder in the folder `beside`, removed with this object, or when the program ends."""

    def __init__(self, beside: Path) -> None:
        space = _process_space()
        if space:
            _remove_abandoned(beside, space)
        self.path = beside / f".octavo-{space or 'unknown'}-{os.getpid()}-{secrets.token_hex(8)}"
        # Before the folder is there: Ctrl-C may come between the two.
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
        os.mkdir(self.path, 0o700)


class ModelFolder:
    """A folder with ``config.json`` and safetensors files; it does not change while this object lives."""

    def __init__(self, path: Path, temporary: TemporaryFolder | None = None) -> None:
        self.path = path
        self.temporary = temporary  # in which it lies and with which it goes

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``."""
        return _read_json_object(self.path / "config.json")

    @functools.cached_property
    def quantization(self) -> str:
        """How the folder says it is quantized: a method's name, or ``""`` for a float model."""
        stated = self.config.get("quantization_config")
        if stated:
            return str(stated.get("quant_method", "unknown")) if isinstance(stated, dict) else "unknown"
        return next((file for file in _DESCRIPTION_FILES if (self.path / file).is_file()), "")

    @property
    def description_file(self) -> Path | None:
        """The file that maps each tensor's name to how it is quantized, where the layout has one."""
        return next((self.path / file for file in _DESCRIPTION_FILES if (self.path / file).is_file()), None)

    @functools.cached_property
    def weight_files(self) -> list[Path]:
        """The safetensors files, those that the index names where there is one.

        Raises:
            FileNotFoundError: the folder has none.
        """
        index = self.path / INDEX_FILE
        if index.is_file():
            weight_map = _read_json_object(index).get("weight_map")
            if not isinstance(weight_map, dict):
                raise ValueError(f"{index}: expected \"weight_map\", an object from tensor name to file")
            files = sorted({self.path / Path(str(file)).name for file in weight_map.values()})
        else:
            files = sorted(self.path.glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(f"{self.path} has no safetensors file")
        return files

    @functools.cached_property
    def tensors(self) -> dict[str, TensorEntry]:
        """Every tensor by name; reads headers only."""
        return {name: entry for file in self.weight_files for name, entry in read_header(file).items()}
