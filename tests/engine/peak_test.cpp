#include "engine/cpu/peak.h"

#include "catch.h"
#include "core/isa.h"

using namespace outlierlab;
using engine::PeakKind;
using engine::PeakLoop;

TEST_CASE("Every kind has a peak, the fastest instruction last, and it is of a CPU's order", "[engine]") {
  for (const PeakKind kind : {PeakKind::float32, PeakKind::bfloat16, PeakKind::int8}) {
    const PeakLoop& best = engine::best_peak_loop(kind);
    REQUIRE(best.kind == kind);
    const double peak = engine::measured_peak(best, 1);
    INFO(best.instruction << " " << peak);
    REQUIRE(peak > 1e7);
    REQUIRE(peak < 1e14);
  }
  if (has_vnni()) {
    double widened = 0, bytes = 0;
    for (const PeakLoop& loop : engine::peak_loops()) {
      if (loop.instruction == std::string("vpmaddwd zmm")) widened = engine::measured_peak(loop, 1);
      if (loop.instruction == std::string("vpdpbusd zmm")) bytes = engine::measured_peak(loop, 1);
    }
    // Twice the products in half the instructions.
    REQUIRE(bytes > 1.5 * widened);
  }
}

TEST_CASE("Memory's bandwidth is measured on arrays of any size", "[engine]") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{20000}, std::size_t{4} << 20}) {
    const double rate = engine::triad_bandwidth(bytes, 1);
    REQUIRE(rate > 1e7);
    REQUIRE(rate < 1e13);
  }
  REQUIRE(engine::beyond_caches() >= 256u << 20);
}
