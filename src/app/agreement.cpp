#include "app/agreement.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "report/inference.h"

namespace outlierlab {

namespace {

/// Units in the last place by which a float32 sum of 384 to 1,536 products differs from the exact one: a
/// chain of fused multiply-adds over normal variates is off by 3 to 7 in the median, by 14 to 31 at the 90th
/// percentile (tested).
constexpr std::uint32_t summation_error = 8;

/// A quantizer whose input is first moved by the error of a float32 sum, up or down by a bit of its own.
class NudgedQuantizer : public SiteHook {
 public:
  explicit NudgedQuantizer(ActivationQuantizer& quantizer) : quantizer_(quantizer) {}
  void visit(const SiteTile& tile, int thread) override {
    for (std::size_t r = 0; r < tile.rows; ++r) {
      float* row = tile.data + r * tile.stride;
      for (std::size_t c = 0; c < tile.cols; ++c) {
        std::uint32_t bits;
        std::memcpy(&bits, row + c, sizeof bits);
        if ((bits & 0x7fffffffu) > summation_error) bits += bits & 2 ? summation_error : 0u - summation_error;
        std::memcpy(row + c, &bits, sizeof bits);
      }
    }
    quantizer_.visit(tile, thread);
  }

 private:
  ActivationQuantizer& quantizer_;
};

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
  // The number of examples that rounding decides differs by chance: three standard deviations of a count.
  // Of few examples that would be all.
  const double percent = static_cast<double>(examples) / 100;
  const double ours = (100 - predictions) * percent, floor = (100 - simulation_noise_floor) * percent;
  const double chance = std::min(3 * std::sqrt(floor + 1), largest_chance * percent);
  if (predictions < required_predictions && ours > floor + chance) return false;
  // An unbiased engine turns as many predictions right as wrong, but for chance.
  return std::abs(accuracy_change) <= largest_accuracy_change ||
         std::abs(accuracy_change) * percent <= 3 * std::sqrt(ours);
}

std::string Agreement::text() const {
  return fmt::format(
      "{:.2f} % equal predictions ({:.2f} % of the simulation's own when its "
      "sums are rounded otherwise), accuracy {:+.2f} points, logits {:.4f} apart (rms)",
      predictions, simulation_noise_floor, accuracy_change, logit_difference);
}

Simulation simulation(Evaluator& evaluator, const Scheme& scheme, std::uint64_t seed, std::size_t first) {
  const std::size_t n = first == 0 ? evaluator.size() : std::min(first, evaluator.size());
  const std::vector<Batch> batches = first_batches(evaluator, n);
  const BertRunner& network = evaluator.runner(scheme, seed);
  ActivationQuantizer quantizer = evaluator.quantizer(scheme, seed);
  NudgedQuantizer nudged(quantizer);
  return {run_batches(network, batches, n, &quantizer), run_batches(network, batches, n, &nudged)};
}

Agreement engine_agreement(Evaluator& evaluator, const Simulation& simulation, engine::Executor& executor) {
  const std::size_t n = simulation.logits.rows();
  const Matrix ours = run_batches(executor, first_batches(evaluator, n), n);
  Agreement result;
  result.examples = n;
  result.predictions = equal_predictions(ours, simulation.logits);
  result.simulation_noise_floor = equal_predictions(simulation.rounded_otherwise, simulation.logits);
  result.accuracy_change = evaluator.score(ours, n).accuracy - evaluator.score(simulation.logits, n).accuracy;
  result.logit_difference = rms_difference(ours, simulation.logits);
  return result;
}

Agreement engine_agreement(Evaluator& evaluator, const Scheme& scheme, engine::Executor& executor,
                           std::uint64_t seed, std::size_t first) {
  return engine_agreement(evaluator, simulation(evaluator, scheme, seed, first), executor);
}

}  // namespace outlierlab
