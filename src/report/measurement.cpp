#include "report/measurement.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "report/inference.h"

namespace outlierlab {

std::string format_number(double value) {
  const double size = std::fabs(value);
  if (size >= 10 && size < 10000) return fmt::format("{:.2f}", value);
  if (size >= 10000 && size < 1e7) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::string without_layer(const std::string& site) {
  if (site.rfind("layer.", 0) != 0) return site;
  const auto dot = site.find('.', 6);
  return dot == std::string::npos ? site : site.substr(dot + 1);
}

double Measurement::estimate() const {
  return fixed ? fixed->estimate : mean_sd(drawn).first;
}

std::optional<std::pair<double, double>> Measurement::interval() const {
  if (fixed) {
    if (!fixed->ci_low) return std::nullopt;
    return std::pair(*fixed->ci_low, *fixed->ci_high);
  }
  if (drawn.size() < 2) return std::nullopt;
  return student_interval(drawn);
}

std::string Measurement::text() const {
  std::string text;
  if (fixed) {
    text = format_number(fixed->estimate);
    if (fixed->ci_low) {
      text += " [" + format_number(*fixed->ci_low) + ", " + format_number(*fixed->ci_high) + "]";
    }
  }
  if (!drawn.empty()) {
    const auto [mean, sd] = mean_sd(drawn);
    if (fixed) text += "; ";
    text += format_number(mean);
    if (drawn.size() > 1) text += " ± " + format_number(sd);
    text += fmt::format(" ({} seed{})", drawn.size(), drawn.size() == 1 ? "" : "s");
  }
  return text;
}

std::vector<Measurement> measurements(const std::vector<Row>& rows) {
  std::vector<Measurement> all;
  std::map<std::string, std::size_t> index;
  for (const Row& row : rows) {
    Row unseeded = row;
    unseeded.seed = 0;
    const auto [found, is_new] = index.emplace(unseeded.key(), all.size());
    if (is_new) all.push_back({row.variant, row.parameter, row.value, row.metric, std::nullopt, {}});
    Measurement& measurement = all[found->second];
    if (row.seed == 0) {
      measurement.fixed = row;
    } else {
      measurement.drawn.push_back(row.estimate);
    }
  }
  return all;
}

}  // namespace outlierlab
