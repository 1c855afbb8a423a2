"""``python -m octavo.compat``: scripts as they are, and everything else as Python itself does it."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import octavo
from octavo.compat import STAND_INS, stand_ins


def run(*arguments: str, compat: bool = True, cwd: Path) -> subprocess.CompletedProcess[str]:
    module = ["-m", "octavo.compat"] if compat else []
    return subprocess.run([sys.executable, *module, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)


def as_python_does(script: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `script` through octavo.compat, after seeing that Python alone gives the same output and exit code."""
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub" / "script.py").write_text(script, encoding="utf-8")
    ours = run("sub/script.py", *arguments, cwd=tmp_path)
    theirs = run("sub/script.py", *arguments, compat=False, cwd=tmp_path)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    return ours


def test_imports_of_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("""\
from mindformers import AutoModel
from mindspore import GeneratorDataset
from mindspore import dtype as msdtype
import mindspore as ms
from mindspore_gs.ptq import PTQ, PTQConfig
import mindspore_gs.ptq
from mindspore_gs.common import BackendTarget
from mindspore_gs.datasets import get_datasets
from research.qwen3.qwen3_transformers import Qwen3ParallelTransformerLayer
import vllm_mindspore
import octavo, octavo.ptq
assert PTQ is octavo.ptq.PTQ is mindspore_gs.ptq.PTQ
assert ms is octavo is vllm_mindspore and ms.save_checkpoint
assert msdtype is octavo.dtype and octavo.__name__ == octavo.__spec__.name == "octavo"
print(Qwen3ParallelTransformerLayer.__module__)
""")
    done = run("script.py", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "octavo.research.qwen3.qwen3_transformers\n", "")


def test_script_sees_what_python_gives(tmp_path: Path) -> None:
    done = as_python_does("import sys, __main__\nprint(sys.argv, __name__, __file__, sys.path[0], __main__.sys is sys, "
                          "sorted(globals()), __doc__)\n", tmp_path, "-x", "--flag", "a b")
    assert "['sub/script.py', '-x', '--flag', 'a b'] __main__" in done.stdout


@pytest.mark.parametrize(("script", "code"), [
    ("def f():\n    return 1 / 0\n\nf()\n", 1),
    ("import sys\nsys.exit(7)\n", 7),
    ("raise SystemExit('stopped')\n", 1),
    ("print('no end'\n", 1),
    ("import nothing_of_that_name\n", 1),
    ("import atexit\natexit.register(print, 'bye')\nraise ValueError('x') from KeyError('y')\n", 1),
])
def test_errors_look_like_pythons(script: str, code: int, tmp_path: Path) -> None:
    assert as_python_does(script, tmp_path).returncode == code


def test_a_missing_script(tmp_path: Path) -> None:
    done = run("no.py", cwd=tmp_path)
    assert done.returncode == 2
    assert f"can't open file '{tmp_path}/no.py': [Errno 2] No such file or directory" in done.stderr
    assert run(cwd=tmp_path).returncode == 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes on exceptions came with Python 3.11")
def test_names_that_the_documentation_leaves_out_get_a_note(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print(quant_mode)\n")
    done = run("script.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("NameError: name 'quant_mode' is not defined\nthe script does not define 'quant_mode'; add: "
                                "from mindspore_gs.ptq import PTQMode; quant_mode = PTQMode.QUANTIZE\n")


def test_what_octavo_does_not_have_is_named_as_the_script_names_it() -> None:
    with stand_ins():
        with pytest.raises(ModuleNotFoundError, match="No module named 'mindspore.nn': octavo.compat stands in for "
                                                      "mindspore, and Octavo has no 'octavo.nn'"):
            import mindspore.nn  # noqa: F401
        with pytest.raises(ImportError, match="cannot import name 'Tensor' from 'octavo'"):
            from mindspore import Tensor  # noqa: F401


def test_vllms_engines_are_where_vllm_has_them() -> None:
    with stand_ins():
        from vllm import AsyncLLMEngine
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.engine.async_llm_engine import AsyncLLMEngine as OfItsModule
        from vllm.entrypoints.llm import LLM
        from vllm.sampling_params import BeamSearchParams, RequestOutputKind
        from vllm.v1.engine.async_llm import AsyncLLM

        assert AsyncLLM is AsyncLLMEngine is OfItsModule is octavo.AsyncLLM and LLM is octavo.LLM
        assert AsyncEngineArgs is octavo.AsyncEngineArgs and BeamSearchParams is octavo.BeamSearchParams
        assert RequestOutputKind is octavo.RequestOutputKind
        with pytest.raises(ModuleNotFoundError, match="No module named 'vllm.v1.core'"):
            import vllm.v1.core  # noqa: F401
    ours = sys.modules["octavo.async_llm"]
    assert ours.__spec__ is not None and ours.__name__ == ours.__spec__.name == "octavo.async_llm"


def test_all_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = type(sys)("vllm")
    monkeypatch.setitem(sys.modules, "vllm", theirs)
    with stand_ins():
        import mindspore
        import vllm

        assert mindspore is vllm is octavo
    assert sys.modules["vllm"] is theirs
    assert not any(name.partition(".")[0] in STAND_INS for name in sys.modules if name != "vllm")
    with pytest.raises(ModuleNotFoundError):
        import mindspore_gs  # noqa: F401
