#include "core/error.h"

#include <algorithm>
#include <numeric>

namespace outlierlab {

void fail_expected(const std::string& place, const std::string& expected, const std::string& found) {
  throw Error(place + ": expected " + expected + ", found " + found);
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
