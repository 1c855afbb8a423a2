"""C-Eval (Huang et al. 2023): multiple-choice questions in Chinese, 52 subjects, as prompts for calibrating.

Files ``<folder>/<split>/<subject>_<split>.csv`` with columns question, A, B, C, D and, but for the test split, answer.
The prompt is worded as Golden Stick words it: zero-shot, no chat template. ``src/data/ceval.cc`` is the same for the
program; a test keeps the two lists of subjects equal.
"""
from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from octavo.datasets.dataset import Dataset

__all__ = ["COLUMNS", "SUBJECTS", "CevalDataset", "CevalFolder", "Question", "find_ceval", "read_questions"]

COLUMNS = ["subjects", "input_ids", "labels"]
SUBJECTS = {
    "accountant": "注册会计师",
    "advanced_mathematics": "高等数学",
    "art_studies": "艺术学",
    "basic_medicine": "基础医学",
    "business_administration": "工商管理",
    "chinese_language_and_literature": "中国语言文学",
    "civil_servant": "公务员",
    "clinical_medicine": "临床医学",
    "college_chemistry": "大学化学",
    "college_economics": "大学经济学",
    "college_physics": "大学物理",
    "college_programming": "大学编程",
    "computer_architecture": "计算机组成",
    "computer_network": "计算机网络",
    "discrete_mathematics": "离散数学",
    "education_science": "教育学",
    "electrical_engineer": "注册电气工程师",
    "environmental_impact_assessment_engineer": "环境影响评价工程师",
    "fire_engineer": "注册消防工程师",
    "high_school_biology": "高中生物",
    "high_school_chemistry": "高中化学",
    "high_school_chinese": "高中语文",
    "high_school_geography": "高中地理",
    "high_school_history": "高中历史",
    "high_school_mathematics": "高中数学",
    "high_school_physics": "高中物理",
    "high_school_politics": "高中政治",
    "ideological_and_moral_cultivation": "思想道德修养与法律基础",
    "law": "法学",
    "legal_professional": "法律职业资格",
    "logic": "逻辑学",
    "mao_zedong_thought": "毛泽东思想和中国特色社会主义理论体系概论",
    "marxism": "马克思主义基本原理",
    "metrology_engineer": "注册计量师",
    "middle_school_biology": "初中生物",
    "middle_school_chemistry": "初中化学",
    "middle_school_geography": "初中地理",
    "middle_school_history": "初中历史",
    "middle_school_mathematics": "初中数学",
    "middle_school_physics": "初中物理",
    "middle_school_politics": "初中政治",
    "modern_chinese_history": "近代史纲要",
    "operating_system": "操作系统",
    "physician": "医师资格",
    "plant_protection": "植物保护",
    "probability_and_statistics": "概率统计",
    "professional_tour_guide": "导游资格",
    "sports_science": "体育学",
    "tax_accountant": "税务师",
    "teacher_qualification": "教师资格",
    "urban_and_rural_planner": "注册城乡规划师",
    "veterinary_medicine": "兽医学",
}
_SPLITS = ("dev", "test", "val")


@dataclass(frozen=True)
class CevalFolder:
    """A C-Eval folder and the split of it that is meant."""

    root: Path
    split: str


@dataclass(frozen=True)
class Question:
    """One question as a prompt; `answer` is a letter, or "" in the test split. `subject` is the Chinese name."""

    subject: str
    prompt: str
    answer: str


def find_ceval(path: str | os.PathLike[str]) -> CevalFolder:
    """The split that `path` means: the folder itself when it is called dev, test or val, else its test/, else dev/.

    A folder with such a folder in it is none itself, whatever its name. val is what one scores with, so it is taken
    only by name.

    Raises:
        FileNotFoundError: no such folder, or none of dev/, test/ (, val/) in it.
    """
    folder = Path(path).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"C-Eval folder {str(path)!r} is not there (looked for {str(folder)!r}); expected a "
                                "folder with dev/, test/ or val/")
    if folder.name in _SPLITS and not any((folder / split).is_dir() for split in _SPLITS):
        return CevalFolder(folder.parent, folder.name)
    for split in ("test", "dev"):
        if (folder / split).is_dir():
            return CevalFolder(folder, split)
    if (folder / "val").is_dir():
        raise FileNotFoundError(f"C-Eval folder {str(path)!r} has val/ only, which is what one scores with; to "
                                f"calibrate on it all the same, give {str(Path(path) / 'val')!r}")
    raise FileNotFoundError(f"C-Eval folder {str(path)!r} has none of dev/, test/, val/")


def _prompt(subject: str, row: dict[str, str]) -> str:
    choices = "".join(f"{letter}. {row[letter]}\n" for letter in "ABCD")
    return (f"以下是中国关于{subject}考试的单项选择题，请不要分析过程，直接在A、B、C、D四个选项中选出正确答案。\n\n"
            f"{row['question']}\n{choices}答案：")


def _read_subject(folder: CevalFolder, subject: str) -> list[Question]:
    file = folder.root / folder.split / f"{subject}_{folder.split}.csv"
    if not file.is_file():
        raise FileNotFoundError(f"C-Eval: {str(file)!r} is not there; the split {folder.split} has a file for each of "
                                f"{len(SUBJECTS)} subjects")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = [column for column in ("question", *"ABCD") if column not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{file} has no column {missing[0]!r}")
        questions = []
        for row in reader:
            if any(row[column] is None for column in ("question", *"ABCD")):
                raise ValueError(f"{file}, line {reader.line_num}: the row has too few columns")
            questions.append(Question(SUBJECTS[subject], _prompt(SUBJECTS[subject], row), row.get("answer") or ""))
    return questions


def read_questions(folder: CevalFolder, n_samples: int = -1) -> list[Question]:
    """`n_samples` questions, all for -1, in the order of the subjects, of which each gives as many as the others.

    52 takes one of each subject, 60 two of the first eight; a subject that has no more gives its turn to the others.
    """
    by_subject = [_read_subject(folder, subject) for subject in SUBJECTS]
    n_left = sum(map(len, by_subject)) if n_samples < 0 else min(n_samples, sum(map(len, by_subject)))
    shares = [0] * len(by_subject)
    while n_left > 0:
        for index, questions in enumerate(by_subject):
            if n_left > 0 and shares[index] < len(questions):
                shares[index] += 1
                n_left -= 1
    return [question for questions, share in zip(by_subject, shares, strict=True) for question in questions[:share]]


class CevalDataset(Dataset):
    """C-Eval as token ids, columns subjects, input_ids, labels; see :func:`octavo.datasets.get_datasets`.

    A row is a batch: subjects [b] of str, input_ids [b, length], labels [b, length'] of int32.
    """

    def __init__(self, folder: CevalFolder, mode: str, batch_size: int, seq_length: int, tokenizer: Any,
                 ignore_token_id: int, repeat: int, need_pad: bool, n_samples: int, add_special_tokens: bool) -> None:
        super().__init__(COLUMNS)
        self._batch_size = batch_size
        self._repeat = repeat
        questions = read_questions(folder, n_samples)
        if mode == "train" and any(not question.answer for question in questions):
            raise ValueError(f"C-Eval's {folder.split} split has no answers to train on; give the folder of dev or val")
        self._subjects = [question.subject for question in questions]
        encode = tokenizer.encode
        self.token_samples: list[list[int]] = []  # input_ids without padding
        labels = []
        for question in questions:
            ids = encode(question.prompt, add_special_tokens=add_special_tokens)
            if mode == "eval":
                self.token_samples.append(ids[:seq_length])
                labels.append(encode(question.answer, add_special_tokens=False)[:seq_length])
            else:
                answered = encode(question.prompt + question.answer, add_special_tokens=add_special_tokens)
                masked = [ignore_token_id] * min(len(ids), len(answered)) + answered[len(ids):]
                self.token_samples.append(answered[:seq_length + 1])
                labels.append(masked[:seq_length + 1])
        self._input_ids = self.token_samples
        self._labels = labels
        if need_pad:
            length = seq_length if mode == "eval" else seq_length + 1
            pad = tokenizer.pad_token_id
            if pad is None:
                raise ValueError("need_pad=True, but the tokenizer has no padding token")
            self._input_ids = [ids + [pad] * (length - len(ids)) for ids in self._input_ids]
            fill = pad if mode == "eval" else ignore_token_id
            self._labels = [ids + [fill] * (length - len(ids)) for ids in labels]

    def __len__(self) -> int:
        return -(-len(self._subjects) // self._batch_size) * self._repeat

    def rows(self) -> Iterator[tuple[Any, ...]]:
        for _ in range(self._repeat):
            for begin in range(0, len(self._subjects), self._batch_size):
                batch = slice(begin, begin + self._batch_size)
                yield (np.array(self._subjects[batch]), _stacked("input_ids", self._input_ids[batch]),
                       _stacked("labels", self._labels[batch]))


def _stacked(column: str, samples: list[list[int]]) -> Any:
    if len({len(sample) for sample in samples}) > 1:
        raise ValueError(f"the {len(samples)} samples of a batch differ in length in {column!r}; give need_pad=True or "
                         "batch_size=1")
    return np.array(samples, dtype=np.int32)
