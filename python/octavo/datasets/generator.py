"""``GeneratorDataset``: samples from anything that Python can iterate over, or from a C-Eval folder."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from octavo.datasets.ceval import COLUMNS, CevalFolder, find_ceval, read_questions
from octavo.datasets.dataset import Dataset
from octavo.keywords import did_you_mean, suggests_keywords

__all__ = ["GeneratorDataset"]


class GeneratorDataset(Dataset):
    """Rows of `column_names` from `source`.

    Args:
        source: the path of a C-Eval folder (with dev/ and test/, or one of these; relative to the working directory),
            whose rows are (subject, prompt, answer) as text; or an iterable, a function that returns one, or an object
            with ``__getitem__`` and ``__len__``, giving one tuple in the order of the columns (or one dict) a row.
            Calibrating reads the column "input_ids": token ids, or text that the network's tokenizer encodes.
        column_names: the columns' names.
        num_samples: at most so many rows.
        shuffle, num_parallel_workers: rows come in their order, read by one worker.

    Raises:
        FileNotFoundError: the C-Eval folder is not there, or has none of dev/, test/, val/.
        TypeError: a source that gives no rows.
        ValueError: a column that C-Eval does not have; a row (met while reading) that does not fit the columns.
    """

    @suggests_keywords
    def __init__(self, source: str | os.PathLike[str] | Iterable[Any] | Callable[[], Iterable[Any]],
                 column_names: Sequence[str] | str | None = None, num_samples: int | None = None,
                 shuffle: bool | None = None, num_parallel_workers: int = 1) -> None:
        if column_names is None:
            raise ValueError("GeneratorDataset: column_names is missing, such as ['input_ids']")
        super().__init__([column_names] if isinstance(column_names, str) else column_names)
        if shuffle:
            raise NotImplementedError("GeneratorDataset: shuffle=True is not supported yet; shuffle the source")
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"GeneratorDataset: num_samples is {num_samples!r}, expected 1 or more")
        self.num_samples = num_samples
        self.ceval: CevalFolder | None = None
        self._cached: list[tuple[Any, ...]] | None = None
        if isinstance(source, (str, os.PathLike)):
            self.ceval = find_ceval(source)
            for column in self.column_names:
                if column not in COLUMNS:
                    raise ValueError(f"GeneratorDataset: C-Eval has no column {column!r}; it has {', '.join(COLUMNS)}"
                                     + did_you_mean(column, COLUMNS))
        elif not (callable(source) or hasattr(source, "__iter__") or hasattr(source, "__getitem__")):
            raise TypeError(f"GeneratorDataset: source is {type(source).__name__}; expected a C-Eval folder, an "
                            "iterable, a function that returns one, or an object with __getitem__")
        self._source = source

    def _items(self) -> Iterator[Any]:
        if self.ceval is not None:
            for question in read_questions(self.ceval, self.num_samples or -1):
                yield dict(zip(COLUMNS, (question.subject, question.prompt, question.answer), strict=True))
            return
        source: Any = self._source() if callable(self._source) else self._source
        items = iter(source) if hasattr(source, "__iter__") else (source[index] for index in range(len(source)))
        for index, item in enumerate(items):
            if self.num_samples is not None and index == self.num_samples:
                return
            yield item

    def _row(self, index: int, item: Any) -> tuple[Any, ...]:
        columns = self.column_names
        if isinstance(item, Mapping):
            missing = [column for column in columns if column not in item]
            if missing:
                raise ValueError(f"GeneratorDataset: row {index} has no {missing[0]!r}; it has {', '.join(item)}")
            return tuple(item[column] for column in columns)
        if isinstance(item, tuple) or (isinstance(item, list) and len(columns) > 1):
            if len(item) != len(columns):
                raise ValueError(f"GeneratorDataset: row {index} has {len(item)} values for {len(columns)} columns "
                                 f"({', '.join(columns)})")
            return tuple(item)
        if len(columns) == 1:
            return (item,)
        raise ValueError(f"GeneratorDataset: row {index} is {type(item).__name__}, expected a tuple of "
                         f"{len(columns)} values ({', '.join(columns)})")

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows; read once from the source and kept, since a generator gives them only once."""
        if self._cached is None:
            self._cached = [self._row(index, item) for index, item in enumerate(self._items())]
        return iter(self._cached)

    def __len__(self) -> int:
        return sum(1 for _ in self.rows())
