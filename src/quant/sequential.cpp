#include <algorithm>
#include <functional>

#include "quant/scheme.h"

namespace outlierlab {

namespace {
// Sites that read nothing of one another and so are calibrated in one pass, in the order of the forward pass.
const std::vector<std::vector<SiteKind>>& layer_stages() {
  static const std::vector<std::vector<SiteKind>> stages = {{SiteKind::query, SiteKind::key, SiteKind::value},
                                                            {SiteKind::scores},
                                                            {SiteKind::probs},
                                                            {SiteKind::context},
                                                            {SiteKind::attention_output},
                                                            {SiteKind::attention_residual},
                                                            {SiteKind::ffn_input},
                                                            {SiteKind::ffn_hidden},
                                                            {SiteKind::ffn_output},
                                                            {SiteKind::ffn_residual},
                                                            {SiteKind::output}};
  return stages;
}

// Gathers statistics at some sites; every site before them is quantized, those after them do not matter.
class StageHook : public SiteHook {
 public:
  StageHook(ActivationQuantizer& quantizer, const SiteTable& sites, const std::vector<std::size_t>& gathered)
      : quantizer_(quantizer), collector_(sites, gathered), first_(gathered.front()), last_(gathered.back()) {
    for (std::size_t i = first_; i <= last_; ++i) {
      gathers_.push_back(std::find(gathered.begin(), gathered.end(), i) != gathered.end());
    }
  }
  void visit(const SiteTile& tile, int thread) override {
    if (tile.site < first_) {
      quantizer_.visit(tile, thread);
    } else if (tile.site <= last_ && gathers_[tile.site - first_]) {
      collector_.visit(tile, thread);
    }
  }
  NetworkStatistics finish() { return collector_.finish(); }

 private:
  ActivationQuantizer& quantizer_;
  StatisticsCollector collector_;
  std::size_t first_, last_;
  std::vector<bool> gathers_;
};

using Pass = std::function<void(SiteHook&)>;

void calibrate_stage(ActivationQuantizer& quantizer, const SiteTable& sites,
                     const std::vector<std::size_t>& stage, const Pass& pass) {
  std::vector<std::size_t> gathered;
  for (const std::size_t site : stage) {
    if (quantizer.enabled(site) && quantizer.is_static(site)) gathered.push_back(site);
  }
  if (gathered.empty()) return;
  StageHook hook(quantizer, sites, gathered);
  pass(hook);
  const NetworkStatistics statistics = hook.finish();
  for (const std::size_t site : gathered) quantizer.calibrate(site, statistics.at(sites[site].name));
}
}  // namespace

void calibrate_sequentially(ActivationQuantizer& quantizer, const BertRunner& runner,
                            const std::vector<Batch>& calibration) {
  const SiteTable& sites = runner.sites();
  const Pass embed = [&](SiteHook& hook) {
    for (const Batch& batch : calibration) runner.embed(batch, &hook);
  };
  calibrate_stage(quantizer, sites, {sites.index(SiteKind::embeddings_sum)}, embed);
  calibrate_stage(quantizer, sites, {sites.index(SiteKind::embeddings_norm)}, embed);
  std::vector<Matrix> hidden;
  for (const Batch& batch : calibration) hidden.push_back(runner.embed(batch, &quantizer));
  for (std::size_t layer = 0; layer < runner.config().layers; ++layer) {
    for (const std::vector<SiteKind>& kinds : layer_stages()) {
      std::vector<std::size_t> stage;
      for (const SiteKind kind : kinds) stage.push_back(sites.index(kind, static_cast<int>(layer)));
      calibrate_stage(quantizer, sites, stage, [&](SiteHook& hook) {
        for (std::size_t b = 0; b < calibration.size(); ++b)
          runner.layer(layer, calibration[b], hidden[b], &hook);
      });
    }
    for (std::size_t b = 0; b < calibration.size(); ++b) {
      hidden[b] = runner.layer(layer, calibration[b], hidden[b], &quantizer);
    }
  }
  calibrate_stage(quantizer, sites, {sites.index(SiteKind::pooler)}, [&](SiteHook& hook) {
    for (std::size_t b = 0; b < calibration.size(); ++b) runner.classify(calibration[b], hidden[b], &hook);
  });
}

}  // namespace outlierlab
