#include "engine/safetensors_header.h"

#include <limits>
#include <utility>

#include "core/error.h"

namespace outlierlab::engine {

namespace {

class Parser {
 public:
  Parser(const std::string& place, const char* begin, std::size_t size)
      : place_(place), begin_(begin), at_(begin), end_(begin + size) {}

  SafetensorsHeader header() {
    SafetensorsHeader result;
    bool metadata = false;
    object([&](const std::string& name) {
      if (name == "__metadata__") {
        if (std::exchange(metadata, true)) fail("each key once", "'__metadata__' again");
        object([&](const std::string& key) {
          if (!result.metadata.emplace(key, string()).second) fail("each key once", "'" + key + "' again");
        });
      } else if (!result.tensors.emplace(name, tensor()).second) {
        fail("each tensor once", "'" + name + "' again");
      }
    });
    space();
    if (at_ != end_) fail("the end", shown());
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    fail_expected(place_ + ", byte " + std::to_string(at_ - begin_), expected, found);
  }
  std::string shown() const {
    if (at_ == end_) return "the end";
    const auto c = static_cast<unsigned char>(*at_);
    return c >= 32 && c < 127 ? "'" + std::string(1, *at_) + "'" : "byte " + std::to_string(c);
  }
  void space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }
  bool accept(char c) {
    space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail("'" + std::string(1, c) + "'", shown());
  }
  /// Calls value(key) where each value stands.
  template <typename Value>
  void object(Value value) {
    expect('{');
    if (accept('}')) return;
    do {
      const std::string key = string();
      expect(':');
      value(key);
    } while (accept(','));
    expect('}');
  }
  unsigned hex4() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ == end_ ? 'x' : *at_;
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("four hexadecimal digits", shown());
      code = code * 16 + static_cast<unsigned>(digit);
    }
    return code;
  }
  static void append_utf8(unsigned code, std::string& text) {
    const auto put = [&](unsigned byte) { text += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xc0 | code >> 6);
    } else {
      if (code < 0x10000) {
        put(0xe0 | code >> 12);
      } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 63));
      }
      put(0x80 | (code >> 6 & 63));
    }
    put(0x80 | (code & 63));
  }
  void escape(std::string& text) {
    if (at_ == end_) fail("an escaped character", shown());
    const char c = *at_++;
    static const char* const from = "\"\\/bfnrt";
    static const char* const to = "\"\\/\b\f\n\r\t";
    for (int i = 0; from[i]; ++i) {
      if (c == from[i]) {
        text += to[i];
        return;
      }
    }
    if (c != 'u') fail("an escape of JSON", std::string("'\\") + c + "'");
    unsigned code = hex4();
    if (code >= 0xd800 && code < 0xdc00) {
      if (end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u')
        fail("the second half of a surrogate pair", shown());
      at_ += 2;
      const unsigned low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("the second half of a surrogate pair", "another character");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(code, text);
  }
  std::string string() {
    expect('"');
    std::string text;
    while (at_ != end_ && *at_ != '"') {
      const char c = *at_++;
      if (c == '\\') {
        escape(text);
      } else if (static_cast<unsigned char>(c) < 32) {
        fail("no control character in a string", "byte " + std::to_string(static_cast<int>(c)));
      } else {
        text += c;
      }
    }
    if (at_ == end_) fail("the end of a string", "the end");
    ++at_;
    return text;
  }
  std::size_t number() {
    space();
    if (at_ == end_ || *at_ < '0' || *at_ > '9') fail("a whole number", shown());
    std::size_t value = 0;
    for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) {
      const auto digit = static_cast<std::size_t>(*at_ - '0');
      if (value > (std::numeric_limits<std::size_t>::max() - digit) / 10)
        fail("a number below 2^64", "a larger one");
      value = value * 10 + digit;
    }
    return value;
  }
  std::vector<std::size_t> numbers() {
    std::vector<std::size_t> values;
    expect('[');
    if (accept(']')) return values;
    do {
      values.push_back(number());
    } while (accept(','));
    expect(']');
    return values;
  }
  HeaderTensor tensor() {
    HeaderTensor result;
    bool dtype = false, shape = false, offsets = false;
    const auto first = [&](bool& there, const std::string& key) {
      if (std::exchange(there, true)) fail("each key once", "'" + key + "' again");
    };
    object([&](const std::string& key) {
      if (key == "dtype") {
        first(dtype, key);
        result.dtype = string();
      } else if (key == "shape") {
        first(shape, key);
        result.shape = numbers();
      } else if (key == "data_offsets") {
        first(offsets, key);
        const std::vector<std::size_t> range = numbers();
        if (range.size() != 2) fail("two data_offsets", std::to_string(range.size()));
        result.begin = range[0];
        result.end = range[1];
      } else {
        fail("dtype, shape or data_offsets", "'" + key + "'");
      }
    });
    if (!dtype || !shape || !offsets) fail("dtype, shape and data_offsets", "fewer");
    return result;
  }

  std::string place_;
  const char *begin_, *at_, *end_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(const std::string& place, const char* begin, std::size_t size) {
  return Parser(place, begin, size).header();
}

}  // namespace outlierlab::engine
