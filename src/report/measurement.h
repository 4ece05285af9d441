#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/row.h"

namespace outlierlab {

/// One quantity of one experiment, with all its seeds.
struct Measurement {
  std::string variant, parameter, value, metric;
  std::optional<Row> fixed;   ///< the row with seed 0
  std::vector<double> drawn;  ///< the estimates with seeds > 0

  /// The row with seed 0, else the mean over seeds (of McNemar's p the largest); and the interval: the row's
  /// own, else Student's over two or more seeds, else none.
  double estimate() const;
  std::optional<std::pair<double, double>> interval() const;
  /// For tables: "54.33 [53.0, 55.6]", "54.10 +- 0.32 (5 seeds)", or both. Of McNemar's p the largest over
  /// seeds: "4.3e-37; at most 5.1e-37 (3 seeds)".
  std::string text() const;
};

/// Groups rows by (variant, parameter, value, metric), in order of first appearance.
std::vector<Measurement> measurements(const std::vector<Row>& rows);

/// "ffn_residual" for the site "layer.3.ffn_residual"; other names as they are.
std::string without_layer(const std::string& site);

/// A number at the precision that suits its size: 4 significant digits, two decimals from 10 to 10000,
/// none from there to ten million.
std::string format_number(double value);

}  // namespace outlierlab
