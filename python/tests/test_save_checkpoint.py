"""``save_checkpoint`` and what it saves: parameters read from a folder, written as a complete folder."""
from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo import AutoModel, save_checkpoint
from octavo.model_folder import TemporaryFolder
from octavo.safetensors_file import read_header

FILES = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
         "README.md"}


def write_safetensors(file: Path, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    names = {np.dtype(np.float32): "F32", np.dtype(np.int8): "I8", np.dtype(np.uint16): "BF16"}
    header, data = {}, b""
    for name, values in tensors.items():
        header[name] = {"dtype": names[values.dtype], "shape": values.shape,
                        "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.fixture
def sharded(workplace: Path) -> Path:
    """A model in two files with an index and a description; the tensors are not those of a model."""
    folder = workplace / "sharded"
    folder.mkdir()
    (folder / "config.json").write_text((workplace / "Qwen3-8B-bf16" / "config.json").read_text())
    write_safetensors(folder / "a.safetensors", {"x": np.arange(6, dtype=np.float32).reshape(2, 3),
                                                 "key_cache": np.zeros(2, np.int8)})
    write_safetensors(folder / "b.safetensors", {"y": np.array([0x3F80, 0xC000], np.uint16)})
    weight_map = {"x": "a.safetensors", "key_cache": "a.safetensors", "y": "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "quantization_description.json").write_text(json.dumps({"x": "W8A8", "key_cache": "C8", "v": "1"}))
    return folder


def healthy(monkeypatch: pytest.MonkeyPatch, reason: str = "") -> None:
    """Stands in for the core's verdict on a folder."""
    from types import ModuleType

    import octavo

    stand_in = ModuleType("octavo._native")
    stand_in.inspect = lambda path: {"healthy": not reason, "reason": reason}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "octavo._native", stand_in)
    monkeypatch.setattr(octavo, "_native", stand_in, raising=False)


def test_parameters(sharded: Path) -> None:
    parameters = AutoModel.from_pretrained("sharded").parameters_dict()
    assert list(parameters) == ["x", "key_cache", "y"]
    assert (parameters["x"].shape, str(parameters["x"].dtype), parameters["x"].nbytes) == ((2, 3), "Float32", 24)
    assert parameters["x"].asnumpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert parameters["y"].asnumpy().tolist() == [1.0, -2.0]  # bfloat16 as float32
    assert repr(parameters["y"]) == "Parameter (name=y, shape=(2,), dtype=BFloat16)"


def test_a_float_network_is_saved_whole(workplace: Path) -> None:
    source = workplace / "Qwen3-8B-bf16"
    (source / "pytorch_model.bin").write_bytes(b"the same weights again")
    save_checkpoint(AutoModel.from_pretrained(source).parameters_dict(), "copy", format="safetensors")
    assert {file.name for file in (workplace / "copy").iterdir()} == FILES
    for name in FILES:
        assert (workplace / "copy" / name).read_bytes() == (source / name).read_bytes()
        assert not os.path.samefile(workplace / "copy" / name, source / name)
    assert {path.name for path in workplace.iterdir()} == {"Qwen3-8B-bf16", "copy"}  # nothing left over


def test_choice_func_leaves_tensors_out_everywhere(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(monkeypatch)
    network = AutoModel.from_pretrained("sharded")
    save_checkpoint(network, "chosen", choice_func=lambda name: "key_cache" not in name)
    chosen = sharded.parent / "chosen"
    assert list(read_header(chosen / "a.safetensors")) == ["x"]
    assert (chosen / "b.safetensors").read_bytes() == (sharded / "b.safetensors").read_bytes()
    assert json.loads((chosen / "model.safetensors.index.json").read_text()) == {
        "metadata": {"total_size": 28}, "weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    assert json.loads((chosen / "quantization_description.json").read_text()) == {"x": "W8A8", "v": "1"}
    again = AutoModel.from_pretrained("chosen").parameters_dict()
    assert again["x"].asnumpy().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_filter_that_leaves_out_a_whole_file(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(monkeypatch)
    parameters = AutoModel.from_pretrained("sharded").parameters_dict()
    save_checkpoint({"y": parameters["y"]}, "y-only")
    assert {file.name for file in (sharded.parent / "y-only").glob("*.safetensors")} == {"b.safetensors"}


def test_a_folder_that_would_not_load_is_not_written(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(monkeypatch, reason="tensor 'x' is missing")
    network = AutoModel.from_pretrained("sharded")
    with pytest.raises(ValueError, match="without x, which choice_func.*would not load: tensor 'x' is missing"):
        save_checkpoint(network, "chosen", choice_func=lambda name: name != "x")
    assert sorted(path.name for path in sharded.parent.iterdir()) == ["Qwen3-8B-bf16", "sharded"]


def test_the_core_judges_what_a_filter_leaves(workplace: Path) -> None:
    network = AutoModel.from_pretrained("Qwen3-8B-bf16")
    with pytest.raises(ValueError, match=r"without model\.layers\.0\.mlp\.up_proj\.weight.*would not load"):
        save_checkpoint(network, "less", choice_func=lambda name: "layers.0.mlp.up_proj" not in name)
    assert not (workplace / "less").exists()


def test_what_is_there_stays(workplace: Path) -> None:
    network = AutoModel.from_pretrained("Qwen3-8B-bf16")
    (workplace / "taken").mkdir()
    save_checkpoint(network, "taken")  # an empty folder is no obstacle
    with pytest.raises(FileExistsError, match="'.*taken' is already there.*overwrite=True"):
        save_checkpoint(network, "taken")
    (workplace / "taken" / "note.txt").write_text("mine")
    save_checkpoint(network, "taken", overwrite=True)
    assert {file.name for file in (workplace / "taken").iterdir()} == FILES
    (workplace / "notes").mkdir()
    (workplace / "notes" / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="'.*notes' is already there; remove it or save under another name$"):
        save_checkpoint(network, "notes", overwrite=True)
    with pytest.raises(ValueError, match="is the folder that the network reads from"):
        save_checkpoint(network, "Qwen3-8B-bf16", overwrite=True)
    assert {path.name for path in workplace.iterdir()} == {"Qwen3-8B-bf16", "taken", "notes"}


@pytest.mark.parametrize(("moves_before", "moved"), [(0, False), (0, True), (1, False), (1, True)])
def test_ctrl_c_while_replacing_loses_nothing(moves_before: int, moved: bool, workplace: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    network = AutoModel.from_pretrained("Qwen3-8B-bf16")
    save_checkpoint(network, "taken")
    (workplace / "taken" / "note.txt").write_text("old")
    move, calls = os.replace, iter(range(9))

    def interrupted(source: Path, target: Path) -> None:
        """Ctrl-C just before or just after one of the moves."""
        due = next(calls) == moves_before
        if moved or not due:
            move(source, target)
        if due:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(network, "taken", overwrite=True)
    assert (workplace / "taken" / "note.txt").exists() == ((moves_before, moved) != (1, True))
    assert (workplace / "taken" / "model.safetensors").is_file()
    assert {path.name for path in workplace.iterdir()} == {"Qwen3-8B-bf16", "taken"}


def test_the_only_copy_is_never_in_the_temporary_folder(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = AutoModel.from_pretrained("Qwen3-8B-bf16")
    save_checkpoint(network, "taken")
    (workplace / "taken" / "note.txt").write_text("old")
    move, calls = os.replace, iter(range(9))

    def interrupted_again(source: Path, target: Path) -> None:
        """Ctrl-C after the first move, and again when it is to be undone."""
        if next(calls) > 0:
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", interrupted_again)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(network, "taken", overwrite=True)
    assert [file.read_text() for file in workplace.glob("taken.replaced-*/note.txt")] == ["old"]


@pytest.mark.parametrize(("arguments", "error", "text"), [
    ({"format": "ckpt"}, ValueError, "format 'ckpt' is not supported, only 'safetensors'"),
    ({"format": "safetensor"}, ValueError, "did you mean 'safetensors'"),
    ({"ckpt_file_name": "x.safetensors"}, ValueError, "names a file; .* such as 'x'"),
    ({"ckpt_file_name": "no/where"}, FileNotFoundError, "folder '.*no' is not there"),
    ({"choice_func": "lm_head"}, TypeError, "choice_func is str"),
    ({"choice_func": lambda name: name}, NotImplementedError, "renaming tensors is not supported"),
    ({"choice_func": lambda name: False}, ValueError, "leaves out every tensor"),
    ({"choicefunc": None}, TypeError, "'choicefunc'; did you mean 'choice_func'"),
    ({"save_obj": {}}, ValueError, "no parameter to save"),
    ({"save_obj": {"x": np.zeros(3)}}, TypeError, "'x' is ndarray; expected what network.parameters_dict"),
    ({"save_obj": [1]}, TypeError, "expected network.parameters_dict.., found list"),
])
def test_refused(workplace: Path, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    given = {"save_obj": AutoModel.from_pretrained("Qwen3-8B-bf16"), "ckpt_file_name": "out", **arguments}
    with pytest.raises(error, match=text):
        save_checkpoint(**given)
    assert {path.name for path in workplace.iterdir()} == {"Qwen3-8B-bf16"}


def test_parameters_of_two_networks(workplace: Path) -> None:
    one, two = (AutoModel.from_pretrained("Qwen3-8B-bf16").parameters_dict() for _ in range(2))
    name = next(iter(one))
    with pytest.raises(ValueError, match="parameters of several networks"):
        save_checkpoint({**one, name: two[name]}, "out")
    with pytest.raises(ValueError, match="stands under 'other'; renaming is not supported"):
        save_checkpoint({"other": one[name]}, "out")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    leave = "import os, signal; from pathlib import Path; from octavo.model_folder import TemporaryFolder\n" \
            "folder = TemporaryFolder(Path('.')); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", leave], cwd=tmp_path, check=False)
    (tmp_path / ".octavo-notes").mkdir()
    assert len(list(tmp_path.iterdir())) == 2
    living = TemporaryFolder(tmp_path)
    again = TemporaryFolder(tmp_path)
    assert set(tmp_path.iterdir()) == {tmp_path / ".octavo-notes", living.path, again.path}


def test_a_folder_made_as_ctrl_c_comes_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = os.mkdir

    def interrupted(*arguments: Any, **options: Any) -> None:
        make(*arguments, **options)
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        TemporaryFolder(tmp_path)
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_what_another_host_may_still_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = 2**22 + 1  # no process id of Linux is higher than 2**22
    space = TemporaryFolder(tmp_path).path.name.split("-")[1]
    host = socket.gethostname()
    foreign = [f".octavo-{host}-{dead}-abc", f".octavo-{'0' * 16}-{dead}-abc", f".octavo-{space}-{dead}",
               f".octavo-{space}-{dead}x-abc", f".octavo-{space}0-{dead}-abc", f".octavo-unknown-{dead}-abc"]
    for name in (*foreign, f".octavo-{space}-{dead}-abc"):
        (tmp_path / name).mkdir()
    TemporaryFolder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(foreign)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert TemporaryFolder(tmp_path).path.name.split("-")[1] != space
    (tmp_path / f".octavo-{space}-{dead}-abc").mkdir()

    def unreadable(path: str) -> str:
        raise OSError(path)

    monkeypatch.undo()
    monkeypatch.setattr(os, "readlink", unreadable)
    assert TemporaryFolder(tmp_path).path.name.startswith(f".octavo-unknown-{os.getpid()}-")
    assert (tmp_path / f".octavo-{space}-{dead}-abc").is_dir()


def test_broken_safetensors_files_are_named(sharded: Path) -> None:
    (sharded / "b.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    with pytest.raises(ValueError, match=r"b\.safetensors is not a whole safetensors file"):
        AutoModel.from_pretrained("sharded").parameters_dict()
    header = json.dumps({"y": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}).encode()
    (sharded / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(ValueError, match="'y' says bytes 0 to 12; its shape and type need 12 of the 8"):
        AutoModel.from_pretrained("sharded").parameters_dict()
