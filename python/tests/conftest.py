"""What all tests share: the demo model, plain and quantized."""

import pathlib

import pytest

from octavo import _native

ROOT = pathlib.Path(__file__).parents[2]


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
