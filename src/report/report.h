#pragma once

#include <string>
#include <vector>

#include "report/results.h"
#include "report/table.h"
#include "report/verdicts.h"

namespace outlierlab {

/// What a report says about one model on one task. Output formats (Markdown; others beside it) only lay it
/// out.
struct ModelReport {
  std::string name;  ///< "demo-planted on demo (planted)"
  std::vector<Verdict> verdicts;
  std::vector<Table> tables;  ///< titled by experiment
};

ModelReport make_report(const ResultSet& results);

/// The tables of one experiment: a line per (variant, parameter, value), a column per metric, and the paper's
/// figure where it has one. Rows by layer, site or rank stand in tables of their own, after the largest
/// values over the layers.
std::vector<Table> experiment_tables(const std::string& experiment, const std::vector<Row>& rows);

/// Claims against models: the verdicts at a glance.
Table verdict_overview(const std::vector<ModelReport>& reports);

/// The whole report as Markdown, verdicts first.
std::string report_markdown(const std::vector<ModelReport>& reports);

}  // namespace outlierlab
