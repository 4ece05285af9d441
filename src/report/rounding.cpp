#include "report/rounding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "report/coverage.h"
#include "report/loss.h"

namespace outlierlab {

namespace {

std::vector<std::string> schemes_of(const std::vector<Measurement>& all) {
  std::vector<std::string> names;
  for (const Measurement& m : all) {
    if (std::find(names.begin(), names.end(), m.variant) == names.end()) names.push_back(m.variant);
  }
  return names;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// Where each half of a layer ends, and what stands before and behind the layers.
bool shown(const std::string& site) {
  return site == "embeddings.norm" || site == "pooler" || ends_with(site, ".ffn_input") ||
         ends_with(site, ".output");
}

std::vector<std::string> shown_sites(const std::vector<Measurement>& all) {
  std::vector<std::string> sites;
  for (const Measurement& m : all) {
    if (m.parameter == "site" && shown(m.value) &&
        std::find(sites.begin(), sites.end(), m.value) == sites.end())
      sites.push_back(m.value);
  }
  return sites;
}

std::optional<std::uint64_t> count_of(const Measurement& m) {
  return m.fixed ? m.fixed->n : std::nullopt;
}

/// Small shares keep a digit that is not 0.
std::string share_text(double percent) {
  if (percent == 0) return "0";
  return percent < 0.01 ? fmt::format("{:.1g}", percent) : fmt::format("{:.2f}", percent);
}

}  // namespace

std::string read_rounding(const std::vector<Measurement>& all) {
  std::string text;
  const std::vector<std::string> sites = shown_sites(all);
  for (const std::string& scheme : schemes_of(all)) {
    const Measurement* const simulation = find_measurement(all, scheme, "", "", "float32_exact_agreement");
    const Measurement* const engine = find_measurement(all, scheme, "", "", "engine_exact_agreement");
    if (!simulation) continue;
    const Measurement* first = nullptr;
    for (const Measurement& m : all) {
      if (m.variant == scheme && m.metric == "values_moved" && m.estimate() > 0) {
        first = &m;
        break;
      }
    }
    const auto last = std::find_if(sites.rbegin(), sites.rend(),
                                   [](const std::string& site) { return ends_with(site, ".output"); });
    const Measurement* const end =
        last == sites.rend() ? nullptr : find_measurement(all, scheme, "site", *last, "values_moved");
    if (!text.empty()) text += " ";
    text += fmt::format("{}: ", scheme);
    if (first && count_of(*first) && end) {
      const auto n = static_cast<double>(*count_of(*first));
      text += fmt::format(
          "float32 and double precision first differ at {}, in {:.0f} of {} values, and at {} in {} %; ",
          first->value, std::round(first->estimate() / 100 * n), count_with_commas(*count_of(*first)),
          end->value, share_text(end->estimate()));
    }
    text += fmt::format("{:.2f} % of the predictions are equal", simulation->estimate());
    if (engine) text += fmt::format(", and {:.2f} % of the integer engine's", engine->estimate());
    text += ".";
  }
  return text.empty() ? "No scheme has been compared yet." : text;
}

std::vector<Table> rounding_tables(const std::vector<Measurement>& all) {
  const std::vector<std::string> schemes = schemes_of(all);
  Table predictions{"rounding: predictions that equal those of double precision (%)",
                    {"scheme", "simulation in float32", "integer engine", "its accuracy (points)"},
                    {}};
  const auto cell = [&](const std::string& scheme, const std::string& metric, const char* format) {
    const Measurement* const m = find_measurement(all, scheme, "", "", metric);
    return m ? fmt::format(fmt::runtime(format), m->estimate()) : std::string("-");
  };
  for (const std::string& scheme : schemes)
    predictions.rows.push_back({scheme, cell(scheme, "float32_exact_agreement", "{:.2f}"),
                                cell(scheme, "engine_exact_agreement", "{:.2f}"),
                                cell(scheme, "engine_accuracy_change", "{:+.2f}")});
  Table values{"rounding: values that float32 and double precision do not have in common (%), by site",
               {"site"},
               {},
               true};
  values.columns.insert(values.columns.end(), schemes.begin(), schemes.end());
  for (const std::string& site : shown_sites(all)) {
    std::vector<std::string> line = {site};
    for (const std::string& scheme : schemes) {
      const Measurement* const m = find_measurement(all, scheme, "site", site, "values_moved");
      line.push_back(m ? share_text(m->estimate()) : "-");
    }
    values.rows.push_back(std::move(line));
  }
  std::vector<Table> tables = {predictions};
  if (!values.rows.empty()) tables.push_back(std::move(values));
  return tables;
}

}  // namespace outlierlab
