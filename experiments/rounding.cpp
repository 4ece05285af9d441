// Beside claim C7: how far one rounding gets. The simulation in float32 and the same in double precision
// (src/kernels/reference_kernels.cpp) differ by less than a millionth before their values meet a grid; a
// value that falls on the other side of a threshold moves by a whole step, and with it what depends on it.
// Rows: by site, the share of the values that the two do not have in common; and the predictions that they,
// and the integer engine of the processor, have in common on the whole split. What float32 leaves open is
// the most that can be asked of any other execution of a scheme.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <vector>

#include "app/agreement.h"
#include "app/engines.h"
#include "app/study.h"
#include "engine/refusal.h"
#include "experiments/experiments.h"

namespace outlierlab {

namespace {

constexpr std::size_t compared_examples = 16;

/// Keeps what a quantizer makes of every site, in an order that does not depend on tiles.
class SiteValues : public SiteHook {
 public:
  SiteValues(const SiteTable& sites, const Batch& batch, ActivationQuantizer& quantizer)
      : batch_(batch), quantizer_(quantizer), values_(sites.size()) {
    std::size_t squares = 0;
    for (std::size_t e = 0; e < batch.size(); ++e) {
      example_[batch.examples[e]] = e;
      first_square_.push_back(squares);
      squares += batch.length(e) * batch.length(e);
    }
    for (std::size_t s = 0; s < sites.size(); ++s) {
      const SiteKind kind = sites[s].kind;
      const bool by_head = kind == SiteKind::scores || kind == SiteKind::probs;
      const std::size_t rows = by_head                    ? squares
                               : kind == SiteKind::pooler ? batch.size()
                                                          : batch.token_count();
      pooler_ = kind == SiteKind::pooler ? s : pooler_;
      heads_ = by_head ? sites[s].channels : heads_;
      values_[s].resize(rows * sites[s].channels);
    }
  }

  void visit(const SiteTile& tile, int thread) override {
    quantizer_.visit(tile, thread);
    std::vector<float>& values = values_[tile.site];
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const std::size_t e = example_.at(tile.tokens[r].example);
      const float* from = tile.data + r * tile.stride;
      std::size_t at = 0;
      if (tile.channel >= 0) {
        const std::size_t length = batch_.length(e), head = static_cast<std::size_t>(tile.channel);
        at = first_square_[e] * heads_ + (head * length + tile.tokens[r].position) * length;
      } else {
        at = tile.cols * (tile.site == pooler_ ? e : batch_.offsets[e] + tile.tokens[r].position);
      }
      std::copy_n(from, tile.cols, values.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  const std::vector<float>& of(std::size_t site) const { return values_[site]; }

 private:
  const Batch& batch_;
  ActivationQuantizer& quantizer_;
  std::map<std::uint32_t, std::size_t> example_;  ///< place in the batch by index in the split
  std::vector<std::size_t> first_square_;         ///< of each example's scores, per head
  std::size_t pooler_ = 0, heads_ = 0;
  std::vector<std::vector<float>> values_;  ///< [site]
};

/// The share of values that differ by more than what float32 rounds off, in percent: by 1e-5 of the value, of
/// which a step of 16 bits is three times as much, and by 2e-6 of the site's largest, which sums near 0 are
/// not exact to.
double moved_share(const std::vector<float>& values, const std::vector<float>& reference) {
  float largest = 0;
  for (const float v : reference) largest = std::max(largest, std::abs(v));
  std::size_t moved = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float own = std::max(std::abs(values[i]), std::abs(reference[i]));
    moved += !(std::abs(values[i] - reference[i]) <= std::max(1e-5f * own, 2e-6f * largest));
  }
  return 100.0 * static_cast<double>(moved) / static_cast<double>(values.size());
}

/// One scheme; measures all sites when the first is asked for.
class Rounding {
 public:
  Rounding(Study& study, const std::string& scheme) : study_(study), scheme_(study.scheme(scheme)) {}

  std::vector<Row> site_rows(std::size_t site) {
    if (moved_.empty()) measure();
    Row row = figure("values_moved", moved_[site].share);
    row.n = moved_[site].count;
    return {row};
  }

  std::vector<Row> prediction_rows() {
    Simulation simulation(study_.evaluator(), scheme_);
    std::vector<Row> rows = {figure("float32_exact_agreement", simulation.float32_predictions())};
    try {
      const auto executor = make_executor("int8", study_.evaluator().lowered(scheme_));
      study_.note("executors", scheme_.name(), executor->description());
      const Agreement agreement = engine_agreement(simulation, *executor);
      rows.push_back(figure("engine_exact_agreement", agreement.predictions));
      rows.push_back(figure("engine_accuracy_change", agreement.accuracy_change));
    } catch (const Refusal& refusal) {
      study_.note("not_executed", scheme_.name(), refusal.what());
    }
    for (Row& row : rows) row.n = simulation.examples();
    return rows;
  }

 private:
  struct Moved {
    double share = 0;
    std::size_t count = 0;
  };

  void measure() {
    Evaluator& evaluator = study_.evaluator();
    const auto& all = evaluator.examples();
    const auto count = static_cast<std::ptrdiff_t>(std::min(compared_examples, all.size()));
    const Batch batch = make_batches({all.begin(), all.begin() + count}, compared_examples).front();
    const BertRunner& network = evaluator.runner(scheme_);
    ActivationQuantizer quantizer = evaluator.quantizer(scheme_);
    SiteValues in_float(evaluator.sites(), batch, quantizer), exact(evaluator.sites(), batch, quantizer);
    network.logits(batch, &in_float);
    network.with_kernels(reference_kernels()).logits(batch, &exact);
    for (std::size_t s = 0; s < evaluator.sites().size(); ++s)
      moved_.push_back({moved_share(in_float.of(s), exact.of(s)), exact.of(s).size()});
  }

  Study& study_;
  Scheme scheme_;
  std::vector<Moved> moved_;  ///< [site]
};

}  // namespace

void rounding(Study& study) {
  const SiteTable& sites = study.evaluator().sites();
  for (const std::string scheme :
       {"w8a8", "w8a8-token", "peg-6-permuted", "mp-xhy-16", "llm-int8", "w8a8-token-linear-mse",
        "w8a8-channel-weights", "mp-xhy", "mp-channel-1"}) {
    const auto measured = std::make_shared<Rounding>(study, scheme);
    study.measure(scheme, "", "", [=] { return measured->prediction_rows(); });
    for (std::size_t s = 0; s < sites.size(); ++s)
      study.measure(scheme, "site", sites[s].name, [=] { return measured->site_rows(s); });
  }
}

}  // namespace outlierlab
