#include "stats/histogram.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>
#include <stdexcept>

#include "stats/kernels.h"

namespace outlierlab {

namespace {

constexpr int shift = 23 - Histogram::mantissa_bits;
constexpr std::uint32_t sign_bit = 1u << (8 + Histogram::mantissa_bits);
constexpr std::uint32_t magnitude_mask = sign_bit - 1;
constexpr std::size_t table_bytes = Histogram::bins * sizeof(std::uint32_t);
constexpr std::uint32_t infinity_bin = 0xffu << Histogram::mantissa_bits;

std::uint32_t bin_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits >> shift;
}

std::uint32_t canonical(std::uint32_t index) {
  return index == sign_bit ? 0 : index;
}
bool is_infinity(std::uint32_t index) {
  return (index & magnitude_mask) == infinity_bin;
}
bool is_nan(std::uint32_t index) {
  return (index & magnitude_mask) > infinity_bin;
}

/// The smallest magnitude of a bin; the bin above the largest finite one starts at FLT_MAX.
float magnitude_from(std::uint32_t index) {
  if (index >= infinity_bin) return std::numeric_limits<float>::max();
  const std::uint32_t bits = index << shift;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

Histogram::Bin edges(std::uint32_t index, std::uint64_t count) {
  const std::uint32_t magnitude = index & magnitude_mask;
  if (magnitude == 0) return {0.0f, 0.0f, count};
  const float near = magnitude_from(magnitude);
  const float far = magnitude_from(magnitude + 1);
  if (index & sign_bit) return {-far, -near, count};
  return {near, far, count};
}

/// Sorts by index and adds up equal indices.
void collapse(std::vector<Histogram::BinCount>& counts) {
  for (auto& entry : counts) entry.first = canonical(entry.first);
  std::sort(counts.begin(), counts.end());
  std::size_t kept = 0;
  for (const auto& entry : counts) {
    if (entry.second == 0) continue;
    if (kept > 0 && counts[kept - 1].first == entry.first) {
      counts[kept - 1].second += entry.second;
    } else {
      counts[kept++] = entry;
    }
  }
  counts.resize(kept);
}

std::vector<Histogram::BinCount> merged(const std::vector<Histogram::BinCount>& a,
                                        const std::vector<Histogram::BinCount>& b) {
  std::vector<Histogram::BinCount> all;
  all.reserve(a.size() + b.size());
  auto x = a.begin();
  auto y = b.begin();
  while (x != a.end() || y != b.end()) {
    if (y == b.end() || (x != a.end() && x->first < y->first)) {
      all.push_back(*x++);
    } else if (x == a.end() || y->first < x->first) {
      all.push_back(*y++);
    } else {
      all.emplace_back(x->first, x->second + y->second);
      ++x, ++y;
    }
  }
  return all;
}

/// Bins of finite values in ascending order of value.
std::vector<Histogram::BinCount> in_value_order(const std::vector<Histogram::BinCount>& by_index) {
  std::vector<Histogram::BinCount> ordered;
  ordered.reserve(by_index.size());
  const auto finite = [](const auto& entry) { return (entry.first & magnitude_mask) < infinity_bin; };
  const auto first_negative =
      std::lower_bound(by_index.begin(), by_index.end(), Histogram::BinCount{sign_bit, 0});
  std::copy_if(std::make_reverse_iterator(by_index.end()), std::make_reverse_iterator(first_negative),
               std::back_inserter(ordered), finite);
  std::copy_if(by_index.begin(), first_negative, std::back_inserter(ordered), finite);
  return ordered;
}

}  // namespace

void Histogram::Free::operator()(std::uint32_t* table) const {
  ::munmap(table, table_bytes);
}

Histogram::Histogram(const Histogram& other) : settled_(other.nonzero()) {}

Histogram& Histogram::operator=(const Histogram& other) {
  if (this != &other) *this = Histogram(other);
  return *this;
}

std::uint32_t* Histogram::counters(std::uint64_t values) {
  if (in_table_ + values > std::numeric_limits<std::uint32_t>::max()) settle();
  if (!table_) {
    // Not calloc, which clears what it has had before: most of the table is never touched.
    void* pages = ::mmap(nullptr, table_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    table_.reset(static_cast<std::uint32_t*>(pages));
  }
  in_table_ += values;
  return table_.get();
}

void Histogram::settle() {
  if (!table_) return;
  settled_ = nonzero();
  table_.reset();
  in_table_ = 0;
}

void Histogram::add(const float* data, std::size_t rows, std::size_t cols, std::size_t stride) {
  for (std::size_t r = 0; r < rows; ++r) {
    statistics_kernels().count({data + r * stride, 1, cols, stride}, counters(cols));
  }
}

void Histogram::add(float value, std::uint64_t count) {
  settled_ = merged(settled_, {{canonical(bin_of(value)), count}});
}

void Histogram::merge(const Histogram& other) {
  settled_ = merged(settled_, other.nonzero());
}

std::vector<Histogram::BinCount> Histogram::nonzero() const {
  if (!table_) return settled_;
  // The exponents from `first` to before `end`, grown from that of 1 both ways until no value is missing:
  // pages of the table that no value has touched are better left alone. Exponent 0 has the zeros.
  const auto at = [&](std::uint32_t sign, std::uint32_t exponent) {
    return table_.get() + (sign | exponent << mantissa_bits);
  };
  const auto values_of = [&](std::uint32_t exponent) {
    std::uint64_t sum = 0;
    for (const std::uint32_t sign : {0u, sign_bit}) {
      sum = std::accumulate(at(sign, exponent), at(sign, exponent) + (1u << mantissa_bits), sum);
    }
    return sum;
  };
  std::uint64_t found = values_of(0);
  std::uint32_t first = 127, end = 127;
  while (found < in_table_ && (first > 1 || end < 256)) {
    if (end < 256) found += values_of(end++);
    if (first > 1) found += values_of(--first);
  }

  std::vector<BinCount> counted;
  const auto list = [&](std::uint32_t begin_bin, std::uint32_t end_bin) {
    for (std::uint32_t block = begin_bin; block < end_bin; block += 16) {
      std::uint32_t any = 0;
      for (std::uint32_t i = 0; i < 16; ++i) any |= table_[block + i];
      for (std::uint32_t i = block; any != 0 && i < block + 16; ++i) {
        if (table_[i] != 0) counted.emplace_back(i, table_[i]);
      }
    }
  };
  for (const std::uint32_t sign : {0u, sign_bit}) {
    list(sign, sign + (1u << mantissa_bits));
    list(sign + (first << mantissa_bits), sign + (end << mantissa_bits));
  }
  if (table_[sign_bit] != 0) collapse(counted);
  return settled_.empty() ? counted : merged(settled_, counted);
}

Histogram Histogram::from_bins(std::vector<BinCount> counts) {
  for (const auto& entry : counts) {
    if (entry.first >= bins) throw std::out_of_range("histogram bin " + std::to_string(entry.first));
  }
  Histogram histogram;
  collapse(counts);
  histogram.settled_ = std::move(counts);
  return histogram;
}

Histogram Histogram::of(const std::vector<float>& values) {
  std::vector<BinCount> counts;
  counts.reserve(values.size());
  for (const float value : values) counts.emplace_back(bin_of(value), 1);
  return from_bins(std::move(counts));
}

std::uint64_t Histogram::count_if_index(bool (*wanted)(std::uint32_t)) const {
  std::uint64_t sum = 0;
  for (const auto& entry : settled_) sum += wanted(entry.first) ? entry.second : 0;
  if (!table_) return sum;
  for (const std::uint32_t sign : {0u, sign_bit}) {
    for (std::uint32_t i = sign | infinity_bin; i <= (sign | magnitude_mask); ++i) {
      if (wanted(i)) sum += table_[i];
    }
  }
  return sum;
}

std::uint64_t Histogram::infinities() const {
  return count_if_index(is_infinity);
}
std::uint64_t Histogram::nans() const {
  return count_if_index(is_nan);
}

std::uint64_t Histogram::total() const {
  std::uint64_t sum = in_table_;
  for (const auto& entry : settled_) sum += entry.second;
  return sum;
}

std::vector<Histogram::Bin> Histogram::sorted() const {
  std::vector<Bin> ordered;
  for (const auto& [index, count] : in_value_order(nonzero())) ordered.push_back(edges(index, count));
  return ordered;
}

std::vector<std::uint32_t> Histogram::sorted_indices() const {
  std::vector<std::uint32_t> ordered;
  for (const auto& entry : in_value_order(nonzero())) ordered.push_back(entry.first);
  return ordered;
}

float Histogram::percentile(double p, float min, float max) const {
  if (!(p >= 0 && p <= 100)) throw std::invalid_argument("percentile outside [0, 100]");
  const std::vector<Bin> ordered = sorted();
  std::uint64_t n = 0;
  for (const Bin& bin : ordered) n += bin.count;
  if (n == 0) return 0.0f;

  const double rank = p / 100.0 * static_cast<double>(n - 1);
  const auto below = std::min(static_cast<std::uint64_t>(rank), n - 1);
  std::size_t bin = 0;
  std::uint64_t before = 0;  // values in bins below `bin`
  const auto order_statistic = [&](std::uint64_t k) -> double {
    if (k == 0) return min;
    if (k == n - 1) return max;
    while (before + ordered[bin].count <= k) before += ordered[bin++].count;
    const double lower = std::max(ordered[bin].lower, min);
    const double upper = std::min(ordered[bin].upper, max);
    const double share = (static_cast<double>(k - before) + 0.5) / static_cast<double>(ordered[bin].count);
    return lower + (upper - lower) * share;
  };
  const double low = order_statistic(below);
  if (below + 1 >= n) return static_cast<float>(low);
  const double high = order_statistic(below + 1);
  return static_cast<float>(low + (high - low) * (rank - static_cast<double>(below)));
}

}  // namespace outlierlab
