"""``AutoTokenizer`` over the demo's own tokenizer, whose ids the C++ tests compare with the original's."""
from __future__ import annotations

import pytest

from octavo import AutoTokenizer, _native
from octavo.tokenizer import Tokenizer


@pytest.fixture
def tokenizer(demo):
    return AutoTokenizer.from_pretrained(demo)


def test_encode_and_decode(tokenizer, demo):
    ids = tokenizer.encode("I am 世界")
    assert ids == _native.Tokenizer(demo).encode("I am 世界")
    assert tokenizer.decode(ids) == "I am 世界"
    assert tokenizer.decode(ids[0]) == "I"
    assert tokenizer.batch_decode([ids, ids[:1]]) == ["I am 世界", "I"]
    end = tokenizer.eos_token
    assert tokenizer.decode([*ids, tokenizer.eos_token_id]) == "I am 世界" + end
    assert tokenizer.decode([*ids, tokenizer.eos_token_id], skip_special_tokens=True) == "I am 世界"


@pytest.mark.parametrize("ids", [1.7, [1, 1.7], "12", ["12"], b"12", None])
def test_what_is_no_token_id_is_not_decoded(tokenizer, ids):
    with pytest.raises(TypeError, match="^token_ids.*expected"):
        tokenizer.decode(ids)


def test_a_tokenizer_file_has_its_folder(tokenizer, demo, monkeypatch):
    monkeypatch.chdir(demo)
    for path in (f"{demo}/tokenizer.json", "tokenizer.json"):
        alone = Tokenizer(path)
        assert alone.eos_token_id == tokenizer.eos_token_id is not None
        messages = [{"role": "user", "content": "Hi"}]
        assert alone.apply_chat_template(messages) == tokenizer.apply_chat_template(messages)


def test_call(tokenizer):
    one = tokenizer("I am")
    assert one == {"input_ids": tokenizer.encode("I am"), "attention_mask": [1] * len(one["input_ids"])}
    two = tokenizer(["I am", "Today is the day"], truncation=True, max_length=2)
    assert [len(ids) for ids in two["input_ids"]] == [2, 2] == [len(mask) for mask in two["attention_mask"]]
    with pytest.raises(ValueError, match="truncation=True needs max_length"):
        tokenizer("I am", truncation=True)
    with pytest.raises(TypeError, match="'max_len'; did you mean 'max_length'"):
        tokenizer("I am", max_len=3)
    with pytest.raises(TypeError, match="text is bytes, expected str"):
        tokenizer.encode(b"I am")


def test_chat_template(tokenizer):
    messages = [{"role": "user", "content": "Hi 世界"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert "Hi 世界" in text
    longer = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert longer.startswith(text) and longer != text
    assert tokenizer.decode(tokenizer.apply_chat_template(messages)) == text


def test_names_that_are_no_folder():
    with pytest.raises(FileNotFoundError, match="Names on a model hub are not supported yet"):
        AutoTokenizer.from_pretrained("Qwen/Qwen3-8B")
    with pytest.raises(TypeError, match="'use_fast'; it takes pretrained_model_name_or_path"):
        AutoTokenizer.from_pretrained("x", use_fast=True)
