"""Writes unicode_ranges.h: the classes of code points as Hugging Face's `tokenizers` has them.

    python3 make_unicode_ranges.py > unicode_ranges.h

Its categories are frozen at Unicode 8, so asking a current Unicode library gives other ids for newer characters.
"""
from tokenizers import normalizers, pre_tokenizers

FLAGS = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
clean = normalizers.BertNormalizer(**{**FLAGS, "clean_text": True})
chinese = normalizers.BertNormalizer(**{**FLAGS, "handle_chinese_chars": True})
strip = normalizers.BertNormalizer(**{**FLAGS, "strip_accents": True})
split = pre_tokenizers.BertPreTokenizer()


def ranges(predicate):
    result = []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or not predicate(chr(code)):
            continue
        if result and result[-1][1] == code - 1:
            result[-1][1] = code
        else:
            result.append([code, code])
    return result


def pieces(char):
    return len(split.pre_tokenize_str("a" + char + "b"))


TABLES = {
    "dropped": ("Removed by clean_text: NUL, U+FFFD and categories Cc, Cf, Co but tab, LF and CR.",
                lambda c: clean.normalize_str("a" + c + "b") == "ab"),
    "white_space": ("Separates words.", lambda c: pieces(c) == 2),
    "punctuation": ("A word of its own: ASCII's punctuation and symbols, and categories P*.",
                    lambda c: pieces(c) == 3),
    "nonspacing_mark": ("Category Mn, removed by strip_accents.", lambda c: strip.normalize_str("a" + c + "b") == "ab"),
    "cjk": ("Ideographs that are words of their own.", lambda c: len(chinese.normalize_str("a" + c + "b")) == 5),
}

print("// Made by make_unicode_ranges.py; do not edit.\n#pragma once\n\nnamespace outlierlab::unicode {\n")
print("struct CodePointRange {\n  char32_t first, last;\n};\n")
for name, (comment, predicate) in TABLES.items():
    body = ", ".join("{0x%x, 0x%x}" % tuple(r) for r in ranges(predicate))
    print(f"/// {comment}\ninline constexpr CodePointRange {name}_ranges[] = {{{body}}};\n")
print("}  // namespace outlierlab::unicode")
