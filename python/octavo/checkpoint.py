"""``octavo.save_checkpoint``: what ``network.parameters_dict()`` lists, written as a complete model folder.

MindSpore writes one file of tensors and leaves it to the user to add config and tokenizer. Here the name becomes a
folder that ``octavo.LLM``, vLLM or transformers opens as it is. Whole or not at all: it is built beside the target,
looked through by the C++ reader and then renamed.
"""
from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from octavo.keywords import did_you_mean, suggests_keywords
from octavo.model_folder import INDEX_FILE, ModelFolder, TemporaryFolder
from octavo.network import Network, Parameter
from octavo.safetensors_file import read_header, write_subset

__all__ = ["save_checkpoint"]

# Weights in other formats, which a float folder may hold beside its safetensors files.
_OTHER_WEIGHTS = {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".pt", ".pth", ".safetensors"}


def _folder_of(parameters: Mapping[str, Parameter]) -> ModelFolder:
    if not parameters:
        raise ValueError("save_checkpoint: there is no parameter to save")
    for name, parameter in parameters.items():
        if not isinstance(parameter, Parameter):
            raise TypeError(f"save_checkpoint: {name!r} is {type(parameter).__name__}; expected what "
                            "network.parameters_dict() of a network from AutoModel gives")
        if parameter.name != name:
            raise ValueError(f"save_checkpoint: the parameter {parameter.name!r} stands under {name!r}; "
                             "renaming is not supported")
    folders = {id(parameter.folder): parameter.folder for parameter in parameters.values()}
    if len(folders) > 1:
        raise ValueError("save_checkpoint: parameters of several networks: "
                         + ", ".join(str(folder.path) for folder in folders.values()))
    return next(iter(folders.values()))


def _chosen(parameters: Mapping[str, Parameter], choice_func: Callable[[str], bool] | None) -> set[str]:
    if choice_func is None:
        return set(parameters)
    if not callable(choice_func):
        raise TypeError(f"save_checkpoint: choice_func is {type(choice_func).__name__}, expected a function from a "
                        "tensor's name to True (save) or False (leave out)")
    chosen = set()
    for name in parameters:
        answer = choice_func(name)
        if isinstance(answer, str):
            raise NotImplementedError(f"save_checkpoint: choice_func({name!r}) gave {answer!r}; renaming tensors is "
                                      "not supported, expected True or False")
        if answer:
            chosen.add(name)
    if not chosen:
        raise ValueError("save_checkpoint: choice_func leaves out every tensor")
    return chosen


def _place(source: Path, target: Path, is_temporary: bool) -> None:
    """A copy; of a file of ours that nobody changes and that is about to go, another link, which costs nothing."""
    if is_temporary:
        try:
            os.link(source, target)
            return
        except OSError:  # a file system without links
            pass
    shutil.copyfile(source, target)


def _write_weights(folder: ModelFolder, target: Path, chosen: set[str]) -> None:
    weight_map: dict[str, str] = {}
    total_bytes = 0
    for file in folder.weight_files:
        entries = read_header(file)
        names = [name for name in entries if name in chosen]
        if not names:
            continue
        if len(names) == len(entries):
            _place(file, target / file.name, folder.temporary is not None)
        else:
            write_subset(file, target / file.name, names)
        weight_map.update({name: file.name for name in names})
        total_bytes += sum(entries[name].end - entries[name].begin for name in names)
    if (folder.path / INDEX_FILE).is_file():
        index = {"metadata": {"total_size": total_bytes}, "weight_map": dict(sorted(weight_map.items()))}
        (target / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _write_rest(folder: ModelFolder, target: Path, chosen: set[str]) -> None:
    for file in sorted(folder.path.iterdir()):
        if not file.is_file() or file.suffix in _OTHER_WEIGHTS or file.name == INDEX_FILE:
            continue
        if file == folder.description_file and len(chosen) < len(folder.tensors):
            tags = json.loads(file.read_text(encoding="utf-8"))
            kept = {name: tag for name, tag in tags.items() if name in chosen or name not in folder.tensors}
            (target / file.name).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
            continue
        shutil.copyfile(file, target / file.name)


def _refuse_unless_it_loads(folder: ModelFolder, target: Path, chosen: set[str]) -> None:
    from octavo import _native

    found = _native.inspect(str(target))
    if found["healthy"]:
        return
    left_out = sorted(set(folder.tensors) - chosen)
    shown = ", ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")
    raise ValueError(f"save_checkpoint: without {shown}, which choice_func or the given parameters leave out, the "
                     f"folder would not load: {str(found['reason']).replace(str(target), 'it')}")


def _check_target(target: Path, overwrite: bool) -> None:
    if target.suffix in (".safetensors", ".ckpt"):
        raise ValueError(f"save_checkpoint: {str(target)!r} names a file; a complete model folder is written, so give "
                         f"the folder's name, such as {target.stem!r}")
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.is_dir() and overwrite and (target / "config.json").is_file():
        return
    if target.exists():
        replaceable = (target / "config.json").is_file() and not overwrite
        raise FileExistsError(f"save_checkpoint: {str(target)!r} is already there; remove it or save under another name"
                              + (", or give overwrite=True to replace it" if replaceable else ""))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save_checkpoint: the folder {str(target.parent)!r} is not there")


def _swap(made: Path, target: Path, rubbish: Path) -> None:
    """`made` takes the place of `target`, which moves to `rubbish`; on failure or Ctrl-C `target` stays what it was.

    In between the old folder has a name beside `target`: in the temporary folder, which goes come what may, a second
    Ctrl-C or a killed process would lose it.
    """
    if not target.exists():
        os.replace(made, target)
        return
    aside = target.with_name(f"{target.name}.replaced-{secrets.token_hex(4)}")
    try:
        os.replace(target, aside)
        os.replace(made, target)
    finally:
        if aside.exists():
            os.replace(aside, rubbish if target.exists() else target)


@suggests_keywords
def save_checkpoint(save_obj: Network | Mapping[str, Parameter], ckpt_file_name: str | os.PathLike[str],
                    format: str = "safetensors", choice_func: Callable[[str], bool] | None = None,
                    overwrite: bool = False) -> None:
    """Writes the model folder `ckpt_file_name`: weights, config, tokenizer, and how it is quantized.

    Args:
        save_obj: ``network.parameters_dict()``, or the network.
        ckpt_file_name: the folder to write; it must not exist, or be empty, unless `overwrite`.
        format: only ``"safetensors"``.
        choice_func: tensors for whose name it gives False are left out; one that the model needs is an error.
        overwrite: replace a model folder of that name.

    Raises:
        FileExistsError: the folder is there.
        ValueError: the folder would not load without the tensors left out; another format.
        TypeError: something that is not a network's parameters.
    """
    if format != "safetensors":
        raise ValueError(f"save_checkpoint: format {format!r} is not supported, only 'safetensors'"
                         + did_you_mean(str(format), ["safetensors"]))
    parameters = save_obj.parameters_dict() if isinstance(save_obj, Network) else save_obj
    if not isinstance(parameters, Mapping):
        raise TypeError(f"save_checkpoint: expected network.parameters_dict(), found {type(save_obj).__name__}")
    folder = _folder_of(parameters)
    chosen = _chosen(parameters, choice_func)
    target = Path(ckpt_file_name).absolute()
    _check_target(target, overwrite)
    if target.exists() and os.path.samefile(target, folder.path):
        raise ValueError(f"save_checkpoint: {str(target)!r} is the folder that the network reads from")
    building = TemporaryFolder(target.parent)
    try:
        made = building.path / "model"
        made.mkdir()
        _write_weights(folder, made, chosen)
        _write_rest(folder, made, chosen)
        if len(chosen) < len(folder.tensors):
            _refuse_unless_it_loads(folder, made, chosen)
        _swap(made, target, building.path / "replaced")
    finally:
        building.remove()
