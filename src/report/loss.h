#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/measurement.h"

namespace outlierlab {

/// An accuracy in percent; without an interval of its own, the interval is the point.
struct Accuracy {
  double value = 0, low = 0, high = 0;
  std::string name;  ///< "peg groups=4"

  std::string label() const;  ///< "peg groups=4 86.18"
};
bool overlap(const Accuracy& a, const Accuracy& b);

const Measurement* find_measurement(const std::vector<Measurement>& all, const std::string& variant,
                                    const std::string& parameter, const std::string& value,
                                    const std::string& metric);
Accuracy accuracy_of(const Measurement& measurement);
/// All accuracies of a variant, in the order of the rows.
std::vector<Accuracy> accuracies(const std::vector<Measurement>& all, const std::string& variant);
/// The highest (the first on a tie); `all` must not be empty.
const Accuracy& best(const std::vector<Accuracy>& all);
/// What a mention of the best must add where others reach the same: " and 3 others alike"; empty if none
/// does.
std::string alike(const std::vector<Accuracy>& all);

/// What W8A8 lost, by the rows of one experiment's file.
struct Loss {
  Accuracy fp32, w8a8;
  std::optional<double> p;  ///< McNemar's

  double size() const { return fp32.value - w8a8.value; }
  /// McNemar's p < 0.01, or, where there is no p, intervals that do not overlap.
  bool significant() const;
  /// Below twice the width of FP32's interval, shares of the loss are uncertain by a quarter or more.
  bool resolves_shares() const { return size() >= 2 * (fp32.high - fp32.low); }
  /// Share of the loss that a variant makes good.
  double recovery(const Accuracy& a) const { return (a.value - w8a8.value) / size(); }
  std::string text() const;
  std::string recovered(const Accuracy& a) const;  ///< "peg groups=4 86.18 (recovers 90 %)"
};

/// From fp32 and w8a8 (else minmax, which is the same scheme by its calibrator's name); none if one is
/// missing.
std::optional<Loss> loss_of(const std::vector<Measurement>& all);

}  // namespace outlierlab
