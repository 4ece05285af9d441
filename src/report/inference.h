#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/matrix.h"

namespace outlierlab {

/// Wilson's score interval for k successes in n trials (Wilson 1927), as shares; `z` = 1.96 for 95 %. No
/// trials, or more successes than trials, throw Error.
std::pair<double, double> wilson_interval(std::uint64_t successes, std::uint64_t trials,
                                          double z = 1.959963984540054);

/// McNemar's exact test: two-sided binomial p for b against c discordant pairs (McNemar 1947).
double mcnemar_exact(std::uint64_t b, std::uint64_t c);

/// Mean over rows of KL(softmax(reference) || softmax(other)), in nats, computed in double. Shapes that
/// differ, no rows, NaN and Inf throw Error.
double mean_kl(const Matrix& reference_logits, const Matrix& other_logits);

/// Class of each row: index of the largest logit; the first on a tie. NaN throws Error.
std::vector<int> predictions(const Matrix& logits);

/// Mean and sample standard deviation (0 for a single value). No values throw Error.
std::pair<double, double> mean_sd(const std::vector<double>& values);

/// Two-sided 95 % interval of a mean by Student's t. Fewer than two values throw Error.
std::pair<double, double> student_interval(const std::vector<double>& values);

}  // namespace outlierlab
