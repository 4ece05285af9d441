#include "report/coverage.h"

#include "report/deployment.h"
#include "report/loss.h"

namespace outlierlab {

std::string count_with_commas(std::uint64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string Coverage::text() const {
  if (examples == 0) return limited ? "a part of the split" : "";
  if (!limited) return "n = " + count_with_commas(examples);
  const std::string first = "the first " + count_with_commas(examples);
  return first + (split > 0 ? " of " + count_with_commas(split) + " examples" : " examples of the split");
}

Coverage coverage_of(const ResultSet& results, const std::string& experiment) {
  Coverage coverage;
  std::uint64_t limit = 0;
  if (is_deployment(experiment) || experiment == "roofline") return coverage;
  if (const auto found = results.records.find(experiment); found != results.records.end()) {
    const RunRecord& record = found->second;
    limit = record.limit;
    coverage = {record.examples, record.split_examples, limit > 0};
  }
  const std::vector<Measurement> all = measurements(results.rows(experiment));
  const Measurement* fp32 = find_measurement(all, "fp32", "", "", "accuracy");
  if (fp32 && fp32->fixed && fp32->fixed->n) coverage.examples = *fp32->fixed->n;
  // A limit beyond the split limits nothing; where the split's size is told, it decides.
  if (coverage.examples > 0 && limit > coverage.examples) coverage.limited = false;
  if (coverage.split > 0 && coverage.examples > 0) coverage.limited = coverage.examples < coverage.split;
  return coverage;
}

std::uint64_t common_examples(const std::vector<Measurement>& all) {
  std::uint64_t common = 0;
  for (const Measurement& m : all) {
    if (m.metric != "accuracy" || !m.fixed) continue;
    if (!m.fixed->n || (common != 0 && common != *m.fixed->n)) return 0;
    common = *m.fixed->n;
  }
  return common;
}

}  // namespace outlierlab
