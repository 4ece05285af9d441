#include "data/unicode.h"

#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "paths.h"

using namespace outlierlab;

namespace {
std::string utf8(const std::u32string& codes) {
  std::string text;
  for (const char32_t code : codes) unicode::append_utf8(text, code);
  return text;
}
}  // namespace

TEST_CASE("Unicode: every code point is classified and mapped as by Hugging Face's tokenizers") {
  const auto expected = nlohmann::json::parse(read_file(test::source("tests/golden/unicode.json")));
  std::string classes, mappings;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string marks_removed;
    for (const char32_t part : unicode::decompose({c})) {
      if (!unicode::is_nonspacing_mark(part)) unicode::append_utf8(marks_removed, part);
    }
    classes += {char(unicode::is_dropped(c)), char(unicode::is_white_space(c)),
                char(unicode::is_punctuation(c)), char(marks_removed.empty()), char(unicode::is_cjk(c))};
    if (c < 0x1c80 || (c >= 0x1d00 && c < 0xa7c0) || (c >= 0xac00 && c < 0x10500)) {
      std::u32string lower;
      unicode::append_lower(lower, c);
      mappings += "a" + utf8(lower) + "ba" + utf8(unicode::decompose({c})) + "b";
    }
  }
  REQUIRE(sha256(classes) == expected["classes"]);
  REQUIRE(sha256(mappings) == expected["mappings"]);
}

TEST_CASE("Unicode: decomposition puts marks into canonical order") {
  const std::u32string dot_below_then_circumflex = U"o\u0323\u0302";
  REQUIRE(unicode::decompose(U"o\u0302\u0323") == dot_below_then_circumflex);
  REQUIRE(unicode::decompose(U"\u1ed9") == dot_below_then_circumflex);
  REQUIRE(unicode::decompose(U"\uac01") == U"\u1100\u1161\u11a8");
}

TEST_CASE("Unicode: what is not UTF-8 is found at its first byte") {
  const auto npos = std::string_view::npos;
  REQUIRE(unicode::find_invalid_utf8("") == npos);
  REQUIRE(unicode::find_invalid_utf8("plain ascii longer than eight bytes") == npos);
  REQUIRE(unicode::find_invalid_utf8("\u00e9\u4e2d\U0001f600\U0010ffff") == npos);
  REQUIRE(unicode::find_invalid_utf8(std::string_view("a\0b", 3)) == npos);
  const std::string prefix = "12345678\u00e9";  // ten bytes
  for (const char* bad : {"\xff", "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe4\xb8", "\xf0\x9f\x98"}) {
    REQUIRE(unicode::find_invalid_utf8(prefix + bad) == 10);
    REQUIRE(unicode::find_invalid_utf8(prefix + bad + "more text") == 10);
  }
}

TEST_CASE("Unicode: every code point survives encoding and decoding") {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    const std::string text = utf8({c});
    std::size_t position = 0;
    if (unicode::decode(text, position) != c || position != text.size())
      FAIL("U+" << std::hex << std::uint32_t(c));
  }
}
