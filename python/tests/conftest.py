"""What all tests share: the demo model, plain and quantized, as a working directory, and data outside the project."""

import os
import pathlib
import shutil
import signal

import pytest

from octavo import _native

ROOT = pathlib.Path(__file__).parents[2]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
DATA = pathlib.Path(os.environ.get("OCTAVO_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def demo() -> str:
    """The folder of the bf16 demo model."""
    return str(ROOT / "models" / "demo")


@pytest.fixture(scope="session")
def demo_w8a8(demo, tmp_path_factory) -> str:
    """The demo model in int8 by plain rounding, as compressed-tensors."""
    target = str(tmp_path_factory.mktemp("models") / "demo-w8a8")
    _native.quantize(demo, target, recipe="rtn-w8a8")
    return target


@pytest.fixture
def data() -> pathlib.Path:
    """The folder of test data that is not part of the project."""
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA}; set OCTAVO_DATA")
    return DATA


@pytest.fixture
def workplace(tmp_path, monkeypatch, demo) -> pathlib.Path:
    """An empty working directory with the demo model in it as "Qwen3-8B-bf16"."""
    shutil.copytree(demo, tmp_path / "Qwen3-8B-bf16")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ceval(workplace) -> pathlib.Path:
    """A folder "ceval" in the working directory: C-Eval's shape, two questions of each subject and split."""
    from octavo.datasets.ceval import SUBJECTS

    for split in ("dev", "test", "val"):
        (workplace / "ceval" / split).mkdir(parents=True)
        answer = "" if split == "test" else ",answer"
        for number, subject in enumerate(SUBJECTS):
            rows = [
                f"{row},下列数中等于{number}加{row}的是____。,{number},{number + 1},{number + 2},{number + 3}"
                + (answer and f",{'ABCD'[row]}")
                for row in range(2)
            ]
            text = "\n".join([f"id,question,A,B,C,D{answer}", *rows]) + "\n"
            (workplace / "ceval" / split / f"{subject}_{split}.csv").write_text(text, encoding="utf-8")
    return workplace / "ceval"
