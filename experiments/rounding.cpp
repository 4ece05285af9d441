// Beside claim C7: how far one rounding gets. The simulation in float32 and the scheme in double precision
// from end to end (src/quant/exact_network.h) differ by less than a millionth before their values meet a
// grid; a value that falls on the other side of a threshold moves by a whole step, and with it what depends
// on it.
// Rows: by site, the share of the values that the two do not have in common; and the predictions that they,
// and the integer engine of the processor, have in common on the whole split. What float32 leaves open tells
// what rounding alone does to a scheme.
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

/// Keeps what a quantizer, or the reference, makes of every site, in an order that does not depend on tiles.
class SiteValues : public SiteHook {
 public:
  SiteValues(const SiteTable& sites, const Batch& batch, ActivationQuantizer* quantizer = nullptr)
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
    quantizer_->visit(tile, thread);
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const std::size_t example = example_.at(tile.tokens[r].example);
      std::copy_n(tile.data + r * tile.stride, tile.cols,
                  first(tile.site, example, tile.channel, tile.cols) + tile.tokens[r].position * tile.cols);
    }
  }
  ExactNetwork::Observer observer() {
    return [this](std::size_t site, std::size_t example, int head, const double* values, std::size_t count) {
      const std::size_t rows = site == pooler_ ? 1 : batch_.length(example);
      std::copy_n(values, count, first(site, example, head, count / rows));
    };
  }
  const std::vector<double>& of(std::size_t site) const { return values_[site]; }

 private:
  /// Where the values of an example, or of one of its heads, begin, in rows of `cols`.
  double* first(std::size_t site, std::size_t example, int head, std::size_t cols) {
    const std::size_t length = batch_.length(example);
    const std::size_t at =
        head >= 0 ? first_square_[example] * heads_ + static_cast<std::size_t>(head) * length * length
                  : cols * (site == pooler_ ? example : batch_.offsets[example]);
    return values_[site].data() + at;
  }

  const Batch& batch_;
  ActivationQuantizer* quantizer_;
  std::map<std::uint32_t, std::size_t> example_;  ///< place in the batch by index in the split
  std::vector<std::size_t> first_square_;         ///< of each example's scores, per head
  std::size_t pooler_ = 0, heads_ = 0;
  std::vector<std::vector<double>> values_;  ///< [site]
};

/// The share of values that differ by more than what float32 rounds off, in percent: by 1e-5 of the value, of
/// which a step of 16 bits is three times as much, and by 2e-6 of the site's largest, which sums near 0 are
/// not exact to.
double moved_share(const std::vector<double>& values, const std::vector<double>& reference) {
  double largest = 0;
  for (const double v : reference) largest = std::max(largest, std::abs(v));
  std::size_t moved = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double own = std::max(std::abs(values[i]), std::abs(reference[i]));
    moved += !(std::abs(values[i] - reference[i]) <= std::max(1e-5 * own, 2e-6 * largest));
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
    SiteValues in_float(evaluator.sites(), batch, &quantizer), exact(evaluator.sites(), batch);
    network.logits(batch, &in_float);
    evaluator.exact(scheme_).logits(batch, exact.observer());
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
        "w8a8-channel-weights", "mp-xhy", "mp-channel-1", "w8a8-token-linear", "w8a8-token-mse"}) {
    const auto measured = std::make_shared<Rounding>(study, scheme);
    study.measure(scheme, "", "", [=] { return measured->prediction_rows(); });
    for (std::size_t s = 0; s < sites.size(); ++s)
      study.measure(scheme, "site", sites[s].name, [=] { return measured->site_rows(s); });
  }
}

}  // namespace outlierlab
