#include "report/trend.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace outlierlab {

std::vector<std::pair<double, double>> by_layer(const std::vector<Measurement>& all,
                                                const std::string& metric) {
  std::vector<std::pair<double, double>> points;
  for (const Measurement& m : all) {
    if (without_layer(m.variant) != "ffn_residual" || m.parameter != "layer" || m.metric != metric) continue;
    double layer = 0;
    const char* end = m.value.data() + m.value.size();
    if (std::from_chars(m.value.data(), end, layer).ptr != end || m.value.empty()) {
      fail_expected("activations: ffn_residual, " + metric, "a layer's number", "'" + m.value + "'");
    }
    points.emplace_back(layer, m.estimate());
  }
  std::sort(points.begin(), points.end());
  return points;
}

std::pair<double, double> highest(const std::vector<std::pair<double, double>>& points) {
  return *std::max_element(points.begin(), points.end(),
                           [](const auto& a, const auto& b) { return a.second < b.second; });
}

/// Ranks from 1; ties share their mean rank.
static std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<double> result;
  for (double v : values) {
    const auto below = std::count_if(values.begin(), values.end(), [v](double w) { return w < v; });
    const auto equal = std::count(values.begin(), values.end(), v);
    result.push_back(static_cast<double>(below) + (static_cast<double>(equal) + 1) / 2);
  }
  return result;
}

double spearman(const std::vector<std::pair<double, double>>& points) {
  std::vector<double> xs, ys;
  for (const auto& [x, y] : points) {
    xs.push_back(x);
    ys.push_back(y);
  }
  const std::vector<double> a = ranks(xs), b = ranks(ys);
  const double mean = (static_cast<double>(points.size()) + 1) / 2;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

/// 0 where the points are too few for a trend.
static double trend(const std::vector<std::pair<double, double>>& points) {
  return points.size() < 3 ? 0 : spearman(points);
}

bool rises(const std::vector<std::pair<double, double>>& points) {
  return trend(points) >= trend_rho;
}

std::string trend_word(const std::vector<std::pair<double, double>>& points) {
  if (rises(points)) return "rises";
  return trend(points) <= -trend_rho ? "falls" : "neither rises nor falls steadily";
}

}  // namespace outlierlab
