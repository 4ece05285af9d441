#include "report/loss.h"

#include <fmt/format.h>

#include <algorithm>

namespace outlierlab {

std::string Accuracy::label() const {
  return fmt::format("{} {:.2f}", name, value);
}

bool overlap(const Accuracy& a, const Accuracy& b) {
  return a.low <= b.high && b.low <= a.high;
}

const Measurement* find_measurement(const std::vector<Measurement>& all, const std::string& variant,
                                    const std::string& parameter, const std::string& value,
                                    const std::string& metric) {
  for (const Measurement& m : all) {
    if (m.variant == variant && m.parameter == parameter && m.value == value && m.metric == metric) return &m;
  }
  return nullptr;
}

Accuracy accuracy_of(const Measurement& m) {
  const auto [low, high] = m.interval().value_or(std::pair(m.estimate(), m.estimate()));
  return {m.estimate(), low, high,
          m.parameter.empty() ? m.variant : m.variant + " " + m.parameter + "=" + m.value};
}

std::vector<Accuracy> accuracies(const std::vector<Measurement>& all, const std::string& variant) {
  std::vector<Accuracy> found;
  for (const Measurement& m : all) {
    if (m.variant == variant && m.metric == "accuracy") found.push_back(accuracy_of(m));
  }
  return found;
}

const Accuracy& best(const std::vector<Accuracy>& all) {
  return *std::max_element(all.begin(), all.end(),
                           [](const Accuracy& a, const Accuracy& b) { return a.value < b.value; });
}

std::string alike(const std::vector<Accuracy>& all) {
  const double top = best(all).value;
  const auto equal = std::count_if(all.begin(), all.end(), [&](const Accuracy& a) { return a.value == top; });
  if (equal < 2) return "";
  return equal == 2 ? " and one other alike" : fmt::format(" and {} others alike", equal - 1);
}

bool Loss::significant() const {
  if (size() <= 0) return false;
  return p ? *p < 0.01 : !overlap(fp32, w8a8);
}

std::string Loss::text() const {
  std::string text = fmt::format("FP32 {:.2f} [{:.2f}, {:.2f}], W8A8 {:.2f} [{:.2f}, {:.2f}]", fp32.value,
                                 fp32.low, fp32.high, w8a8.value, w8a8.low, w8a8.high);
  return p ? text + fmt::format(", McNemar p = {:.2g}", *p) : text;
}

std::string Loss::recovered(const Accuracy& a) const {
  return fmt::format("{} (recovers {:.0f} %)", a.label(), 100 * recovery(a));
}

static std::optional<Accuracy> reference(const std::vector<Measurement>& all, const std::string& variant) {
  const Measurement* m = find_measurement(all, variant, "", "", "accuracy");
  return m ? std::optional(accuracy_of(*m)) : std::nullopt;
}

std::optional<Loss> loss_of(const std::vector<Measurement>& all) {
  const std::string variant = reference(all, "w8a8") ? "w8a8" : "minmax";
  const auto fp32 = reference(all, "fp32"), w8a8 = reference(all, variant);
  if (!fp32 || !w8a8) return std::nullopt;
  Loss loss{*fp32, *w8a8, std::nullopt};
  if (const Measurement* p = find_measurement(all, variant, "", "", "mcnemar_p")) loss.p = p->estimate();
  return loss;
}

}  // namespace outlierlab
