"""``GeneratorDataset`` and ``get_datasets``: where rows come from, and what calibrating takes of them."""
from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from octavo import AutoModel
from octavo.datasets import GeneratorDataset, get_datasets
from octavo.datasets.calibration import Calibration, calibration_of
from octavo.datasets.ceval import SUBJECTS, CevalFolder, find_ceval, read_questions

COLUMNS = ["subjects", "input_ids", "labels"]


class Letters:
    """A tokenizer: one id a character, BOS before; id 0 pads."""

    pad_token_id = 0

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [1] * add_special_tokens + [2 + ord(letter) % 1000 for letter in text]


def load(path: str, mode: str = "eval", **options: Any) -> Any:
    given = {"batch_size": 1, "seq_length": 40, "max_new_tokens": 1, "tokenizer": Letters(), "ignore_token_id": -100,
             **options}
    return get_datasets("ceval", path, mode, **given)


def test_subjects_are_those_of_the_program() -> None:
    source = (ROOT / "src" / "data" / "ceval.cc").read_text(encoding="utf-8")
    assert list(SUBJECTS.items()) == re.findall(r'^    \{"(\w+)", "(.+)"\},$', source, re.MULTILINE)


def test_the_split_that_a_path_means(ceval: Path) -> None:
    root = ceval
    assert find_ceval("ceval") == CevalFolder(root, "test")
    assert find_ceval(root / "val") == CevalFolder(root, "val")
    assert find_ceval("ceval/dev/") == CevalFolder(root, "dev")
    shutil.rmtree(root / "test")
    assert find_ceval("ceval") == CevalFolder(root, "dev")
    shutil.rmtree(root / "dev")
    with pytest.raises(FileNotFoundError, match="val/ only, which is what one scores with.*'ceval/val'"):
        find_ceval("ceval")
    shutil.rmtree(root / "val")
    with pytest.raises(FileNotFoundError, match="'ceval' has none of dev/, test/, val/"):
        find_ceval("ceval")
    with pytest.raises(FileNotFoundError, match="'cevl' is not there"):
        find_ceval("cevl")


@pytest.mark.parametrize("name", ["dev", "test", "val"])
def test_a_root_may_be_called_as_a_split(ceval: Path, name: str) -> None:
    root = ceval.rename(ceval.with_name(name))
    assert find_ceval(root) == CevalFolder(root, "test")
    assert find_ceval(root / "dev") == CevalFolder(root, "dev")


def test_prompt(ceval: Path) -> None:
    first = read_questions(find_ceval("ceval/dev"), 1)[0]
    assert first.prompt == ("以下是中国关于注册会计师考试的单项选择题，请不要分析过程，直接在A、B、C、D四个选项中选出正确答案。\n\n"
                            "下列数中等于0加0的是____。\nA. 0\nB. 1\nC. 2\nD. 3\n答案：")
    assert (first.subject, first.answer) == ("注册会计师", "A")


@pytest.mark.parametrize(("n_samples", "n_subjects", "most"), [(52, 52, 1), (60, 52, 2), (104, 52, 2), (-1, 52, 2),
                                                              (3, 3, 1), (1000, 52, 2)])
def test_every_subject_gives_alike(ceval: Path, n_samples: int, n_subjects: int, most: int) -> None:
    counts = Counter(question.subject for question in read_questions(find_ceval("ceval"), n_samples))
    assert (len(counts), max(counts.values())) == (n_subjects, most)
    assert sum(counts.values()) == (104 if n_samples in (-1, 1000) else n_samples)


def test_broken_ceval_files_are_named(ceval: Path) -> None:
    file = ceval / "test" / "law_test.csv"
    file.write_text("id,question,A,B,C\n", encoding="utf-8")
    with pytest.raises(ValueError, match="law_test.csv has no column 'D'"):
        read_questions(find_ceval("ceval"))
    file.write_text("id,question,A,B,C,D\n0,q,a\n", encoding="utf-8")
    with pytest.raises(ValueError, match="law_test.csv, line 2: the row has too few columns"):
        read_questions(find_ceval("ceval"))
    file.unlink()
    with pytest.raises(FileNotFoundError, match="law_test.csv' is not there"):
        read_questions(find_ceval("ceval"))


def test_eval_rows(ceval: Path) -> None:
    dataset = load("ceval/dev", n_samples=52)
    rows = list(dataset.create_dict_iterator())
    assert len(rows) == len(dataset) == dataset.get_dataset_size() == 52
    assert list(rows[0]) == COLUMNS == dataset.get_col_names()
    assert rows[0]["subjects"].tolist() == ["注册会计师"]
    assert rows[0]["input_ids"].shape == (1, 40)  # cut
    assert rows[0]["input_ids"].dtype == np.int32
    assert rows[0]["labels"].tolist() == [[2 + ord("A")]]


def test_the_test_split_has_no_labels(ceval: Path) -> None:
    assert next(load("ceval").create_dict_iterator())["labels"].shape == (1, 0)
    with pytest.raises(ValueError, match="test split has no answers to train on"):
        load("ceval", mode="train")


def test_train_rows_mask_the_prompt_with_its_bos(ceval: Path) -> None:
    row = next(load("ceval/dev", mode="train", seq_length=500).create_dict_iterator())
    ids, labels = row["input_ids"][0].tolist(), row["labels"][0].tolist()
    assert labels == [-100] * (len(ids) - 1) + [2 + ord("A")]
    cut = next(load("ceval/dev", mode="train", seq_length=10).create_dict_iterator())
    assert cut["input_ids"].shape == cut["labels"].shape == (1, 11)


def test_batches_are_padded_but_calibration_is_not(ceval: Path, demo: str) -> None:
    dataset = load("ceval/dev", seq_length=500, batch_size=10, need_pad=True, n_samples=52, repeat=2)
    batches = list(dataset)
    assert [batch[1].shape for batch in batches] == ([(10, 500)] * 5 + [(2, 500)]) * 2
    assert batches[0][1][0, -1] == 0
    calibration = calibration_of(dataset, AutoModel.from_pretrained(demo))
    assert len(calibration.token_samples) == 52
    assert all(ids[-1] != 0 for ids in calibration.token_samples)
    with pytest.raises(ValueError, match="differ in length in 'input_ids'; give need_pad=True"):
        list(load("ceval/dev", seq_length=500, batch_size=104))


@pytest.mark.parametrize(("arguments", "error", "text"), [
    (("cevall", "ceval", "eval"), ValueError, r"^Not supported datasets type: cevall\.; did you mean 'ceval'"),
    (("gsm8k", "ceval", "eval"), NotImplementedError, "'gsm8k' is not supported yet"),
    (("WikiText2", "ceval", "eval"), NotImplementedError, "not supported yet"),
    (("ceval", "ceval", "test"), ValueError, "mode is 'test', expected 'train' or 'eval'"),
    (("ceval", "nowhere", "eval"), FileNotFoundError, "'nowhere' is not there"),
])
def test_get_datasets_refuses(ceval: Path, arguments: tuple[str, str, str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        get_datasets(*arguments, 1, 40, 1, Letters(), -100)


def test_ceval_by_name_is_read_by_the_core(ceval: Path, demo: str) -> None:
    dataset = GeneratorDataset(source="ceval", column_names=COLUMNS)
    network = AutoModel.from_pretrained(demo)
    assert calibration_of(dataset, network) == Calibration(source=f"ceval:{ceval}@test", n_samples=128,
                                                           length_tokens=512)
    assert calibration_of(GeneratorDataset("ceval/val", COLUMNS, num_samples=5), network) == Calibration(
        source=f"ceval:{ceval}@val", n_samples=5, length_tokens=512)
    assert len(dataset) == 104
    assert next(iter(dataset))[1].startswith("以下是中国关于注册会计师考试")


def one_by_one() -> Iterator[tuple[list[int]]]:
    yield ([5, 6, 7],)
    yield ([8],)


class Indexed:
    """The form that MindSpore calls random access."""

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return (np.array([[5, 6, 7], [8]][index], dtype=np.int32),)

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize("source", [
    one_by_one, one_by_one(), Indexed(), [[5, 6, 7], [8]], [np.array([5, 6, 7]), np.array([8])],
    [{"input_ids": [5, 6, 7]}, {"input_ids": [8]}], [([[5, 6, 7], [8]],)],
])
def test_sources(source: Any, demo: str) -> None:
    dataset = GeneratorDataset(source, ["input_ids"])
    network = AutoModel.from_pretrained(demo)
    for _ in range(2):  # a generator object gives its rows once; the data set keeps them
        assert calibration_of(dataset, network) == Calibration(token_samples=[[5, 6, 7], [8]], n_samples=2,
                                                               length_tokens=3)


def test_other_columns_are_passed_by(demo: str) -> None:
    dataset = GeneratorDataset([("law", [3, 4], [1]), ("art", [5], [2])], COLUMNS, num_samples=1)
    assert calibration_of(dataset, AutoModel.from_pretrained(demo)).token_samples == [[3, 4]]


@pytest.mark.parametrize(("source", "columns", "error", "text"), [
    ([[1, 2]], None, ValueError, "column_names is missing"),
    (3, ["input_ids"], TypeError, "source is int"),
    ("ceval", ["subjects", "input_id"], ValueError, "no column 'input_id'.*did you mean 'input_ids'"),
])
def test_generator_refuses(ceval: Path, source: Any, columns: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        GeneratorDataset(source, columns)


@pytest.mark.parametrize(("rows", "columns", "error", "text"), [
    ([(1, 2, 3)], ["a", "input_ids"], ValueError, r"row 0 has 3 values for 2 columns \(a, input_ids\)"),
    ([7], ["a", "input_ids"], ValueError, "row 0 is int, expected a tuple of 2 values"),
    ([{"ids": [1]}], ["input_ids"], ValueError, "row 0 has no 'input_ids'; it has ids"),
    ([([1],)], ["ids"], ValueError, "no column 'input_ids', which calibrating reads; the columns are ids"),
    ([], ["input_ids"], ValueError, "no row to calibrate on"),
    ([([],)], ["input_ids"], TypeError, "row 0: 'input_ids' is"),
    ([([1, 2],), ([1, 99999],)], ["input_ids"], ValueError, "row 1: token id 99999 is outside the vocabulary, 0 to 12287"),
    ([([1, -1],)], ["input_ids"], ValueError, "token id -1 is outside"),
    ([([0.5, 1.5],)], ["input_ids"], TypeError, "row 0: 'input_ids' is 0.5; expected token ids or a text"),
])
def test_rows_that_do_not_fit(demo: str, rows: Any, columns: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        calibration_of(GeneratorDataset(rows, columns), AutoModel.from_pretrained(demo))


def test_what_is_no_data_set(demo: str) -> None:
    with pytest.raises(TypeError, match="Unsupported data type: <class 'list'>. Please provide a GeneratorDataset"):
        calibration_of([[1, 2]], AutoModel.from_pretrained(demo))


def test_texts_are_encoded_by_the_networks_own_tokenizer(demo: str) -> None:
    network = AutoModel.from_pretrained(demo)
    dataset = GeneratorDataset(["I am", "Today is"], ["input_ids"])
    assert calibration_of(dataset, network).token_samples == [network.tokenizer.encode("I am"),
                                                              network.tokenizer.encode("Today is")]
