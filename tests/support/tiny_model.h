// tiny_bert() as the engine's model, for tests of what runs or keeps one.
#pragma once

#include <string>

#include "app/resources.h"
#include "data/batch.h"
#include "engine/model.h"
#include "lower/lower.h"
#include "model/runner.h"
#include "quant/scheme.h"
#include "stats/statistics.h"
#include "support/tiny_bert.h"

namespace test {

/// Five tokens of tiny_bert()'s vocabulary.
inline outlierlab::Batch one_batch() {
  outlierlab::EncodedExample example;
  example.token_ids = {2, 7, 9, 4, 3};
  example.token_types = {0, 0, 0, 1, 1};
  return outlierlab::make_batch({example}, {0});
}

/// By a scheme of configs/schemes, calibrated on one_batch().
inline outlierlab::engine::Model tiny_model(const std::string& name) {
  using namespace outlierlab;
  const BertWeights weights = tiny_bert();
  const BertRunner runner(weights);
  StatisticsCollector collector(runner.sites());
  runner.logits(one_batch(), &collector);
  const NetworkStatistics statistics = collector.finish();
  const Scheme scheme = Scheme::load(name, resource_root() / "configs" / "schemes");
  return lower(weights, scheme, ActivationQuantizer(scheme, runner.sites(), &statistics), &statistics);
}

}  // namespace test
