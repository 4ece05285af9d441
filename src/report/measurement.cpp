#include "report/measurement.h"

#include <fmt/format.h>

#include <algorithm>
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

static const char* const p_value = "mcnemar_p";

/// "54.10 ± 0.32": shares in percent to two decimals, others to the deviation's second digit, or the mean's
/// sixth.
static std::string mean_and_sd(const std::string& metric, const std::vector<double>& values) {
  const auto [mean, sd] = mean_sd(values);
  if (metric == "accuracy" || metric == "agreement")
    return values.size() > 1 ? fmt::format("{:.2f} ± {:.2f}", mean, sd) : fmt::format("{:.2f}", mean);
  if (values.size() == 1) return format_number(mean);
  if (sd == 0 || mean == 0) return format_number(mean) + " ± " + format_number(sd);
  const int of_mean = static_cast<int>(std::floor(std::log10(std::fabs(mean)))),
            of_sd = static_cast<int>(std::floor(std::log10(sd)));
  const int last = std::max(of_sd - 1, of_mean - 5);  // the power of ten of the last digit
  if (of_mean >= -4)
    return fmt::format("{:.{}f} ± {:.{}f}", mean, std::max(0, -last), sd, std::max(0, -last));
  return fmt::format("{:.{}e} ± {:.{}e}", mean, std::max(0, of_mean - last), sd, std::max(0, of_sd - last));
}

double Measurement::estimate() const {
  if (fixed) return fixed->estimate;
  // A mean of p-values is none.
  return metric == p_value ? *std::max_element(drawn.begin(), drawn.end()) : mean_sd(drawn).first;
}

std::optional<std::pair<double, double>> Measurement::interval() const {
  if (fixed) {
    if (!fixed->ci_low) return std::nullopt;
    return std::pair(*fixed->ci_low, *fixed->ci_high);
  }
  if (drawn.size() < 2 || metric == p_value) return std::nullopt;
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
    if (fixed) text += "; ";
    if (metric == p_value) {
      text +=
          (drawn.size() > 1 ? "at most " : "") + format_number(*std::max_element(drawn.begin(), drawn.end()));
    } else {
      text += mean_and_sd(metric, drawn);
    }
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
