#include "app/agreement.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "report/inference.h"

namespace outlierlab {

namespace {

std::vector<Batch> first_batches(const Evaluator& evaluator, std::size_t count) {
  const auto first = evaluator.examples().begin();
  return make_batches({first, first + static_cast<std::ptrdiff_t>(count)}, evaluator.options().batch_size);
}

double equal_predictions(const Matrix& a, const Matrix& b) {
  const std::vector<int> left = predictions(a), right = predictions(b);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < left.size(); ++i) equal += left[i] == right[i];
  return 100.0 * static_cast<double>(equal) / static_cast<double>(left.size());
}

double rms_difference(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(a.data()[i] - b.data()[i], 2.0);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

}  // namespace

bool Agreement::holds() const {
  if (whole_split)
    return predictions >= required_predictions && std::abs(accuracy_change) <= largest_accuracy_change;
  const double percent = static_cast<double>(examples) / 100;
  const double differing = (100 - predictions) * percent;
  const double allowed = (100 - required_predictions) * percent;
  constexpr double rounding = 1e-9;  // of counts made of percents
  if (differing > allowed + 3 * std::sqrt(allowed) + rounding) return false;
  // An unbiased engine turns as many predictions right as wrong, but for chance.
  const double turned = std::abs(accuracy_change) * percent;
  return turned <= std::max(largest_accuracy_change * percent, 3 * std::sqrt(differing)) + rounding;
}

std::string Agreement::required_text() {
  return fmt::format("{} % equal predictions and an accuracy within {} points (of a sample, but for chance)",
                     required_predictions, largest_accuracy_change);
}

std::string Agreement::text() const {
  const std::string floats =
      float32_predictions ? fmt::format(" ({:.2f} % of the simulation's in float32)", *float32_predictions)
                          : "";
  return fmt::format("{:.2f} % equal predictions{}, accuracy {:+.2f} points, logits {:.4f} apart (rms)",
                     predictions, floats, accuracy_change, logit_difference);
}

nlohmann::ordered_json Agreement::to_json() const {
  nlohmann::ordered_json json = {{"equal_predictions", predictions}};
  if (float32_predictions) json["float32_predictions"] = *float32_predictions;
  json["accuracy_change"] = accuracy_change;
  json["logit_rms_difference"] = logit_difference;
  return json;
}

Simulation::Simulation(Evaluator& evaluator, const Scheme& scheme, std::uint64_t seed, std::size_t first)
    : evaluator_(evaluator),
      scheme_(scheme),
      seed_(seed),
      examples_(first == 0 ? evaluator.size() : std::min(first, evaluator.size())),
      batches_(first_batches(evaluator, examples_)) {}

const Matrix& Simulation::exact() {
  if (exact_.empty()) exact_ = run_batches(evaluator_.exact(scheme_, seed_), batches_, examples_);
  return exact_;
}

const Matrix& Simulation::float32() {
  if (float32_.empty()) {
    const BertRunner& network = evaluator_.runner(scheme_, seed_);
    ActivationQuantizer quantizer = evaluator_.quantizer(scheme_, seed_);
    float32_ = run_batches(network, batches_, examples_, &quantizer);
  }
  return float32_;
}

double Simulation::float32_predictions() {
  return equal_predictions(float32(), exact());
}

Agreement engine_agreement(Simulation& simulation, engine::Executor& executor, bool thorough) {
  const std::size_t n = simulation.examples();
  const Matrix& reference = simulation.exact();
  const Matrix ours = run_batches(executor, simulation.batches_, n);
  Evaluator& evaluator = simulation.evaluator_;
  Agreement result;
  result.examples = n;
  result.whole_split = n == evaluator.split_size();
  result.predictions = equal_predictions(ours, reference);
  result.accuracy_change = evaluator.label_scores(ours).accuracy - evaluator.label_scores(reference).accuracy;
  result.logit_difference = rms_difference(ours, reference);
  if (thorough || !result.holds()) result.float32_predictions = simulation.float32_predictions();
  return result;
}

}  // namespace outlierlab
