"""What every data set answers: its columns, how many rows, the rows. The iterators have MindSpore's names."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["Dataset"]


class Dataset(ABC):
    """Rows of named columns; each pass over it gives the same rows."""

    def __init__(self, column_names: Sequence[str]) -> None:
        self.column_names = list(column_names)

    @abstractmethod
    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows, values in the order of the columns."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self.rows()

    def get_dataset_size(self) -> int:
        """How many rows."""
        return len(self)

    def get_col_names(self) -> list[str]:
        """The columns, in order."""
        return list(self.column_names)

    def create_tuple_iterator(self) -> Iterator[tuple[Any, ...]]:
        """The rows as tuples."""
        return self.rows()

    def create_dict_iterator(self) -> Iterator[dict[str, Any]]:
        """The rows as dicts by column name."""
        return (dict(zip(self.column_names, row, strict=True)) for row in self.rows())
