#include "report/clipping.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace outlierlab {

double ClippingExample::Part::absmax() const {
  return std::max(std::fabs(low()), std::fabs(high()));
}

std::uint64_t ClippingExample::Part::total() const {
  std::uint64_t sum = 0;
  for (const Bin& bin : bins) sum += bin.count;
  return sum;
}

double ClippingExample::Part::share_outside(double lo, double hi) const {
  double inside = 0;
  for (const Bin& bin : bins) {
    const double kept = std::min(hi, bin.upper) - std::max(lo, bin.lower);
    if (kept > 0) inside += static_cast<double>(bin.count) * std::min(1.0, kept / (bin.upper - bin.lower));
  }
  return std::max(0.0, 1 - inside / static_cast<double>(total()));
}

std::optional<ClippingExample> clipping_example(const ResultSet& results) {
  const auto found = results.data.find("activations-histograms");
  if (found == results.data.end()) return std::nullopt;
  const DataTable& table = found->second;
  const std::size_t site = table.column("site"), part = table.column("part"),
                    channel = table.column("channel"), lower = table.column("lower"),
                    upper = table.column("upper"), count = table.column("count");
  ClippingExample example;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const std::vector<std::string>& row = table.rows[r];
    const std::string place = table.file + ":" + std::to_string(r + 2);
    ClippingExample::Part* into = row[part] == "site"    ? &example.whole
                                  : row[part] == "loud"  ? &example.loud
                                  : row[part] == "quiet" ? &example.quiet
                                                         : nullptr;
    if (!into) fail_expected(place, "the part site, loud or quiet", "'" + row[part] + "'");
    const ClippingExample::Bin bin = {table.number(r, lower), table.number(r, upper),
                                      static_cast<std::uint64_t>(std::max(0.0, table.number(r, count)))};
    const bool in_order = into->bins.empty() || into->bins.back().upper <= bin.lower;
    if (!(bin.lower < bin.upper) || bin.count == 0 || !in_order) {
      fail_expected(place, "bins in ascending order, none of them empty",
                    row[lower] + " to " + row[upper] + " with " + row[count]);
    }
    example.site = row[site];
    into->channel = row[channel];
    into->bins.push_back(bin);
  }
  if (example.whole.bins.empty() || example.loud.bins.empty() || example.quiet.bins.empty()) {
    fail_expected(table.file, "the parts site, loud and quiet", "fewer");
  }
  return example;
}

ClippingReading read_clipping(const ClippingExample& example, double bound, int bits) {
  ClippingReading reading{};
  reading.lo = std::min(0.0, std::max(-bound, example.whole.low()));
  reading.hi = std::max(0.0, std::min(bound, example.whole.high()));
  reading.levels = 1 << bits;
  reading.step = (reading.hi - reading.lo) / (reading.levels - 1);
  // The default rounding mode takes ties to even.
  const double zero = std::nearbyint(-reading.lo / reading.step);
  const auto level = [&](double value) {
    return std::clamp(std::nearbyint(value / reading.step) + zero, 0.0, reading.levels - 1.0);
  };
  const auto levels_of = [&](const ClippingExample::Part& part) {
    return static_cast<int>(level(part.high()) - level(part.low())) + 1;
  };
  reading.loud_levels = levels_of(example.loud);
  reading.quiet_levels = levels_of(example.quiet);
  reading.loud_clipped = example.loud.share_outside(reading.lo, reading.hi);
  reading.quiet_clipped = example.quiet.share_outside(reading.lo, reading.hi);
  reading.whole_clipped = example.whole.share_outside(reading.lo, reading.hi);
  return reading;
}

}  // namespace outlierlab
