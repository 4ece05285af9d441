#include "core/error.h"

#include <algorithm>
#include <numeric>

namespace outlierlab {

/// A text of unknown origin as it may be printed: on one line, without control characters, not too long.
static std::string shown(const std::string& text) {
  constexpr std::size_t longest = 500;
  std::size_t size = std::min(text.size(), longest);
  // Not within a character of UTF-8.
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  std::string line;
  for (const char c : text.substr(0, size)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte != 127) {
      line += c;
      continue;
    }
    static const char digits[] = "0123456789abcdef";
    line += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
  }
  if (size < text.size()) line += "... (" + std::to_string(text.size()) + " bytes)";
  return line;
}

void fail_expected(const std::string& place, const std::string& expected, const std::string& found) {
  throw Error(shown(place) + ": expected " + expected + ", found " + shown(found));
}

static std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

void fail_unknown(const std::string& kind, std::string_view name, const std::vector<std::string>& known) {
  std::string message = "unknown " + kind + " '" + std::string(name) + "'";
  if (const std::string near = nearest(name, known); !near.empty())
    message += "; did you mean '" + near + "'?";
  std::string list;
  for (const std::string& candidate : known) list += (list.empty() ? "" : ", ") + candidate;
  throw UsageError(message + " (known: " + list + ")");
}

}  // namespace outlierlab
