#include "catch.h"
#include "model/runner.h"
#include "stats/compare.h"
#include "stats/statistics.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

TEST_CASE("a collector that knows what comes gathers the same", "[stats]") {
  const BertRunner runner(test::tiny_bert());
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i < 150; ++i) lengths.push_back(3 + i * 7 % 38);
  const std::vector<Batch> batches = make_batches(test::random_examples(lengths), 16);
  const auto gather = [&](bool expecting) {
    StatisticsCollector collector(runner.sites());
    if (expecting) collector.expect(batches);
    for (const Batch& batch : batches) runner.logits(batch, &collector);
    return collector.finish();
  };
  const NetworkStatistics plain = gather(false), expecting = gather(true);
  for (std::size_t s = 0; s < plain.sites.size(); ++s) {
    INFO(plain.names[s]);
    test::require_identical(plain.sites[s], expecting.sites[s]);
  }
  REQUIRE(plain.at("layer.0.output").state().sample_limit != ~0ull);
  REQUIRE(plain.at("layer.0.scores").state().sample_limit != ~0ull);
  REQUIRE(plain.at("pooler").state().sample_limit == ~0ull);
}
