#include "report/inference.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace outlierlab {

std::pair<double, double> wilson_interval(std::uint64_t successes, std::uint64_t trials, double z) {
  if (trials == 0) throw Error("Wilson interval: expected at least one trial, found none");
  if (successes > trials) {
    fail_expected("Wilson interval", "at most " + std::to_string(trials) + " successes",
                  std::to_string(successes));
  }
  const double n = static_cast<double>(trials);
  const double share = static_cast<double>(successes) / n;
  const double denominator = 1 + z * z / n;
  const double centre = (share + z * z / (2 * n)) / denominator;
  const double half = z / denominator * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  // The ends are exact where every trial went one way; rounding must not move them.
  const double low = successes == 0 ? 0 : std::max(0.0, centre - half);
  const double high = successes == trials ? 1 : std::min(1.0, centre + half);
  return {low, high};
}

double mcnemar_exact(std::uint64_t b, std::uint64_t c) {
  if (b == c) return 1;
  const double n = static_cast<double>(b) + static_cast<double>(c);
  const double smaller = static_cast<double>(std::min(b, c));
  // P(X <= smaller) for X ~ Binomial(n, 1/2), summed downwards from its largest term until terms no longer
  // count.
  const double log_largest =
      std::lgamma(n + 1) - std::lgamma(smaller + 1) - std::lgamma(n - smaller + 1) - n * std::log(2.0);
  double sum = 1, term = 1;
  for (double k = smaller; k > 0 && term > 1e-18 * sum; --k) {
    term *= k / (n - k + 1);
    sum += term;
  }
  return std::min(1.0, 2 * std::exp(log_largest + std::log(sum)));
}

double mean_kl(const Matrix& reference_logits, const Matrix& other_logits) {
  const std::size_t rows = reference_logits.rows(), cols = reference_logits.cols();
  if (rows != other_logits.rows() || cols != other_logits.cols()) {
    fail_expected(
        "KL", "logits of one shape, [" + std::to_string(rows) + ", " + std::to_string(cols) + "]",
        "[" + std::to_string(other_logits.rows()) + ", " + std::to_string(other_logits.cols()) + "]");
  }
  if (rows == 0 || cols == 0) throw Error("KL: expected at least one row of logits, found none");
  const auto log_sum_exp = [cols](const float* row) {
    const double largest = *std::max_element(row, row + cols);
    double sum = 0;
    for (std::size_t c = 0; c < cols; ++c) sum += std::exp(row[c] - largest);
    return largest + std::log(sum);
  };
  double total = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const float* p = reference_logits.row(r);
    const float* q = other_logits.row(r);
    const double norm_p = log_sum_exp(p), norm_q = log_sum_exp(q);
    double divergence = 0;
    for (std::size_t c = 0; c < cols; ++c) {
      const double log_p = p[c] - norm_p;
      divergence += std::exp(log_p) * (log_p - (q[c] - norm_q));
    }
    if (!std::isfinite(divergence)) {
      fail_expected("KL", "finite logits", "NaN or Inf in row " + std::to_string(r));
    }
    total += std::max(0.0, divergence);  // below zero only by rounding
  }
  return total / static_cast<double>(rows);
}

std::vector<int> predictions(const Matrix& logits) {
  std::vector<int> classes(logits.rows());
  for (std::size_t r = 0; r < logits.rows(); ++r) {
    const float* row = logits.row(r);
    if (std::any_of(row, row + logits.cols(), [](float v) { return std::isnan(v); })) {
      fail_expected("predictions", "logits", "NaN in row " + std::to_string(r));
    }
    classes[r] = static_cast<int>(std::max_element(row, row + logits.cols()) - row);
  }
  return classes;
}

std::pair<double, double> mean_sd(const std::vector<double>& values) {
  if (values.empty()) throw Error("mean: expected at least one value, found none");
  const double n = static_cast<double>(values.size());
  double mean = 0;
  for (double v : values) mean += v / n;
  double squares = 0;
  for (double v : values) squares += (v - mean) * (v - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0};
}

/// P(|T| <= t) for Student's t with whole degrees of freedom: the finite sums of Abramowitz and
/// Stegun 26.7.3-4.
static double student_coverage(double t, std::size_t degrees) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double sine = std::sin(angle), cosine2 = std::cos(angle) * std::cos(angle);
  const bool odd = degrees % 2 == 1;
  double term = odd ? std::cos(angle) : 1, sum = 0;
  for (std::size_t k = odd ? 1 : 0; k + 2 <= degrees; k += 2) {
    sum += term;
    term *= cosine2 * static_cast<double>(k + 1) / static_cast<double>(k + 2);
  }
  return odd ? 2 / M_PI * (angle + sine * sum) : sine * sum;
}

static double student_quantile(double coverage, std::size_t degrees) {
  double low = 0, high = 1;
  while (student_coverage(high, degrees) < coverage) high *= 2;
  for (int i = 0; i < 100 && low < high; ++i) {
    const double middle = (low + high) / 2;
    (student_coverage(middle, degrees) < coverage ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::pair<double, double> student_interval(const std::vector<double>& values) {
  if (values.size() < 2) {
    fail_expected("interval of a mean", "at least two values", std::to_string(values.size()));
  }
  const auto [mean, sd] = mean_sd(values);
  const double half =
      student_quantile(0.95, values.size() - 1) * sd / std::sqrt(static_cast<double>(values.size()));
  return {mean - half, mean + half};
}

}  // namespace outlierlab
