#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iostream>

#include "app/commands.h"
#include "app/options.h"
#include "app/resources.h"
#include "core/error.h"
#include "experiments/experiments.h"
#include "quant/calibrator.h"
#include "quant/transform.h"
#include "quant/weight_quantizer.h"
#include "report/figure.h"

namespace outlierlab {

namespace {

struct Kind {
  std::string name;
  std::function<std::vector<Listing>()> entries;
};

template <typename Registry>
std::vector<Listing> registered(const Registry& registry) {
  std::vector<Listing> all;
  for (const auto& entry : registry) all.push_back({entry.name, entry.summary});
  return all;
}

std::vector<Listing> listed_experiments() {
  std::vector<Listing> all;
  for (const Experiment& e : experiments()) {
    all.push_back({e.name, e.claims.empty() ? e.summary : e.claims + ": " + e.summary});
  }
  return all;
}

std::vector<Listing> listed_figures() {
  std::vector<Listing> all;
  for (const FigureKind& kind : figure_kinds()) all.push_back({kind.name, kind.summary});
  return all;
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"experiments", listed_experiments},
      {"calibrators", [] { return registered(calibrators()); }},
      {"weights", [] { return registered(weight_quantizers()); }},
      {"transforms", [] { return registered(transforms()); }},
      {"schemes", [] { return list_configs("schemes"); }},
      {"models", [] { return list_configs("models"); }},
      {"tasks", [] { return list_configs("tasks"); }},
      {"figures", listed_figures},
  };
  return all;
}

void print(const std::vector<Listing>& entries, const std::string& indent) {
  std::size_t width = 0;
  for (const Listing& entry : entries) width = std::max(width, entry.name.size());
  for (const Listing& entry : entries) {
    std::cout << fmt::format("{}{:<{}}  {}\n", indent, entry.name, width, entry.summary);
  }
  if (entries.empty()) std::cout << indent << "(none)\n";
}

}  // namespace

int command_list(const std::vector<std::string>& arguments) {
  std::vector<std::string> known, asked;
  std::string known_text;
  for (const Kind& kind : kinds()) {
    known.push_back(kind.name);
    known_text += (known_text.empty() ? "" : ", ") + kind.name;
  }
  Options options("list", "Lists what can be named on the command line and in INI files, with one line each.",
                  "outlierlab list calibrators");
  options.positional("KIND", known_text + "; without it, all of them", &asked, 0, 1);
  if (!options.parse(arguments)) return 0;
  if (!asked.empty() && std::find(known.begin(), known.end(), asked[0]) == known.end()) {
    fail_unknown("kind", asked[0], known);
  }
  for (const Kind& kind : kinds()) {
    if (asked.empty()) {
      std::cout << kind.name << ":\n";
      print(kind.entries(), "  ");
    } else if (asked[0] == kind.name) {
      print(kind.entries(), "");
    }
  }
  return 0;
}

}  // namespace outlierlab
