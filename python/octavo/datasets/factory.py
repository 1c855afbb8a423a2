"""``get_datasets``: Golden Stick's loader of data sets by name."""
from __future__ import annotations

import os
from typing import Any

from octavo.datasets.ceval import CevalDataset, find_ceval
from octavo.datasets.dataset import Dataset
from octavo.keywords import did_you_mean, suggests_keywords

__all__ = ["get_datasets"]

_KNOWN = ["wikitext2", "squad1.1", "boolq", "ceval", "gsm8k", "calibrate"]


def _require_count(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}, expected a whole number, {least} or more")


@suggests_keywords
def get_datasets(ds_type: str, ds_path: str | os.PathLike[str], mode: str, batch_size: int, seq_length: int,
                 max_new_tokens: int | None, tokenizer: Any, ignore_token_id: int = -100, repeat: int = 1,
                 need_pad: bool = False, n_samples: int = -1, add_special_tokens: bool = True) -> Dataset:
    """The data set `ds_type` at `ds_path` as token ids; so far "ceval", a folder or one of its dev, test, val.

    Columns subjects, input_ids, labels. In mode "eval" input_ids is the prompt, cut to `seq_length` tokens, and labels
    the answer's letter (nothing for the test split); in "train" input_ids is prompt and answer, cut to `seq_length` + 1,
    and labels the same with the prompt's tokens replaced by `ignore_token_id`. `n_samples` rows are taken from all
    subjects alike. `max_new_tokens` is used by other data sets only.

    Raises:
        ValueError: a name that does not exist, a mode, a count, a batch of unequal lengths without `need_pad`.
        NotImplementedError: a data set that is not built yet.
        FileNotFoundError: no such folder, or none of dev, test, val in it.
    """
    kind = ds_type.lower()
    if kind not in _KNOWN:
        raise ValueError(f"Not supported datasets type: {ds_type}." + did_you_mean(ds_type, _KNOWN))
    if kind != "ceval":
        raise NotImplementedError(f"get_datasets: {ds_type!r} is not supported yet, only 'ceval'")
    if mode not in ("train", "eval"):
        raise ValueError(f"get_datasets: mode is {mode!r}, expected 'train' or 'eval'")
    _require_count("batch_size", batch_size, 1)
    _require_count("seq_length", seq_length, 1)
    _require_count("repeat", repeat, 1)
    _require_count("n_samples", n_samples, -1)
    return CevalDataset(find_ceval(ds_path), mode, batch_size, seq_length, tokenizer, ignore_token_id, repeat, need_pad,
                        n_samples, add_special_tokens)
