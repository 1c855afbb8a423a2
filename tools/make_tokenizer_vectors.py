#!/usr/bin/env python3
"""Writes tests/data/tokenizer/: small tokenizers that between them use every component the reader knows, each with
texts, and what the `tokenizers` package makes of them. src/text/tokenizer_vectors_test.cc reads them.

    pip install tokenizers && tools/make_tokenizer_vectors.py
"""
import json
import pathlib
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from compare_tokenizers import FRAGMENTS, random_texts

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests/data/tokenizer"
CORPUS = [
    "The mill stood where the river turned, and in the morning its wheel was white with frost.",
    "In 1907 the miller's daughter counted 1234 sacks; it wasn't enough, she'd said, and they'll need 56 more.",
    "What is the time? It's half past ten, isn't it? We're late, I'm afraid. You've got to run!",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Ça va très bien, merci.",
    "河边的磨坊在早晨结了霜。她数了一千二百三十四袋。これは水車です。방앗간은 강가에 있다.",
    "Мельница стояла у реки. הטחנה עמדה ליד הנהר. كانت الطاحونة بجانب النهر.",
    "def mill(n):\n    return sum(i * 2 for i in range(n)) if n > 0 else None  # turns\n",
    "the the the and and of of to in a is that it was for on with as at by this from",
] * 4
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
TEXTS = [
    "", " ", "Hello world", " Hello  world ", "The mill's wheel, wasn't it?", "I'M HERE'LL", "1234567 12 3", "a\n\n b\r\n\tc  ",
    "\u00e9 e\u0301 \u212b A\u030a", "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "<s> a </s>", "  <s>  x<pad>y ", "word words wordy sword word", "<mask>  <mask>", "Yesterday, yesterday YESTERDAY",
    "\u2581a \u2581", "<0x41><0xE4>", "no\u00a0break\u3000wide", "\ufb01ne \uff21\uff22", "x" * 60 + " " * 20, "the-final--countdown",
    "(a) [b] {c} $d_e", "\u0130stanbul \u03a3\u0391\u03a3", "\x00\x07\x7f\x85\ufffd\ufeff", "ab cd\u1c89\U000323af\u0897 \u180e\u2028z",
]


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def trained(pre_tokenizer, characters=(), **options):
    """A small BPE model; `characters` are in its vocabulary whatever the corpus holds."""
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizer
    affixes = {key: value for key, value in options.items() if key != "unk_token"}
    trainer = trainers.BpeTrainer(vocab_size=len(characters) + 150, show_progress=False, initial_alphabet=list(characters),
                                  limit_alphabet=len(characters) + 60, **affixes)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return json.loads(tokenizer.to_str())["model"]


def byte_level_model(**changes):
    model = trained(pre_tokenizers.ByteLevel(add_prefix_space=False), sorted(pre_tokenizers.ByteLevel.alphabet()))
    return {**model, **changes}


def byte_fallback_model(n_bytes=256, **changes):
    model = trained(pre_tokenizers.Metaspace())
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(n_bytes):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for token in model["vocab"]:
        vocab.setdefault(token, len(vocab))
    return {**model, "vocab": vocab, "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True, **changes}


def added(content, **flags):
    return {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **flags}


def template(model, *names):
    def piece(name):
        return {"Sequence": {"id": "A", "type_id": 0}} if name == "A" else {"SpecialToken": {"id": name, "type_id": 0}}
    tokens = {n: {"id": n, "ids": [model["vocab"][n]], "tokens": [n]} for n in names if n != "A"}
    return {"type": "TemplateProcessing", "single": [piece(n) for n in names],
            "pair": [piece("A"), {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": tokens}


def whole(model, **parts):
    tokens = parts.pop("added_tokens", [])
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts, "model": model}


def sequence(key, kind, *parts):
    return {"type": kind, key: list(parts)}


LLAMA_NORMALIZER = sequence("normalizers", "Sequence", {"type": "Prepend", "prepend": "\u2581"},
                            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"})
LLAMA_DECODER = sequence("decoders", "Sequence", {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                         {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})


def byte_level_configurations():
    model = byte_level_model()
    pairs = model["merges"]
    specials = [added("<s>"), added("</s>"), added("<pad>", special=False)]
    byte_level = {"decoder": BYTE_LEVEL, "added_tokens": specials}

    def pre(*parts):
        return {"pre_tokenizer": sequence("pretokenizers", "Sequence", *parts), **byte_level}

    yield "qwen", whole({**model, "continuing_subword_prefix": "", "end_of_word_suffix": ""}, normalizer={"type": "NFC"},
                        **pre(split({"Regex": LLAMA3.replace("{1,3}", "")}), BYTE_LEVEL))
    yield "llama3", whole({**model, "ignore_merges": True, "merges": [" ".join(pair) for pair in pairs]},
                          **pre(split({"Regex": LLAMA3}), BYTE_LEVEL))
    yield "cased", whole(model, **pre(split({"Regex": CASED}), BYTE_LEVEL))
    yield "gpt2", whole(model, pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True, "use_regex": True}, **byte_level)
    yield "no_cut", whole(model, pre_tokenizer=BYTE_LEVEL, **byte_level)
    yield "byte_level_normalizer", whole(model, normalizer={"type": "ByteLevel"}, decoder=BYTE_LEVEL)
    some = {t: i for i, t in enumerate(t for t in model["vocab"] if t not in ("\u00c3", "z", "\u0120\u0120"))}
    merges = [p for p in pairs if p[0] in some and p[1] in some and "".join(p) in some]
    yield "missing_bytes", whole({**model, "vocab": some, "merges": merges},
                                 **pre(split({"Regex": r"\w+|[^\w\s]+|\s"}), BYTE_LEVEL))
    yield "byte_level_first", whole(model, **pre({**BYTE_LEVEL, "use_regex": True}, split({"String": "\u0120"}, "MergedWithNext")))
    yield "words", whole(model, **pre(split({"Regex": r"\b\w+\b|\d+(?=\D)|[[:digit:]]"}, "Removed", True), BYTE_LEVEL))


def character_configurations():
    full = byte_fallback_model()
    yield "llama2", whole(full, normalizer=LLAMA_NORMALIZER, decoder=LLAMA_DECODER, post_processor=template(full, "<s>", "A"),
                          added_tokens=[added("<unk>"), added("<s>"), added("</s>")])
    some = byte_fallback_model(n_bytes=200)
    yield "llama2_few_bytes", whole(some, normalizer=LLAMA_NORMALIZER, decoder=LLAMA_DECODER,
                                    post_processor=template(some, "<s>", "A", "</s>"), added_tokens=[added("<s>", normalized=True)])
    yield "unk", whole(byte_fallback_model(n_bytes=0, byte_fallback=False, fuse_unk=False), normalizer=LLAMA_NORMALIZER)
    yield "unk_fused", whole(byte_fallback_model(n_bytes=0, byte_fallback=False), normalizer=LLAMA_NORMALIZER)
    yield "unk_dropped", whole(byte_fallback_model(n_bytes=0, byte_fallback=False, unk_token=None), decoder={"type": "Fuse"})
    for scheme in ("first", "always", "never"):
        for cut in (True, False):
            metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}
            yield f"metaspace_{scheme}_{'split' if cut else 'whole'}", whole(
                full, pre_tokenizer=metaspace, decoder=metaspace, added_tokens=[added("<s>"), added("<pad>", rstrip=True)])
    affixed = trained(pre_tokenizers.Whitespace(), unk_token="[UNK]", continuing_subword_prefix="##", end_of_word_suffix="</w>")
    affixed["vocab"]["[UNK]"] = len(affixed["vocab"])
    yield "affixes", whole(affixed, pre_tokenizer={"type": "Whitespace"})


def added_token_configurations():
    model = byte_level_model()
    pre = {"pre_tokenizer": {**BYTE_LEVEL, "use_regex": True}, "decoder": BYTE_LEVEL}
    tokens = [added("<s>", lstrip=True), added("</s>", rstrip=True), added("<pad>", lstrip=True, rstrip=True),
              added("<mask>", lstrip=True, normalized=True, special=False), added("word", single_word=True, special=False),
              added("words", special=False, normalized=True), added("Yesterday", special=False, normalized=True),
              added("yesterday, ", special=False), added("the", special=False, single_word=True, lstrip=True, rstrip=True),
              added("mi", special=False), added("mill", special=False), added("\u00e9", special=False, normalized=True)]
    yield "added", whole(model, added_tokens=tokens, **pre)
    yield "added_lowercase", whole(model, added_tokens=tokens, normalizer={"type": "Lowercase"}, **pre)
    yield "added_nfd", whole(model, added_tokens=tokens, normalizer={"type": "NFD"}, **pre)
    yield "added_metaspace", whole(byte_fallback_model(), normalizer=LLAMA_NORMALIZER, decoder=LLAMA_DECODER, added_tokens=tokens)


def normalizer_configurations():
    model = byte_level_model()
    pre = {"pre_tokenizer": {**BYTE_LEVEL, "use_regex": True}, "decoder": BYTE_LEVEL}
    steps = {
        "nfd": [{"type": "NFD"}],
        "nfkc": [{"type": "NFKC"}],
        "nfkd_lowercase": [{"type": "NFKD"}, {"type": "Lowercase"}],
        "nmt_strip": [{"type": "Nmt"}, {"type": "Strip", "strip_left": True, "strip_right": False}],
        "strip_prepend": [{"type": "Strip", "strip_left": False, "strip_right": True}, {"type": "Prepend", "prepend": ">>"}],
        "replace": [{"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                    {"type": "Replace", "pattern": {"Regex": r"(?<=\s)(?=1)"}, "content": "#"},
                    {"type": "Replace", "pattern": {"String": "ll"}, "content": ""}],
    }
    for name, normalizers in steps.items():
        yield name, whole(model, normalizer=sequence("normalizers", "Sequence", *normalizers), **pre)


def split_configurations():
    model = byte_level_model()
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            parts = [split({"String": "-"}, behavior, invert), split({"Regex": r"\p{Lu}|\s"}, behavior, invert), BYTE_LEVEL]
            yield f"split_{behavior}{'_inverted' if invert else ''}", whole(
                model, pre_tokenizer=sequence("pretokenizers", "Sequence", *parts), decoder=BYTE_LEVEL)
    for name, first in {
            "digits": {"type": "Digits", "individual_digits": False}, "each_digit": {"type": "Digits", "individual_digits": True},
            "punctuation": {"type": "Punctuation", "behavior": "Contiguous"}, "blanks": {"type": "WhitespaceSplit"},
            "whitespace": {"type": "Whitespace"}, "empty_matches": split({"Regex": r"(?=[A-Z\d])|\b"}),
            "thousands": split({"Regex": r"\d{1,3}(?=(?:\d{3})*\b)"})}.items():
        yield name, whole(model, pre_tokenizer=sequence("pretokenizers", "Sequence", first, BYTE_LEVEL), decoder=BYTE_LEVEL)


def decoder_configurations():
    model = byte_fallback_model()
    strip = {"type": "Strip", "content": " ", "start": 2, "stop": 0}
    for name, decoder in {
            "none": None, "fallback": {"type": "ByteFallback"}, "fuse_strip": sequence("decoders", "Sequence", {"type": "Fuse"}, strip),
            "strip_each": {**strip, "start": 1, "content": "\u2581"},
            "fuse_replace": sequence("decoders", "Sequence", {"type": "Fuse"},
                                     {"type": "Replace", "pattern": {"Regex": "\u2581+"}, "content": " "}),
            "byte_level_replace": sequence("decoders", "Sequence", BYTE_LEVEL, {"type": "Fuse"},
                                           {"type": "Replace", "pattern": {"String": "e"}, "content": "E"})}.items():
        yield f"decoder_{name}", whole(model, normalizer=LLAMA_NORMALIZER, decoder=decoder)


def configurations():
    for group in (byte_level_configurations, character_configurations, added_token_configurations, normalizer_configurations,
                  split_configurations, decoder_configurations):
        yield from group()


def expectation(tokenizer, text):
    """Only what differs is stated: decoded from the text, with special tokens from without."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    case = {"text": text, "ids": ids}
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    for key, value, usual in (
            ("ids_with_special", tokenizer.encode(text, add_special_tokens=True).ids, ids), ("decoded", decoded, text),
            ("decoded_without_special", tokenizer.decode(ids, skip_special_tokens=True), decoded)):
        if value != usual:
            case[key] = value
    return case


def cases_of(tokenizer, rng):
    for text in rng.sample(TEXTS, 12) + list(random_texts(3, sorted(tokenizer.get_vocab()), rng)):
        yield expectation(tokenizer, text)
    for _ in range(2):
        ids = [rng.randrange(tokenizer.get_vocab_size()) for _ in range(rng.randint(1, 24))]
        yield {"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False)}


def write(name, tree):
    """JSON with a line for each element of the outermost list."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(element, ensure_ascii=False, separators=(",", ":")) for element in tree)
    (FOLDER / name).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def main():
    rng = random.Random(1)
    model_list, rows = [], []
    for name, configuration in configurations():
        tokenizer = Tokenizer.from_str(json.dumps(configuration))
        model = configuration.pop("model")
        if model not in model_list:
            model_list.append(model)
        rows.append({"name": name, "tokenizer": configuration, "model": model_list.index(model),
                     "cases": list(cases_of(tokenizer, rng))})
    write("models.json", model_list)
    write("components.json", rows)

    demo = Tokenizer.from_file(str(ROOT / "models/demo/tokenizer.json"))
    special = [t.content for t in demo.get_added_tokens_decoder().values()]
    texts = list(dict.fromkeys(TEXTS + CORPUS + FRAGMENTS + list(random_texts(90, sorted(demo.get_vocab()) + special * 500, rng))))
    write("demo.json", [expectation(demo, text) for text in texts])


if __name__ == "__main__":
    main()
