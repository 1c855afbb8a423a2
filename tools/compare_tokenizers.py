#!/usr/bin/env python3
"""Compares `octavo tokenize` with the `tokenizers` package: ids with and without special tokens, and the text that both
make of the ids, for every text given. Prints each difference up to a few and a line of counts; exit code 1 if any.

    tools/compare_tokenizers.py --octavo build/release/octavo TOKENIZER... [--texts PATH...] [--code-points] [--random N]

TOKENIZER is a tokenizer.json or a folder with one. PATH is a file or folder: from text files it takes each line and the
whole, from JSON each string. --code-points adds every character, between letters, spaces, digits and marks; --random
adds N strings that mix the tokenizer's own tokens with characters of all kinds; --ids decodes N random lists of ids.
Needs: pip install tokenizers
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

TEXT_SUFFIXES = {".txt", ".json", ".jsonl", ".csv", ".jinja", ".inp", ".md"}
SHOWN = 5
BATCH = 20_000
FRAGMENTS = [
    " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u3000", "\u200b", "\u180e", "\u2028", "\x00", "\x07", "\x1b",
    "\x7f", "\x85", "a", "Z", "the", "don't", "I'LL", "'s", "'\u017f", "3", "1234567", "\u0663", "\u00bd", "\u2160", "e\u0301",
    "\u00e9", "\u212b", "A\u030a", "\u1e9b\u0323", "\u0345\u0301\u0334", "\u0958", "\u09c7\u09be", "\uac00", "\u1100\u1161\u11a8",
    "\ufb01", "\uff21", "\u4f60\u597d", "\u65e5\u672c\u8a9e", "\u0e2a\u0e27\u0e31", "\u0639\u0631\u0628", "\u05d0\u05d1", "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "\U00020000", "\U000323af", "\U0010ffff",
    "\ufffd", "\ufeff", "\u2581", "\u2581\u2581", "\u0120", "<", ">", "|", "<|", "|>", "<0x41>", "<unk>", "...", "!?", "$", "_",
    "\u0130", "\u03a3", "-", "\u2014", "\u00ad", "\u0600", "\ue000", "\u0378",
]


def strings_of(tree):
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from strings_of(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from strings_of(value)


def texts_of(paths):
    for path in paths:
        path = pathlib.Path(path)
        for file in sorted(p for p in (path.rglob("*") if path.is_dir() else [path]) if p.suffix in TEXT_SUFFIXES):
            whole = file.read_bytes().decode("utf-8", errors="ignore")
            yield whole
            yield from whole.split("\n")
            documents = whole.splitlines() if file.suffix == ".jsonl" else [whole] if file.suffix == ".json" else []
            for document in documents:
                yield from strings_of(json.loads(document))


def code_point_texts():
    # Nothing is assigned between plane 3's ideographs and plane 14, nor behind its selectors, but private use.
    for c in [*range(0x34000), *range(0x34000, 0xE0000, 61), *range(0xE0000, 0xE0200), *range(0xE0200, 0x110000, 61)]:
        if not 0xD800 <= c <= 0xDFFF:
            yield f"{chr(c)}a{chr(c)}b {chr(c)} {chr(c)}{chr(c)} 1{chr(c)}2 .{chr(c)}\u0301'{chr(c)}"


def random_texts(n, tokens, rng):
    for _ in range(n):
        parts = []
        for _ in range(rng.randint(1, 24)):
            kind = rng.random()
            if kind < 0.6:
                parts.append(rng.choice(FRAGMENTS))
            elif kind < 0.75:
                parts.append(rng.choice(tokens))
            else:
                c = rng.randrange(0x110000 if kind < 0.85 else 0x3000)
                parts.append("" if 0xD800 <= c <= 0xDFFF else chr(c))
        yield "".join(parts)


def octavo(program, path, inputs, *options):
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        for item in inputs:
            file.write(json.dumps(item) + "\n")
        file.seek(0)
        done = subprocess.run([program, "tokenize", path, *options], stdin=file, stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode("utf-8").split("\n")[:-1]
    if len(lines) != len(inputs):
        sys.exit(f"{program}: {len(inputs)} lines in, {len(lines)} out")
    return [json.loads(line) for line in lines]


class Comparison:
    def __init__(self, name):
        self.name, self.n, self.n_different = name, 0, 0

    def add(self, what, inputs, ours, theirs):
        for item, mine, other in zip(inputs, ours, theirs):
            self.n += 1
            if mine != other:
                self.n_different += 1
                if self.n_different <= SHOWN:
                    print(f"{self.name}: {what} of {item!r:.300}:\n  octavo     {mine!r:.600}\n  tokenizers {other!r:.600}")


def compare_texts(program, path, tokenizer, texts, comparison):
    for begin in range(0, len(texts), BATCH):
        batch = texts[begin:begin + BATCH]
        for special in (False, True):
            theirs = [e.ids for e in tokenizer.encode_batch_fast(batch, add_special_tokens=special)]
            ours = octavo(program, path, batch, *(["--add-special-tokens"] if special else []))
            comparison.add(f"ids (special tokens: {special})", batch, ours, theirs)
        compare_ids(program, path, tokenizer, theirs, comparison)


def compare_ids(program, path, tokenizer, ids, comparison):
    theirs = tokenizer.decode_batch(ids, skip_special_tokens=False)
    comparison.add("text", ids, octavo(program, path, ids, "--decode"), theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--octavo", required=True, help="the program")
    parser.add_argument("tokenizers", nargs="+", metavar="TOKENIZER")
    parser.add_argument("--texts", nargs="*", default=[], metavar="PATH")
    parser.add_argument("--code-points", action="store_true")
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--ids", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    fixed = list(dict.fromkeys(texts_of(arguments.texts)))
    if arguments.code_points:
        fixed += code_point_texts()
    n_different = 0
    for path in arguments.tokenizers:
        file = pathlib.Path(path)
        tokenizer = Tokenizer.from_file(str(file / "tokenizer.json" if file.is_dir() else file))
        rng = random.Random(arguments.seed)
        tokens = sorted(tokenizer.get_vocab()) + [t.content for t in tokenizer.get_added_tokens_decoder().values()] * 200
        texts = fixed + list(random_texts(arguments.random, tokens, rng))
        n_ids = tokenizer.get_vocab_size()
        ids = [[rng.randrange(n_ids) for _ in range(rng.randint(0, 40))] for _ in range(arguments.ids)]
        comparison = Comparison(path)
        compare_texts(arguments.octavo, path, tokenizer, texts, comparison)
        compare_ids(arguments.octavo, path, tokenizer, ids, comparison)
        print(f"{path}: {len(texts)} texts, {len(ids)} lists of ids: {comparison.n} comparisons, "
              f"{comparison.n_different} differences", flush=True)
        n_different += comparison.n_different
    return 1 if n_different else 0


if __name__ == "__main__":
    sys.exit(main())
