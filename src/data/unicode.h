#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Characters as BERT's tokenizer sees them. Classes follow Hugging Face's tables on every platform
/// (unicode_ranges.h); lower-casing and decomposition come from utf8proc, whose Unicode version then matters
/// for characters younger than 2016 only.
namespace outlierlab::unicode {

/// Offset of the first byte that does not belong to well-formed UTF-8 (Unicode 15, table 3-7), or npos.
std::size_t find_invalid_utf8(std::string_view text);

/// The code point that starts at `position`, which moves behind it. `text` is well-formed there.
char32_t decode(std::string_view text, std::size_t& position);

void append_utf8(std::string& text, char32_t code);

/// Removed by cleaning: NUL, U+FFFD, control, format and private-use characters.
bool is_dropped(char32_t code);
bool is_white_space(char32_t code);
/// All of ASCII that is neither letter, digit, space nor control, and Unicode's categories P*.
bool is_punctuation(char32_t code);
/// Category Mn.
bool is_nonspacing_mark(char32_t code);
/// The blocks of ideographs that BERT puts between spaces; kana and Hangul are not among them.
bool is_cjk(char32_t code);

/// Full lower-casing without context: one character for all but U+0130, which gives two.
void append_lower(std::u32string& text, char32_t code);

/// Canonical decomposition with canonical ordering (NFD; Unicode Standard Annex 15). Hangul decomposes into
/// jamo.
std::u32string decompose(const std::u32string& text);

}  // namespace outlierlab::unicode
