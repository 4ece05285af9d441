#include <algorithm>

#include "report/report.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t longest_open_table = 30;  // rows; longer ones are folded

std::string link(const fs::path& file, const fs::path& folder) {
  std::string text;
  for (const char c : fs::absolute(file).lexically_proximate(fs::absolute(folder)).generic_string())
    text += c == ' ' ? std::string("%20") : std::string(1, c);
  return text;
}

std::string figures(const Report& report, const std::string& experiment, const fs::path& folder) {
  std::string text;
  for (const Figure& figure : report.figures) {
    if (figure.experiment != experiment) continue;
    text += "![" + figure.title + "](" + link(figure.png, folder) + ")\n\n**" + figure.title + "** " +
            figure.caption + " ([PDF](" + link(figure.pdf, folder) + "), `" + figure.command + "`)\n\n";
  }
  return text;
}

std::string foldable(const Table& table) {
  if (table.rows.size() <= longest_open_table) return to_markdown(table) + "\n";
  Table untitled = table;
  untitled.title.clear();
  return "<details><summary>" + table.title + " (" + std::to_string(table.rows.size()) +
         " rows)</summary>\n\n" + to_markdown(untitled) + "\n</details>\n\n";
}

std::string experiment_section(const Report& report, const ExperimentInfo& info, const fs::path& folder) {
  std::string text = "## " + info.name + (info.claims.empty() ? "" : " (" + info.claims + ")") + "\n\n" +
                     (info.question.empty() ? "" : info.question + " Measured: " + info.summary + ".\n\n") +
                     figures(report, info.name, folder);
  for (const ModelReport& model : report.models) {
    const ExperimentReport* experiment = model.find(info.name);
    if (!experiment && !info.expected) continue;
    text += "### " + info.name + ": " + model.name + "\n\n";
    if (!experiment) {
      text += "Not run: `outlierlab run " + info.name + " --model " + model.model + " --task " + model.task +
              "`\n\n";
      continue;
    }
    text += experiment->reading + "\n\n    " + experiment->command + "\n\n";
    for (const Table& table : experiment->tables) text += foldable(table);
  }
  return text;
}

}  // namespace

std::string report_markdown(const Report& report, const fs::path& folder) {
  std::string text =
      "# Results\n\n"
      "The claims of *Activation Outliers in Transformer Quantization* (arXiv 2603.04308; BERT-base on QNLI) "
      "against the\n"
      "models measured here. Accuracy is in percent with its Wilson 95 % interval; n counts the evaluated "
      "examples; ± is\n"
      "the standard deviation over seeds; of McNemar's p the largest over seeds is given instead. A planted "
      "model was given\n"
      "its outliers on purpose. The best of several settings was chosen on the examples that it is evaluated "
      "on.\n\n"
      "## Verdicts\n\n" +
      to_markdown(verdict_overview(report.models)) + "\n" + figures(report, "overview", folder);
  for (const ModelReport& model : report.models) {
    text += "### Verdicts: " + model.name + "\n\n" + to_markdown(verdict_table(model.verdicts)) + "\n";
  }
  for (const ExperimentInfo& info : experiments_of(report.models, report.experiments)) {
    text += experiment_section(report, info, folder);
  }
  text.pop_back();
  return text;
}

}  // namespace outlierlab
