#!/usr/bin/env python3
"""Writes src/text/unicode_tables.inc: what the `tokenizers` package knows about characters where PCRE2 and utf8proc,
whose Unicode versions depend on the system, may know more or less. Everything is asked of the package itself, for every
code point, so a newer package needs nothing but another run:

    pip install tokenizers && tools/unicode_exceptions.py > src/text/unicode_tables.inc
"""
import sys
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn").split()
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
BLOCK = 0x1000


def matching(pattern):
    """Code points that the package's regular expressions match with `pattern`."""
    split = pre_tokenizers.Split(Regex(f"(?:{pattern})+"), "removed")
    found = set()
    for first in range(0, 0x110000, BLOCK):
        block = [c for c in range(first, first + BLOCK) if not 0xD800 <= c <= 0xDFFF]
        if not block:
            continue
        left = bytearray(len(block))
        for _, (begin, end) in split.pre_tokenize_str("".join(map(chr, block))):
            left[begin:end] = b"\1" * (end - begin)
        found.update(c for c, kept in zip(block, left) if not kept)
    return found


def ranges(values):
    """(first, last, value) for the runs of equal values in an ascending list of (code point, value)."""
    runs = []
    for c, value in values:
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == value:
            runs[-1][1] = c
        else:
            runs.append([c, c, value])
    return runs


def stand_ins():
    """Characters whose category this Unicode 14 does not know, each with an old character of the same category and the
    same length in UTF-8 that takes its place while patterns are matched."""
    assert unicodedata.unidata_version == "14.0.0", "run it with Python 3.11: its Unicode is PCRE2 10.42's"
    category, old_category = {}, {}
    for name in CATEGORIES:
        for c in matching(rf"\p{{{name}}}"):
            category[c] = name
    for c in CODE_POINTS:
        old_category[c] = unicodedata.category(chr(c))
    space, han = matching(r"\s"), matching(r"\p{Han}")

    def width(c):
        return len(chr(c).encode())

    # U+180E is a space for PCRE2's \s and for nothing else.
    exceptions = [c for c in CODE_POINTS if category[c] != old_category[c] or c == 0x180E]
    wanted = {(category[c], width(c), c in han) for c in exceptions}
    representative = {}
    for c in CODE_POINTS:
        key = (old_category[c], width(c), c in han)
        if key in wanted and key not in representative and category[c] == old_category[c] and c not in space and c != 0x180E:
            representative[key] = c
    return ranges((c, representative[category[c], width(c), c in han]) for c in exceptions)


def normalization():
    """Characters that the package's normalization forms may change, join with a character before or reorder; to it all
    others are inert, also those that newer Unicode versions gave marks' classes or decompositions. Bit 0 NFC, 1 NFD,
    2 NFKC, 3 NFKD."""
    forms = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD()]
    nfc, nfd = forms[0].normalize_str, forms[1].normalize_str
    seconds = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # conjoining Hangul vowels and finals
    masks = {}
    for c in CODE_POINTS:
        text = chr(c)
        mask = sum(1 << bit for bit, form in enumerate(forms) if form.normalize_str(text) != text)
        # U+0334 has combining class 1, U+0345 has 240: a mark changes places with one of them.
        if nfd(text) == text and (nfd(f"a{text}\u0334") != f"a{text}\u0334" or nfd(f"a\u0345{text}") != f"a\u0345{text}"):
            mask = 15
        masks[c] = mask
        parts = nfd(text)
        if mask & 2 and nfc(parts) == text and not 0xAC00 <= c <= 0xD7A3:
            seconds.add(ord(parts[-1]))
    for c in seconds:
        masks[c] |= 5
    return ranges((c, masks[c]) for c in CODE_POINTS if masks[c])


def lowercase():
    """Letters with a lower case that Unicode 14 does not know."""
    lower = normalizers.Lowercase().normalize_str
    changed = [(c, lower(chr(c))) for c in CODE_POINTS if lower(chr(c)) != chr(c).lower()]
    assert all(len(text) == 1 for _, text in changed)
    return [(c, ord(text)) for c, text in changed]


def punctuation():
    """What the Punctuation pre-tokenizer splits off: the categories P of an old Unicode, and ASCII's."""
    split = pre_tokenizers.Punctuation("removed")
    return ranges((c, 0) for c in CODE_POINTS if not split.pre_tokenize_str(chr(c)))


def numeric():
    """What the Digits pre-tokenizer takes for a digit."""
    split = pre_tokenizers.Digits(individual_digits=True)
    pairs = []
    for c in CODE_POINTS:
        if len(split.pre_tokenize_str("a" + chr(c))) == 2:
            pairs.append((c, 0))
    return ranges(pairs)


def write(comment, declaration, rows):
    print(f"\n// {comment}\nconstexpr {declaration}[] = {{")
    line = "   "
    for row in rows:
        item = " {" + ", ".join(f"{value:#x}" for value in row) + "},"
        if len(line + item) > 118:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")


def main():
    print("// Written by tools/unicode_exceptions.py; do not edit.")
    print(f"// What tokenizers {tokenizers.__version__} takes each character for.")
    write("{first, last, stand-in}: unknown to Unicode 14; the stand-in has the same category and UTF-8 length.",
          "StandIn kStandIns", stand_ins())
    write("{first, last, forms}: not inert under NFC (bit 0), NFD (1), NFKC (2), NFKD (3).",
          "NotInert kNotInert", normalization())
    write("{upper, lower}: unknown to Unicode 14.", "CasePair kNewLowercase", lowercase())
    write("{first, last}: punctuation of the Punctuation pre-tokenizer.", "Range kPunctuation",
          [row[:2] for row in punctuation()])
    write("{first, last}: digits of the Digits pre-tokenizer.", "Range kNumeric", [row[:2] for row in numeric()])


if __name__ == "__main__":
    sys.exit(main())
