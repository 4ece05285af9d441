#include "data/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "data/unicode_ranges.h"

namespace outlierlab::unicode {

namespace {
template <std::size_t N>
bool contains(const CodePointRange (&ranges)[N], char32_t code) {
  const auto* range = std::lower_bound(std::begin(ranges), std::end(ranges), code,
                                       [](const CodePointRange& r, char32_t c) { return r.last < c; });
  return range != std::end(ranges) && range->first <= code;
}

std::size_t skip_ascii(std::string_view text, std::size_t position) {
  while (position + 8 <= text.size()) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + position, 8);
    if (word & 0x8080808080808080ull) break;
    position += 8;
  }
  while (position < text.size() && static_cast<unsigned char>(text[position]) < 0x80) ++position;
  return position;
}

int combining_class(char32_t code) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->combining_class;
}

void order_marks(std::u32string& text) {
  const auto lower_class = [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); };
  for (auto begin = text.begin(); begin != text.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, text.end(), [](char32_t c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end, lower_class);
    begin = end;
  }
}
}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t position = skip_ascii(text, 0); position < text.size();) {
    utf8proc_int32_t code;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + position);
    const auto length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - position), &code);
    if (length <= 0) return position;
    position = skip_ascii(text, position + static_cast<std::size_t>(length));
  }
  return std::string_view::npos;
}

char32_t decode(std::string_view text, std::size_t& position) {
  const auto byte = [&] { return static_cast<unsigned char>(text[position++]); };
  const char32_t lead = byte();
  if (lead < 0x80) return lead;
  const int continuations = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  char32_t code = lead & (0x3fu >> continuations);
  for (int i = 0; i < continuations; ++i) code = code << 6 | (byte() & 0x3fu);
  return code;
}

void append_utf8(std::string& text, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

bool is_dropped(char32_t code) {
  return contains(dropped_ranges, code);
}
bool is_white_space(char32_t code) {
  return contains(white_space_ranges, code);
}
bool is_punctuation(char32_t code) {
  return contains(punctuation_ranges, code);
}
bool is_nonspacing_mark(char32_t code) {
  return contains(nonspacing_mark_ranges, code);
}
bool is_cjk(char32_t code) {
  return contains(cjk_ranges, code);
}

void append_lower(std::u32string& text, char32_t code) {
  if (code == 0x130) {
    text += {U'i', char32_t(0x307)};
  } else {
    text += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
  }
}

std::u32string decompose(const std::u32string& text) {
  // 18 is the longest decomposition in Unicode, and that one is not canonical.
  utf8proc_int32_t parts[18];
  std::u32string result;
  for (const char32_t code : text) {
    int boundary = 0;
    const auto count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(code), parts, 18,
        static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE), &boundary);
    if (count <= 0) result += code;  // a code point that this utf8proc does not know
    for (utf8proc_ssize_t i = 0; i < count; ++i) result += static_cast<char32_t>(parts[i]);
  }
  order_marks(result);
  return result;
}

}  // namespace outlierlab::unicode
