#include "experiments/pass_profile.h"

#include <chrono>

#include "core/parallel.h"
#include "lower/tokens.h"

namespace outlierlab {

namespace {

using Clock = std::chrono::steady_clock;

/// Passes tiles on, and measures how long the quantizer takes for them, and how long products take.
class TimedHook : public SiteHook {
 public:
  /// `inner` may be null: the float network.
  explicit TimedHook(SiteHook* inner) : inner_(inner), parts_(static_cast<std::size_t>(threads())) {}
  void visit(const SiteTile& tile, int thread) override {
    if (!inner_) return;
    const auto start = Clock::now();
    inner_->visit(tile, thread);
    parts_[static_cast<std::size_t>(thread)].quantizer += since(start);
  }
  bool needs_all_rows() const override { return inner_ && inner_->needs_all_rows(); }
  void product_begins(int thread) override { parts_[static_cast<std::size_t>(thread)].begin = Clock::now(); }
  void product_ends(int thread) override {
    Part& part = parts_[static_cast<std::size_t>(thread)];
    part.products += since(part.begin);
  }
  double quantizer_seconds() const { return sum(&Part::quantizer); }
  double product_seconds() const { return sum(&Part::products); }

 private:
  struct alignas(64) Part {  // threads do not share cache lines
    double quantizer = 0, products = 0;
    Clock::time_point begin;
  };
  double sum(double Part::*member) const {
    double all = 0;
    for (const Part& part : parts_) all += part.*member;
    return all;
  }
  SiteHook* inner_;
  std::vector<Part> parts_;
};

/// Seconds of all threads that one pass took, and where they went.
struct PassProfile {
  double total = 0;
  engine::Profile parts;
};

PassProfile simulated_profile(const BertRunner& runner, const Batch& batch, SiteHook* quantizer) {
  TimedHook hook(quantizer);
  const auto start = Clock::now();
  runner.logits(batch, &hook);
  PassProfile profile;
  profile.total = threads() * since(start);
  profile.parts.gemm = hook.product_seconds();
  profile.parts.quantize = hook.quantizer_seconds();
  return profile;
}

/// A device's parts are its own time, with which the host's has nothing to do: a pass is what they add up to.
PassProfile engine_profile(engine::Executor& executor, bool on_device, const Batch& batch, Matrix& logits) {
  executor.take_profile();
  const auto start = Clock::now();
  executor.logits(tokens_of(batch), logits.data());
  PassProfile profile;
  profile.total = threads() * since(start);
  profile.parts = executor.take_profile();
  profile.total -= profile.parts.repeated;
  const engine::Profile& p = profile.parts;
  if (on_device) profile.total = p.quantize + p.gemm + p.dequantize + p.rest;
  return profile;
}

/// The profile of the fastest of several passes, after one to warm up: an interrupted pass shows waiting.
template <typename Profiled>
PassProfile fastest_profile(const Profiled& profiled) {
  constexpr int most = 9, least = 3;
  constexpr double seconds = 10;
  const auto start = Clock::now();
  profiled();
  PassProfile best = profiled();
  for (int i = 1; i < most && (i < least || since(start) < seconds); ++i) {
    const PassProfile next = profiled();
    if (next.total < best.total) best = next;
  }
  return best;
}

std::vector<Row> share_rows(const Method& method, const PassProfile& p) {
  const auto share = [&](const char* part, double seconds) {
    return figure(std::string("time_share_") + part, 100 * seconds / p.total);
  };
  std::vector<Row> rows = {share("products", p.parts.gemm)};
  // Simulation quantizes and dequantizes in one pass over the values.
  if (method.kind == Method::Kind::simulated) rows.push_back(share("quantize_dequantize", p.parts.quantize));
  // A device's kernels do both in the products' registers.
  if (method.kind == Method::Kind::integer && !method.on_device()) {
    rows.push_back(share("quantize", p.parts.quantize));
    rows.push_back(share("dequantize", p.parts.dequantize));
  }
  const double quantized = method.kind == Method::Kind::real ? 0 : p.parts.quantize + p.parts.dequantize;
  rows.push_back(share("rest", p.total - p.parts.gemm - quantized));
  return rows;
}

}  // namespace

std::vector<Row> time_shares(const Method& method, engine::Executor& profiled, const Batch& batch) {
  Matrix logits(batch.size(), profiled.shape().labels);
  const auto profile = [&] { return engine_profile(profiled, method.on_device(), batch, logits); };
  // A device's profile is made of launches that are timed many times already.
  const PassProfile p = method.on_device() ? profile() : fastest_profile(profile);
  return p.total > 0 ? share_rows(method, p) : std::vector<Row>();
}

std::vector<Row> time_shares(const Method& method, const BertRunner& runner, SiteHook* quantizer,
                             const Batch& batch) {
  return share_rows(method, fastest_profile([&] { return simulated_profile(runner, batch, quantizer); }));
}

}  // namespace outlierlab
