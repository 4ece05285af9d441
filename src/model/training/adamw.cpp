#include "model/training/adamw.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"

namespace outlierlab {

namespace {

constexpr std::size_t chunk = 1 << 16;

/// Sums of squares by chunk, added in order.
double norm(const float* values, std::size_t count) {
  std::vector<double> parts((count + chunk - 1) / chunk);
  parallel_chunks(count, chunk, [&](std::size_t begin, std::size_t end, int) {
    // Eight sums, so that additions need not wait for each other.
    double sums[8] = {};
    std::size_t i = begin;
    for (; i + 8 <= end; i += 8) {
      for (std::size_t k = 0; k < 8; ++k) sums[k] += static_cast<double>(values[i + k]) * values[i + k];
    }
    for (; i < end; ++i) sums[0] += static_cast<double>(values[i]) * values[i];
    double total = 0;
    for (const double sum : sums) total += sum;
    parts[begin / chunk] = total;
  });
  double total = 0;
  for (const double part : parts) total += part;
  return std::sqrt(total);
}

}  // namespace

AdamW::AdamW(std::size_t size, std::vector<Range> decayed, const Settings& settings)
    : decayed_(std::move(decayed)), settings_(settings), first_(size, 0.0f), second_(size, 0.0f) {}

double AdamW::step(float* values, const float* gradients, std::size_t step, double learning_rate) {
  const std::size_t size = first_.size();
  const double gradient_norm = norm(gradients, size);
  const auto clip = static_cast<float>(std::min(1.0, settings_.gradient_clip / (gradient_norm + 1e-6)));
  const auto keep = static_cast<float>(1 - learning_rate * settings_.weight_decay);
  for (const Range& range : decayed_) {
    parallel_chunks(range.end - range.begin, chunk, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = range.begin + begin; i < range.begin + end; ++i) values[i] *= keep;
    });
  }
  const double power = static_cast<double>(step) + 1;
  const double correction1 = 1 - std::pow(settings_.beta1, power);
  const double correction2 = 1 - std::pow(settings_.beta2, power);
  const auto beta1 = static_cast<float>(settings_.beta1), beta2 = static_cast<float>(settings_.beta2);
  const auto rate = static_cast<float>(learning_rate / correction1);
  const auto root = static_cast<float>(1 / std::sqrt(correction2));
  const auto epsilon = static_cast<float>(settings_.epsilon);
  float* first = first_.data();
  float* second = second_.data();
  parallel_chunks(size, chunk, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      const float g = gradients[i] * clip;
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      values[i] -= rate * first[i] / (std::sqrt(second[i]) * root + epsilon);
    }
  });
  return gradient_norm;
}

}  // namespace outlierlab
