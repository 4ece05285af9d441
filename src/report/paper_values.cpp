#include "report/paper_values.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace outlierlab {

namespace {
std::optional<double> as_number(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool same_value(const std::string& a, const std::string& b) {
  const auto x = as_number(a), y = as_number(b);
  return x && y ? *x == *y : a == b;
}
}  // namespace

std::string PaperValue::text() const {
  if (low != high) return fmt::format("{:g}-{:g}", low, high);
  return fmt::format("{}{:g}", at_most ? "up to " : "", low);
}

const std::vector<PaperValue>& paper_values() {
  static const std::vector<PaperValue> values = {
      {"C1", "baseline", "fp32", "", "", "accuracy", 89.66, 89.66},
      {"C1", "baseline", "w8a8", "", "", "accuracy", 54.33, 54.33},
      {"C2", "activations", "ffn_residual", "layer", "max", "kurtosis", 271, 271, true},
      {"C3", "activations", "ffn_residual", "layer", "max", "top1_energy", 55, 55},
      {"C4", "calibration", "fp32", "", "", "accuracy", 89.66, 89.66},
      {"C4", "calibration", "minmax", "", "", "accuracy", 54.33, 54.33},
      {"C4", "calibration", "percentile", "percentile", "99", "accuracy", 50.54, 50.54},
      {"C4", "calibration", "percentile", "percentile", "99.9", "accuracy", 50.54, 50.54},
      {"C4", "calibration", "percentile", "percentile", "99.99", "accuracy", 50.54, 50.54},
      {"C5", "mixed_precision", "fp32", "", "", "accuracy", 89.66, 89.66},
      {"C5", "mixed_precision", "w8a8", "", "", "accuracy", 54.33, 54.33},
      {"C5", "mixed_precision", "sites", "float", "x+h+y", "accuracy", 89.42, 89.42},
      {"C6", "peg", "fp32", "", "", "accuracy", 89.66, 89.66},
      {"C6", "peg", "w8a8", "", "", "accuracy", 54.33, 54.33},
      {"C6", "peg", "peg", "groups", "3", "accuracy", 66.12, 66.12},
      {"C6", "peg", "peg", "groups", "4", "accuracy", 86.18, 86.18},
      {"C7", "deployment", "w8a8", "", "", "latency_ms", 58, 59},
      {"C7", "deployment", "w8a8", "", "", "memory_mb", 484, 486},
  };
  return values;
}

const PaperValue* find_paper_value(const std::string& experiment, const std::string& variant,
                                   const std::string& parameter, const std::string& value,
                                   const std::string& metric) {
  for (const PaperValue& paper : paper_values()) {
    if (paper.experiment == experiment && paper.variant == variant && paper.parameter == parameter &&
        paper.metric == metric && same_value(paper.value, value)) {
      return &paper;
    }
  }
  return nullptr;
}

}  // namespace outlierlab
