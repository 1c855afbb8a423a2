"""From a data set to what the quantizer calibrates on. Called by ``PTQ.apply``."""
from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

from octavo.datasets.ceval import CevalDataset
from octavo.datasets.dataset import Dataset
from octavo.datasets.generator import GeneratorDataset
from octavo.network import Network

__all__ = ["Calibration", "calibration_of"]

_COLUMN = "input_ids"
# Of a C-Eval folder, taken from all subjects alike: the defaults of the octavo program.
_CEVAL_SAMPLES = 128
_CEVAL_LENGTH_TOKENS = 512


@dataclass(frozen=True)
class Calibration:
    """Either `source`, which the core reads ("ceval:FOLDER@SPLIT"), or samples that are token ids already."""

    source: str = ""
    token_samples: list[list[int]] = field(default_factory=list)
    n_samples: int = 0
    length_tokens: int = 0  # samples are cut to this


def _ids(value: Any, network: Network, n_vocab: int, row: int) -> list[list[int]]:
    """The samples in one value of the column: a text, a vector of ids, or a batch of them."""
    if isinstance(value, str):
        return [network.tokenizer.encode(value)]
    if hasattr(value, "asnumpy"):
        value = value.asnumpy()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or not value:
        raise TypeError(f"datasets: row {row}: {_COLUMN!r} is {value!r}; expected token ids or a text")
    if not isinstance(value[0], int) and not hasattr(value[0], "__index__"):
        return [sample for part in value for sample in _ids(part, network, n_vocab, row)]
    try:
        ids = [operator.index(token) for token in value]
    except TypeError as error:
        raise TypeError(f"datasets: row {row}: {_COLUMN!r} holds something that is no token id: {error}") from error
    outside = next((token for token in ids if not 0 <= token < n_vocab), None)
    if outside is not None:
        raise ValueError(f"datasets: row {row}: token id {outside} is outside the vocabulary, 0 to {n_vocab - 1}")
    return [ids]


def calibration_of(dataset: Any, network: Network) -> Calibration:
    """What `dataset` gives to calibrate `network` on.

    Raises:
        TypeError: not a data set, or a value that is neither token ids nor a text.
        ValueError: no column "input_ids", no rows, an id outside the vocabulary.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"Unsupported data type: {type(dataset)}. Please provide a GeneratorDataset, such as "
                        f"GeneratorDataset(source=samples, column_names=[{_COLUMN!r}]), or one from get_datasets.")
    longest = int(network.config.get("max_position_embeddings") or _CEVAL_LENGTH_TOKENS)
    if isinstance(dataset, GeneratorDataset) and dataset.ceval is not None:
        return Calibration(source=f"ceval:{dataset.ceval.root}@{dataset.ceval.split}",
                           n_samples=dataset.num_samples or _CEVAL_SAMPLES,
                           length_tokens=min(_CEVAL_LENGTH_TOKENS, longest))
    if isinstance(dataset, CevalDataset):
        samples = dataset.token_samples
    else:
        if _COLUMN not in dataset.column_names:
            raise ValueError(f"datasets: there is no column {_COLUMN!r}, which calibrating reads; the columns are "
                             f"{', '.join(dataset.column_names)}")
        n_vocab = int(network.config["vocab_size"])
        samples = [ids for row, values in enumerate(dataset.create_dict_iterator())
                   for ids in _ids(values[_COLUMN], network, n_vocab, row)]
    if not samples:
        raise ValueError("datasets: there is no row to calibrate on")
    return Calibration(token_samples=samples, n_samples=len(samples),
                       length_tokens=min(max(map(len, samples)), longest))
