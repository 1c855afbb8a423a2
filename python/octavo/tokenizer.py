"""``AutoTokenizer.from_pretrained``: the tokenizer and chat template of a local model folder.

Encoding, decoding and rendering are the C++ core's; the calls have transformers' names and defaults.
"""
from __future__ import annotations

import functools
import json
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from octavo.keywords import suggests_keywords
from octavo.model_folder import find_model_folder

__all__ = ["AutoTokenizer", "Tokenizer", "token_list"]


def token_list(name: str, ids: Iterable[Any]) -> list[int]:
    """Token ids as ints; what only looks like one (1.7, "12") is a ``TypeError`` that calls it `name`."""
    if isinstance(ids, (str, bytes, bytearray)) or not isinstance(ids, Iterable):
        raise TypeError(f"{name}: expected token ids, found {ids!r}")
    tokens = []
    for i, token in enumerate(ids):
        try:
            tokens.append(operator.index(token))
        except TypeError:
            raise TypeError(f"{name}[{i}]: expected a token id, an integer, found {token!r}") from None
    return tokens


class Tokenizer:
    """The tokenizer of the model folder `path`, or of a ``tokenizer.json`` with what lies beside it; "" has bytes for
    tokens, as the engine that "echo:" names.

    Raises:
        FileNotFoundError: the folder has no ``tokenizer.json``.
        NotImplementedError: a kind of tokenizer that Octavo does not have.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from octavo import _native

        self.name_or_path = os.fspath(path)
        self._core = _native.Tokenizer(self.name_or_path)
        self._folder = Path(path) if Path(path).is_dir() else Path(path).parent

    @functools.cached_property
    def _config(self) -> dict[str, Any]:
        if not self.name_or_path:
            return {"eos_token": "<|im_end|>"}
        file = self._folder / "tokenizer_config.json"
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return found if isinstance(found, dict) else {}

    def _special(self, role: str) -> str | None:
        stated = self._config.get(role)
        content = stated.get("content") if isinstance(stated, dict) else stated
        return content if isinstance(content, str) else None

    def _special_id(self, role: str) -> int | None:
        token = self._special(role)
        ids = [] if token is None else self.encode(token, add_special_tokens=False)
        return ids[0] if len(ids) == 1 else None

    @property
    def bos_token(self) -> str | None:
        """As ``tokenizer_config.json`` names it."""
        return self._special("bos_token")

    @property
    def eos_token(self) -> str | None:
        """As ``tokenizer_config.json`` names it."""
        return self._special("eos_token")

    @property
    def pad_token(self) -> str | None:
        """As ``tokenizer_config.json`` names it."""
        return self._special("pad_token")

    @functools.cached_property
    def bos_token_id(self) -> int | None:
        """None where there is no such token."""
        return self._special_id("bos_token")

    @functools.cached_property
    def eos_token_id(self) -> int | None:
        """None where there is no such token."""
        return self._special_id("eos_token")

    @functools.cached_property
    def pad_token_id(self) -> int | None:
        """None where there is no such token."""
        return self._special_id("pad_token")

    @suggests_keywords
    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The token ids of `text`; with special tokens, those that the model wants around it (BOS where it has one)."""
        if not isinstance(text, str):
            raise TypeError(f"encode: text is {type(text).__name__}, expected str")
        return list(self._core.encode(text, add_special_tokens))

    @suggests_keywords
    def decode(self, token_ids: int | Sequence[int], skip_special_tokens: bool = False) -> str:
        """The text of `token_ids`."""
        ids = [token_ids] if isinstance(token_ids, (int, np.integer)) else token_ids
        return str(self._core.decode(token_list("token_ids", ids), skip_special_tokens))

    def batch_decode(self, sequences: Sequence[Sequence[int]], skip_special_tokens: bool = False) -> list[str]:
        """:meth:`decode` of each."""
        return [self.decode(ids, skip_special_tokens) for ids in sequences]

    @suggests_keywords
    def __call__(self, text: str | Sequence[str], add_special_tokens: bool = True, truncation: bool = False,
                 max_length: int | None = None) -> dict[str, Any]:
        """``input_ids`` and ``attention_mask`` of one text (lists) or of several (lists of lists, not padded).

        With `truncation`, each is cut to `max_length` tokens.
        """
        if truncation and max_length is None:
            raise ValueError("truncation=True needs max_length")
        texts = [text] if isinstance(text, str) else list(text)
        cut = max_length if truncation else None
        ids = [self.encode(one, add_special_tokens)[:cut] for one in texts]
        masks = [[1] * len(one) for one in ids]
        if isinstance(text, str):
            return {"input_ids": ids[0], "attention_mask": masks[0]}
        return {"input_ids": ids, "attention_mask": masks}

    def apply_chat_template(self, conversation: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None = None,
                            add_generation_prompt: bool = False, tokenize: bool = True,
                            **variables: Any) -> str | list[int]:
        """`conversation`, messages with role and content, as the model's own template writes it: ids, or text.

        `variables` are the template's own, such as ``enable_thinking=False``.

        Raises:
            ValueError: the template refuses the messages; a message that is no mapping.
        """
        given: dict[str, Any] = {"messages": list(conversation), "add_generation_prompt": add_generation_prompt, **variables}
        if tools is not None:
            given["tools"] = list(tools)
        text = str(self._chat_template.render(json.dumps(given, ensure_ascii=False)))
        # The template writes its own BOS; a second one would make another prompt.
        return self.encode(text, add_special_tokens=False) if tokenize else text

    @functools.cached_property
    def _chat_template(self) -> Any:
        from octavo import _native

        return _native.ChatTemplate(str(self._folder))

    def __repr__(self) -> str:
        return f"Tokenizer({self.name_or_path!r})"


class AutoTokenizer:
    """Opens tokenizers; has no objects of its own."""

    @staticmethod
    @suggests_keywords
    def from_pretrained(pretrained_model_name_or_path: str | os.PathLike[str]) -> Tokenizer:
        """The tokenizer of a local model folder; relative names count from the working directory.

        Raises:
            FileNotFoundError: no such folder (a hub's name, too), or no tokenizer in it.
        """
        return Tokenizer(find_model_folder(pretrained_model_name_or_path, "AutoTokenizer.from_pretrained"))
