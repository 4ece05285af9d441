#include "app/bench_hooks.h"

#include <atomic>

#include "catch.h"
#include "data/batch.h"
#include "model/runner.h"
#include "stats/statistics.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

const std::vector<std::size_t> lengths = {5, 40, 17, 3, 28, 16, 33, 9};

void run(SiteHook& hook) {
  const BertRunner runner(test::tiny_bert());
  for (const Batch& batch : make_batches(test::random_examples(lengths), 4)) runner.logits(batch, &hook);
}

class Counter : public SiteHook {
 public:
  void visit(const SiteTile& tile, int /*thread*/) override { values += tile.rows * tile.cols; }
  void product_begins(int /*thread*/) override { ++begun; }
  void product_ends(int /*thread*/) override { ++ended; }
  std::size_t preferred_rows() const override { return 7; }
  std::atomic<std::size_t> values{0}, begun{0}, ended{0};
};

}  // namespace

TEST_CASE("The floor of capture counts what capture counts, all sites in one histogram", "[bench]") {
  const BertRunner runner(test::tiny_bert());
  StatisticsCollector collector(runner.sites());
  CaptureFloor counting(true), visiting(false);
  for (SiteHook* hook : {static_cast<SiteHook*>(&collector), static_cast<SiteHook*>(&counting),
                         static_cast<SiteHook*>(&visiting)}) {
    run(*hook);
  }
  REQUIRE(counting.preferred_rows() == collector.preferred_rows());
  Histogram expected;
  for (const SiteStatistics& site : collector.finish().sites) expected.merge(site.histogram());
  REQUIRE(expected.total() > 0);
  REQUIRE(counting.counted().nonzero() == expected.nonzero());
  REQUIRE(visiting.counted().total() == 0);
}

TEST_CASE("A probe of the clock shows its hook all that happens, and finds a clock", "[bench]") {
  Counter plain, probed;
  run(plain);
  ClockProbe probe(probed);
  REQUIRE(probe.clock_ghz() == 0);
  REQUIRE(probe.preferred_rows() == 7);
  run(probe);
  REQUIRE(plain.begun > 0);
  REQUIRE(probed.values == plain.values);
  REQUIRE(probed.begun == plain.begun);
  REQUIRE(probed.ended == plain.begun);
  // No CPU's clock is outside this, and no chain that a compiler shortened is inside; a busy machine may
  // halve it.
  REQUIRE(probe.clock_ghz() > 0.1);
  REQUIRE(probe.clock_ghz() < 10);
}
