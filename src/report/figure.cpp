#include "report/figure.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/files.h"
#include "report/coverage.h"
#include "report/figures/drawing.h"
#include "report/figures/gnuplot.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

using Sets = std::vector<const ResultSet*>;

std::string file_name(const FigureEntry& entry, const ResultSet& set) {
  return entry.side_by_side ? entry.kind.name : entry.kind.name + "-" + set.name;
}

/// The experiments whose rows or data a result set lacks.
std::vector<std::string> missing_experiments(const FigureKind& kind, const ResultSet& set) {
  std::vector<std::string> missing;
  for (const std::string& name : kind.experiments) {
    if (set.rows(name).empty()) missing.push_back(name);
  }
  for (const std::string& name : kind.data) {
    const std::string experiment = name.substr(0, name.find('-'));
    if (set.data.count(name) == 0 && std::find(missing.begin(), missing.end(), experiment) == missing.end()) {
      missing.push_back(experiment);
    }
  }
  return missing;
}

std::string how_to_run(const std::vector<std::string>& experiments, const ResultSet& set) {
  return "run: " + run_command(experiments, set);
}

std::string script_of(const Drawing& drawing, const std::string& name, const std::string& command) {
  std::string script = fmt::format(
      "# {0}\n# Made by: {1}\n# To restyle it, edit this script or theme.gp, then run here: gnuplot {2}.gp\n"
      "load 'theme.gp'\nname = {3}\ndata = name . '.tsv'\n\ndo for [format in formats] {{\n"
      "eval(page(format, {4}, {5}))\nset output name . '.' . format\n",
      drawing.title, command, name, literal(name), drawing.width, drawing.height);
  const bool several = drawing.panels.size() > 1;
  if (several) script += "set multiplot\n";
  for (const std::string& panel : drawing.panels) script += "\nload 'theme.gp'\n" + panel;
  return script + (several ? "\nunset multiplot\n" : "\n") + "}\nset output\n";
}

std::string table_of(const Drawing& drawing) {
  const auto line = [](const std::vector<std::string>& fields) {
    std::string text;
    for (const std::string& field : fields) text += (text.empty() ? "" : "\t") + field;
    return text + "\n";
  };
  std::string tsv = line(drawing.columns);
  for (const auto& fields : drawing.data) tsv += line(fields);
  return tsv;
}

/// " n = 5,463." of what the figure rests on; by model where there are several.
std::string coverage_caption(const FigureEntry& entry, const Sets& sets) {
  std::string text;
  for (const ResultSet* set : sets) {
    const std::string found = coverage_of(*set, entry.kind.experiments.front()).text();
    if (found.empty()) continue;
    text += (text.empty() ? " " : "; ") + (sets.size() > 1 ? set->model + ": " : "") + found;
  }
  if (text.empty()) return "";
  return " Evaluated:" + text + ".";
}

Figure render(const FigureEntry& entry, const Sets& sets, const Drawing& drawing, const fs::path& folder) {
  const ResultSet& set = *sets.front();
  const std::string name = file_name(entry, set);
  const auto file = [&](const char* extension) { return folder / (name + extension); };
  Figure figure{name,
                entry.kind.experiments.front(),
                entry.kind.experiments.front(),
                "",
                drawing.title,
                drawing.caption + (drawing.tells_examples ? "" : coverage_caption(entry, sets)),
                file(".svg"),
                file(".pdf"),
                file(".png"),
                "outlierlab report --figure " + name};
  if (entry.side_by_side)
    figure.experiment = "overview";
  else
    figure.model = set.name;
  write_file_atomically(file(".tsv"), table_of(drawing));
  write_file_atomically(file(".gp"), script_of(drawing, name, figure.command));
  run_gnuplot(file(".gp"));
  write_file_atomically(figure.pdf, without_time(read_file(figure.pdf)));
  write_file_atomically(figure.svg,
                        for_the_web(read_file(figure.svg), drawing.title, drawing.width, drawing.height));
  return figure;
}

/// The result sets of each drawing: all of them, or one.
std::vector<Sets> groups(const FigureEntry& entry, const Sets& complete) {
  if (complete.empty()) return {};
  if (entry.side_by_side) return {complete};
  std::vector<Sets> each;
  for (const ResultSet* set : complete) each.push_back({set});
  return each;
}

void check_names(const std::vector<std::string>& only, const std::vector<ResultSet>& results) {
  std::vector<std::string> known;
  for (const FigureEntry& entry : figure_entries()) known.push_back(entry.kind.name);
  for (const std::string& name : only) {
    bool found = std::find(known.begin(), known.end(), name) != known.end();
    for (const FigureEntry& entry : figure_entries()) {
      for (const ResultSet& set : results) found = found || file_name(entry, set) == name;
    }
    if (!found) fail_unknown("figure", name, known);
  }
}

/// By the figure's name, or by that of one of its files.
bool is_wanted(const std::vector<std::string>& only, const FigureEntry& entry, const ResultSet& set) {
  const auto named = [&](const std::string& name) {
    return std::find(only.begin(), only.end(), name) != only.end();
  };
  return only.empty() || named(entry.kind.name) || named(file_name(entry, set));
}

/// Whether the lack of a figure is worth a word: not of one that was neither asked for nor expected.
bool is_missed(const std::vector<std::string>& only, const FigureEntry& entry, const ResultSet& set) {
  return is_wanted(only, entry, set) && (entry.kind.expected || !only.empty());
}

}  // namespace

std::vector<FigureKind> figure_kinds() {
  std::vector<FigureKind> kinds;
  for (const FigureEntry& entry : figure_entries()) kinds.push_back(entry.kind);
  return kinds;
}

std::vector<Figure> make_figures(const std::vector<ResultSet>& results, const fs::path& folder,
                                 const std::vector<std::string>& only, std::vector<SkippedFigure>* skipped) {
  check_names(only, results);
  write_file_atomically(folder / "theme.gp", theme_script());
  std::vector<Figure> figures;
  const auto skip = [&](const FigureEntry& entry, const ResultSet& set, const std::string& reason) {
    if (skipped && is_missed(only, entry, set)) skipped->push_back({file_name(entry, set), reason});
  };
  for (const FigureEntry& entry : figure_entries()) {
    Sets complete;
    for (const ResultSet& set : results) {
      const std::vector<std::string> missing = missing_experiments(entry.kind, set);
      if (missing.empty()) {
        complete.push_back(&set);
      } else {
        skip(entry, set, set.name + ": " + how_to_run(missing, set));
      }
    }
    for (const Sets& sets : groups(entry, complete)) {
      const ResultSet& set = *sets.front();
      if (!is_wanted(only, entry, set)) continue;
      if (const std::optional<Drawing> drawing = entry.make(sets)) {
        figures.push_back(render(entry, sets, *drawing, folder));
      } else {
        skip(entry, set,
             set.name + ": rows are missing; " + how_to_run(entry.kind.experiments, set) + " --resume");
      }
    }
  }
  return figures;
}

}  // namespace outlierlab
