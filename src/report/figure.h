#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/results.h"

namespace outlierlab {

/// A figure that was made: its files, and what a report says about it.
struct Figure {
  std::string name;                     ///< "peg", as in `--figure peg`; per model "peg-demo-planted"
  std::string experiment;               ///< in whose section of a report it belongs; "overview" for the first
  std::string rests_on;                 ///< the first of the experiments that it needs
  std::string model;                    ///< the result set it shows (ResultSet::name); empty: all of them
  std::string title;                    ///< what the figure asks or shows, a few words
  std::string caption;                  ///< one or two sentences, derived from the rows
  std::filesystem::path svg, pdf, png;  ///< written by gnuplot from <name>.gp and <name>.tsv beside them
  std::string command;                  ///< makes it again: "outlierlab report --figure peg"
};

/// A figure that could not be made.
struct SkippedFigure {
  std::string name;
  std::string reason;  ///< one line that names the experiment to run
};

/// What a registered figure needs and shows.
struct FigureKind {
  std::string name;
  std::string summary;                   ///< one line
  std::vector<std::string> experiments;  ///< all are needed
  std::vector<std::string> data;         ///< the data beside their rows: "activations-channels"
  bool expected = true;                  ///< of every model: where it cannot be made, that is said
};

/// All figures in the order of the report.
std::vector<FigureKind> figure_kinds();

/// Makes the figures named by `only` (all if empty) in `folder`: data (.tsv) and gnuplot script (.gp), and
/// from these PDF, SVG and PNG. Figures whose experiments are missing are left out and named in `skipped`.
/// The bytes of .tsv and .gp depend on the results alone. Throws UsageError for an unknown name, Error if
/// gnuplot is missing or fails.
std::vector<Figure> make_figures(const std::vector<ResultSet>& results, const std::filesystem::path& folder,
                                 const std::vector<std::string>& only = {},
                                 std::vector<SkippedFigure>* skipped = nullptr);

}  // namespace outlierlab
