#pragma once

#include <cstddef>
#include <vector>

#include "model/hook.h"
#include "stats/histogram.h"

namespace outlierlab {

/// The parts of capture that nothing takes away: its tiles, shown to a hook that looks at no value; and, with
/// `count`, one increment for each value, the least that an exact histogram takes, in one table per thread
/// that stays in the cache.
class CaptureFloor : public SiteHook {
 public:
  explicit CaptureFloor(bool count);
  void visit(const SiteTile& tile, int thread) override;
  std::size_t preferred_rows() const override;
  /// What the threads counted, together; empty without `count`.
  Histogram counted() const;

 private:
  std::vector<Histogram> tables_;  ///< [thread]
};

/// Passes everything on to another hook and, before some of the products, times a chain of dependent
/// additions, of which a core does one a cycle: that shows its clock, without counters that a virtual machine
/// hides.
class ClockProbe : public SiteHook {
 public:
  explicit ClockProbe(SiteHook& observed);
  void visit(const SiteTile& tile, int thread) override { observed_.visit(tile, thread); }
  bool needs_all_rows() const override { return observed_.needs_all_rows(); }
  std::size_t preferred_rows() const override { return observed_.preferred_rows(); }
  void product_begins(int thread) override;
  void product_ends(int thread) override { observed_.product_ends(thread); }
  /// The median over all samples and threads, in GHz; 0 before the first.
  double clock_ghz() const;

 private:
  struct alignas(64) Samples {
    std::size_t products = 0;
    std::vector<double> ghz;
  };
  SiteHook& observed_;
  std::vector<Samples> samples_;  ///< [thread]
};

}  // namespace outlierlab
