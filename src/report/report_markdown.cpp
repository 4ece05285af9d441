#include "report/report.h"

namespace outlierlab {

std::string report_markdown(const std::vector<ModelReport>& reports) {
  std::string text =
      "# Results\n\n"
      "The claims of *Activation Outliers in Transformer Quantization* (arXiv 2603.04308; BERT-base on QNLI) "
      "against the\n"
      "models measured here. Accuracy is in percent with its Wilson 95 % interval; ± is the standard "
      "deviation over\n"
      "seeds. A planted model was given its outliers on purpose.\n\n"
      "## Verdicts\n\n" +
      to_markdown(verdict_overview(reports));
  for (const ModelReport& report : reports) {
    text += "\n## " + report.name + "\n\n" + to_markdown(verdict_table(report.verdicts));
    for (const Table& table : report.tables) text += "\n" + to_markdown(table);
  }
  return text;
}

}  // namespace outlierlab
