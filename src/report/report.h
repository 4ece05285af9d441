#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "report/clipping.h"
#include "report/figure.h"
#include "report/results.h"
#include "report/run_record.h"
#include "report/table.h"
#include "report/verdicts.h"

namespace outlierlab {

/// An experiment as a report introduces it. The texts come from the registry of experiments, which this
/// library does not know.
struct ExperimentInfo {
  std::string name;
  std::string claims;    ///< "C2, C3"
  std::string question;  ///< what is asked
  std::string summary;   ///< what is measured, in one line
  bool expected =
      true;  ///< of every model; otherwise it has a section where there are results, and no reminder
};

/// One experiment on one model.
struct ExperimentReport {
  std::string name;
  std::string reading;              ///< in two sentences
  std::vector<Table> tables;        ///< the first sums up; titled by experiment
  std::string command;              ///< makes the rows again
  std::optional<RunRecord> record;  ///< how they were made; none if the JSON file is missing
};

/// What a report says about one model on one task. Output formats (Markdown, HTML) only lay it out.
struct ModelReport {
  std::string name;    ///< "demo-planted on demo (planted)"
  std::string folder;  ///< ResultSet::name
  std::string model, task;
  bool planted = false;
  std::vector<Verdict> verdicts;  ///< by claim
  std::vector<ExperimentReport> experiments;
  std::optional<ClippingExample> clipping;

  const ExperimentReport* find(const std::string& experiment) const;  ///< null if it was not run
};

struct Report {
  std::vector<ModelReport> models;
  std::vector<ExperimentInfo> experiments;  ///< in the order of their sections
  std::vector<Figure> figures;
  std::vector<SkippedFigure> skipped;
};

ModelReport make_report(const ResultSet& results);

/// The experiments to report on: the known ones, run or not (unless they are not expected and nobody has
/// results of them), then others that some model has results of.
std::vector<ExperimentInfo> experiments_of(const std::vector<ModelReport>& models,
                                           const std::vector<ExperimentInfo>& known);

/// The tables of one experiment: a line per (variant, parameter, value), a column per metric, and the paper's
/// figure where it has one. Rows by layer, site or rank stand in tables of their own, after the largest
/// values over the layers.
std::vector<Table> experiment_tables(const std::string& experiment, const std::vector<Row>& rows);

/// Claims against models: the verdicts at a glance.
Table verdict_overview(const std::vector<ModelReport>& reports);

/// The index in `models` that a reader should see first: of those with the most experiments the one on which
/// most claims could be judged; models without planted outliers before planted ones; else the first.
std::size_t leading_model(const std::vector<ModelReport>& models);

/// The whole report as Markdown, verdicts first. Figures are linked relative to `folder`, which receives the
/// file.
std::string report_markdown(const Report& report, const std::filesystem::path& folder = ".");

/// The same as one HTML file that needs nothing beside it: figures inline, an interactive figure on clipping,
/// style and script inside. Well-formed XML, too. The figures' SVG files are read.
std::string report_html(const Report& report);

}  // namespace outlierlab
