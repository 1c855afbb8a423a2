"""octavo._native: what the package is built on. Errors have Python's own types, progress functions and Ctrl-C work."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

import octavo
from octavo import _native


def test_errors_are_both_octavos_and_pythons(demo, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere") as error:
        _native.Tokenizer(str(tmp_path / "nowhere"))
    assert isinstance(error.value, octavo.OctavoError) and error.value.code == "not_found"
    with pytest.raises(ValueError, match="compressed-tensors or golden-stick") as error:
        _native.quantize(demo, str(tmp_path / "out"), format="zip")
    assert isinstance(error.value, octavo.OctavoError) and error.value.code == "invalid_argument"
    assert not issubclass(octavo.OctavoError, KeyboardInterrupt)


def test_quantize_reports(demo, tmp_path):
    seen = []
    report = _native.quantize(
        demo, str(tmp_path / "out"), recipe="rtn-w8a8", progress=lambda what, done, total: seen.append((what, done, total))
    )
    assert report["target_bytes"] < report["source_bytes"]
    assert all(0 <= done <= total for _, done, total in seen) and len(seen) > 10
    assert _native.inspect(str(tmp_path / "out"))["healthy"]


@pytest.mark.parametrize("end", [KeyError("mine"), KeyboardInterrupt()])
def test_an_exception_in_progress_ends_the_work(demo, tmp_path, end):
    def progress(what, done, total):
        raise end

    with pytest.raises(type(end)):
        _native.quantize(demo, str(tmp_path / "out"), recipe="rtn-w8a8", progress=progress)
    assert not (tmp_path / "out").exists()


def test_a_signal_ends_the_work(demo, tmp_path):
    def progress(what, done, total):
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        _native.quantize(demo, str(tmp_path / "out"), recipe="rtn-w8a8", progress=progress)
    assert not (tmp_path / "out").exists()


def test_the_program_comes_along(demo):
    answers = []
    for command in ([sys.executable, "-m", "octavo"], [str(pathlib.Path(sys.executable).with_name("octavo"))]):
        done = subprocess.run([*command, "inspect", demo], capture_output=True, text=True, check=True)
        answers.append(done.stdout)
        assert subprocess.run([*command, "no-such-command"], capture_output=True).returncode == 2
    assert answers[0] == answers[1] == _native.inspect(demo)["text"]


def test_tokenizer_and_chat_template(demo):
    tokenizer = _native.Tokenizer(demo)
    assert tokenizer.decode(tokenizer.encode("Hello, 世界")) == "Hello, 世界"
    prompt = _native.ChatTemplate(demo).render('{"messages": [{"role": "user", "content": "Hi"}]}')
    assert "Hi" in prompt
