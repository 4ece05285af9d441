// Claim C5: mixed precision repairs W8A8. By site (every subset of x, h, y in float, and all three on 16-bit
// grids), by channel (the loudest share of each site's channels in float), and which single site matters:
// everything quantized but one, and one alone, on the first examples of the split, beside FP32 and W8A8 on
// the same examples.
#include <memory>

#include "app/study.h"
#include "experiments/experiments.h"

namespace outlierlab {

namespace {

constexpr std::size_t sensitivity_examples = 1000;

/// Switches single sites of one quantizer on the first examples, re-using everything before the changed
/// layer. Built on first use, so that a resumed study which needs none of it does not pay for it.
class SiteSwitch {
 public:
  SiteSwitch(Study& study, Scheme scheme, bool all_on)
      : study_(study), scheme_(std::move(scheme)), all_on_(all_on) {}

  Matrix with_site_flipped(std::size_t site) {
    if (!prefix_) build();
    quantizer_->enable(site, !all_on_);
    Matrix logits = prefix_->logits_after_change(site);
    quantizer_->enable(site, all_on_);
    return logits;
  }

  /// Logits with no site flipped; made once.
  const Matrix& plain() {
    if (!prefix_) build();
    return plain_;
  }

 private:
  void build() {
    Evaluator& evaluator = study_.evaluator();
    const std::size_t count = std::min(sensitivity_examples, evaluator.size());
    examples_.assign(evaluator.examples().begin(),
                     evaluator.examples().begin() + static_cast<std::ptrdiff_t>(count));
    quantizer_ = std::make_unique<ActivationQuantizer>(evaluator.quantizer(scheme_));
    for (std::size_t site = 0; site < evaluator.sites().size(); ++site) quantizer_->enable(site, all_on_);
    prefix_ = std::make_unique<PrefixEvaluator>(evaluator.runner(scheme_), examples_,
                                                evaluator.options().batch_size, *quantizer_);
    // Nothing has changed; from the last site on there is least to compute again.
    plain_ = prefix_->logits_after_change(evaluator.sites().size() - 1);
  }

  Study& study_;
  Scheme scheme_;
  bool all_on_;
  std::vector<EncodedExample> examples_;
  std::unique_ptr<ActivationQuantizer> quantizer_;
  std::unique_ptr<PrefixEvaluator> prefix_;
  Matrix plain_;
};

}  // namespace

void mixed_precision(Study& study) {
  study.evaluate("fp32", "", "", study.scheme("fp32"));
  study.evaluate("w8a8", "", "", study.scheme("w8a8"));
  const std::string letters = "xhy";
  for (unsigned subset = 1; subset < 8; ++subset) {
    std::string value;
    std::vector<std::string> overrides;
    for (unsigned i = 0; i < 3; ++i) {
      if (!(subset >> i & 1)) continue;
      value += (value.empty() ? "" : "+") + std::string(1, letters[i]);
      overrides.push_back(std::string("activations.") + letters[i] + ".bits=32");
    }
    study.evaluate("sites", "float", value, study.scheme("w8a8", overrides));
  }
  study.evaluate(
      "sites", "16-bit", "x+h+y",
      study.scheme("w8a8", {"activations.x.bits=16", "activations.h.bits=16", "activations.y.bits=16"}));
  for (const char* percent : {"1", "2", "5"}) {
    // A "channel" of the attention scores is a whole head: those sites keep their single grid.
    study.evaluate("channels", "share", percent,
                   study.scheme("w8a8", {"activations.keep_channels=0.0" + std::string(percent),
                                         "activations.*.scores.keep_channels=0",
                                         "activations.*.probs.keep_channels=0"}));
  }

  const SiteTable& sites = study.evaluator().sites();
  const auto rows_of = [&study](const Matrix& logits) {
    return Study::rows_of(study.evaluator().score(logits, sensitivity_examples));
  };
  // Only the activations are switched; the weights are 8-bit for one study and float for the other.
  const auto without_one = std::make_shared<SiteSwitch>(study, study.scheme("w8a8"), true);
  const auto only_one = std::make_shared<SiteSwitch>(study, study.scheme("a8"), false);
  // What the single sites compare with; the value says which sites have 8 bits.
  study.measure("fp32", "site", "none", [=] { return rows_of(only_one->plain()); });
  study.measure("w8a8", "site", "all", [=] { return rows_of(without_one->plain()); });
  for (std::size_t site = 0; site < sites.size(); ++site) {
    study.measure("leave_one_out", "site", sites[site].name, [=, &study] {
      const Matrix logits = without_one->with_site_flipped(site);
      std::vector<Row> rows = rows_of(logits);
      rows.push_back(figure("mcnemar_p_to_w8a8", study.evaluator().mcnemar_p(logits, without_one->plain())));
      rows.back().n = rows.front().n;
      return rows;
    });
  }
  for (std::size_t site = 0; site < sites.size(); ++site) {
    study.measure("only_one", "site", sites[site].name,
                  [=] { return rows_of(only_one->with_site_flipped(site)); });
  }
}

}  // namespace outlierlab
