"""Writes the tokenizer's golden files with Hugging Face's fast BertTokenizer:

    python3 make_tokenizer.py                   # small_vocab.txt, tokenizer_small.json, unicode.json
    python3 make_tokenizer.py BERT_FOLDER       # also tokenizer_bert.json: the same texts, a real uncased vocabulary
"""
import hashlib
import json
import pathlib
import sys

from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizerFast

HERE = pathlib.Path(__file__).parent

TEXTS = [
    "", " ", "\t\n\r", "hello", "Hello, World!", "The quick brown fox; it's 3.14 (or $5) -- isn't it?",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u00d8rsted \u0141\u00f3d\u017a \u0111\u1eb7c bi\u1ec7t",  # composed
    "cafe\u0301 A\u030angstrom o\u0323\u0302 o\u0302\u0323 e\u0301\u0323\u0302",  # combining, both orders
    "\u0301start with a mark", "q\u0307\u0323\u0345", "\u1fb3 \u1f82 \u0390 \u1e9b\u0323",
    "\u0130stanbul \u0131\u0131 I\u0307 DI\u0307YARBAKIR", "stra\u00dfe STRASSE STRA\u1e9eE gr\u00fc\u00dfe",
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u03c3\u03c2 \u03a3 \u0391\u03a3.", "\u01c5 \u01c8 \ufb01 \ufb04 \u2126 \u212a \u212b",
    "\u4e2d\u56fdabc\u6f22\u5b57 \u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \u30ac\u30d1 \uff76\uff9e",
    "\U00020000\U0002a6d6\U0002b740\U0002b820\U0002b920\U00030000 \uf900 \ufa0e \U0002f800 \u3400\u4dbf\u9fff",
    "\ud55c\uad6d\uc5b4 \uac00\uac01\ub9c9 \u1112\u1161\u11ab", "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0e01\u0e33 \u0e19\u0e49\u0e33",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f \u061f \u060c \u0623 \u0622 \u06c1\u0654", "\u05e9\u05dc\u05d5\u05b9\u05dd \u05be \u05f3 \ufb2a",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0958 \u095b \u0915\u093c\u094d\u0937 \u0964", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u0d15\u0d4d\u0d37 \u0c24\u0c46\u0c32\u0c41\u0c17\u0c41",
    "\U0001f600\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \u20dd",
    "a\u0000b\ufffdc\u0001d\u001fe\u007ff\u0085g\u009fh", "a\u000bb\u000cc\u001cd", "x\u00a0y\u2003z\u3000w\u2028v\u2029u\u202ft\u1680s\u205fr\u180eq",
    "zero\u200bwidth\u200cnon\u200djoin\ufeffbom\u2060word\u200erl\u202eo", "soft\u00adhyphen pri\ue000vate\uf8ff \U000f0000\U0010fffd un\u0378\uffff\ufdd0",
    "[SEP]", "a[SEP]b", "[sep] [Sep] [MASK][MASK] [CLS]x[PAD] [UNK]!", "[SEP", "SEP] [[SEP]]", "x [SEP] caf\u00e9 [MASK]\u4e2d", "[ SEP ] [MASK]s unmask[MASK]ed",
    "...!!!???", "a--b__c//d\\e@f#g%h^i&j*k(l)m+n=o{p}q|r:s;t\"u'v<w>x,y.z~`", "\u2018q\u2019 \u201cr\u201d \u00ab\u00bb \u2014\u2013\u2010 \u2026 \u3002\u300c\u300d \uff01\uff1f \u00bf\u00a1 \u00a7\u00b6 \u20ac\u00a3\u00a5 \u00b0\u00b1\u00d7",
    "\u055a \u0589 \u104a \u166d \u1b7d \u2e43 \u2e52 \U00010ead \U00011c41 \u0898 \u07fd \u08e2 \u0890 \u1734 \U0001e944",  # classes that moved since Unicode 8
    "a" * 99, "a" * 100, "a" * 101, "\u00e9" * 100, "\u00e9" * 101, "e\u0301" * 60, "\u4e2d" * 101, "\u306e" * 100, "\u306e" * 101, "." * 120,
    "unaffable unaffordable playing played player embeddings", "1234567890 3,000,000 1st 2nd 1.5e-3 0x1F", "##ing ## #ing",
    "MiXeD CaSe WORDS \u0416\u0418\u0417\u041d\u042c \u0439 \u0401\u0436 \u0407\u0436\u0430 \u054a \u10a0 \u13a0 \uab70 \u1c80 \U00010400",
]
LONG = "one two three four five six seven eight nine ten playing unaffable"
PAIRS = [
    (LONG, "a"), ("a", LONG), (LONG, LONG), ("", LONG), (LONG, ""), ("", ""), ("a b c d", "e f g h i"), ("a b c d e", "e f g h"),
    ("a b c", "d e f"), ("caf\u00e9 [SEP] x", "\u4e2d\u56fd!"),
]
MAX_LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 128]
OPTIONS = [dict(do_lower_case=True), dict(do_lower_case=False), dict(do_lower_case=True, strip_accents=False),
           dict(do_lower_case=False, strip_accents=True), dict(do_lower_case=True, tokenize_chinese_chars=False)]


def small_vocabulary():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces += list(letters) + ["##" + c for c in letters] + list("!?.,;:'\"()[]#-$")
    pieces += "hello world the quick one two three four five play caf cafe una unaff".split()
    pieces += "##ing ##ed ##er ##able ##aff ##ord ##fe ##bed ##ding ##ur".split()
    pieces += "\u4e2d \u56fd \u00e9 ##\u00e9 \u00df ##\u00df \u03c3 ##\u03c3 \u03c2 ##\u03c2 i\u0307 \u0131 ##\u0131 \u306e ##\u306e \u1112 ##\u1161 ##\u11ab".split()
    pieces += "\u0e33 \u0627 ##\u0644 \U0001f600 \u2026 \u20ac \u0416 \u0436 ##\u0438 \u00c9 A B ##A ##B Hello H W ##orld".split()
    return pieces


def ids_of(tokenizer):
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]


def pairs_of(tokenizer):
    cases = [(a, b, n) for a, b in PAIRS for n in MAX_LENGTHS] + [(LONG, None, n) for n in (2, 3, 5, 128)]
    pairs = []
    for first, second, length in cases:
        # As a batch of one: outside batches, transformers takes an empty second text for none at all.
        e = tokenizer([first], second if second is None else [second], max_length=length, truncation="longest_first")
        pairs.append({"first": first, "second": second, "max_length": length, "ids": e["input_ids"][0],
                      "types": e["token_type_ids"][0]})
    return pairs


def write(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def unicode_digests():
    """SHA-256 over every code point's class, and over lower-casing and NFD where Unicode has not grown since 2015."""
    flags = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    normalizer = lambda **on: normalizers.BertNormalizer(**{**flags, **on})
    clean, cjk, strip = normalizer(clean_text=True), normalizer(handle_chinese_chars=True), normalizer(strip_accents=True)
    lower, nfd, split = normalizer(lowercase=True), normalizers.NFD(), pre_tokenizers.BertPreTokenizer()
    classes, mappings = hashlib.sha256(), hashlib.sha256()
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        text = "a" + chr(code) + "b"
        pieces = len(split.pre_tokenize_str(text))
        classes.update(bytes([clean.normalize_str(text) == "ab", pieces == 2, pieces == 3,
                              strip.normalize_str(text) == "ab", len(cjk.normalize_str(text)) == 5]))
        if code < 0x1C80 or 0x1D00 <= code < 0xA7C0 or 0xAC00 <= code < 0x10500:
            mappings.update((lower.normalize_str(text) + nfd.normalize_str(text)).encode())
    return {"classes": classes.hexdigest(), "mappings": mappings.hexdigest()}


def main():
    vocabulary = HERE / "small_vocab.txt"
    vocabulary.write_text("\n".join(small_vocabulary()) + "\n")
    cases = []
    for options in OPTIONS:
        pieces = {piece: i for i, piece in enumerate(small_vocabulary())}
        tokenizer = BertTokenizerFast(vocab=pieces, **options)
        assert tokenizer.vocab_size == len(pieces)
        normalizer = json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"]
        assert normalizer["lowercase"] == options["do_lower_case"], normalizer
        assert normalizer["strip_accents"] == options.get("strip_accents"), normalizer
        assert normalizer["handle_chinese_chars"] == options.get("tokenize_chinese_chars", True), normalizer
        cases.append({"options": options, "ids": ids_of(tokenizer)})
        if len(cases) == 1:
            pairs = pairs_of(tokenizer)
            tokenizer.backend_tokenizer.save(str(HERE / "small_tokenizer.json"), pretty=False)
    write("tokenizer_small.json", {"texts": TEXTS, "cases": cases, "pairs": pairs})
    write("unicode.json", unicode_digests())
    if len(sys.argv) > 1:
        tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
        write("tokenizer_bert.json", {"texts": TEXTS, "cases": [{"options": {}, "ids": ids_of(tokenizer)}],
                                      "pairs": pairs_of(tokenizer)})


if __name__ == "__main__":
    main()
