#include "report/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "report/coverage.h"
#include "report/deployment.h"
#include "report/loss.h"
#include "report/measurement.h"
#include "report/peers.h"
#include "report/roofline.h"
#include "report/rounding.h"
#include "report/trend.h"

namespace outlierlab {

namespace {

using Measurements = std::vector<Measurement>;

constexpr double repaired = 0.75;  // the share of the loss from which C6 speaks of a repair

const Accuracy& worst(const std::vector<Accuracy>& all) {
  return *std::min_element(all.begin(), all.end(),
                           [](const Accuracy& a, const Accuracy& b) { return a.value < b.value; });
}

template <typename Condition>
std::size_t count(const std::vector<Accuracy>& all, Condition condition) {
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), condition));
}

/// "none", "one" or the number, then the noun.
std::string so_many(std::size_t n, const std::string& noun) {
  if (n == 0) return "no " + noun;
  return n == 1 ? "one " + noun : fmt::format("{} {}s", n, noun);
}

std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// Every accuracy of the whole split but the two references; single-site rows are on fewer examples.
std::vector<Accuracy> settings(const Measurements& all) {
  static const std::set<std::string> references = {"fp32", "w8a8", "minmax"};
  std::vector<Accuracy> found;
  for (const Measurement& m : all) {
    if (m.metric == "accuracy" && m.parameter != "site" && !references.count(m.variant))
      found.push_back(accuracy_of(m));
  }
  return found;
}

std::string between(const std::vector<Accuracy>& all) {
  const Accuracy &low = worst(all), &high = best(all);
  if (all.size() == 1) return "the one other setting gives " + high.label();
  return fmt::format("the {} other settings give accuracies from {} to {}", all.size(), low.label(),
                     high.label());
}

std::string nothing_lost(const Loss& loss) {
  return fmt::format("W8A8 loses nothing significant here ({})", loss.text());
}

std::string nothing_to_repair(const Loss& loss, const std::vector<Accuracy>& others) {
  std::string text = nothing_lost(loss) + ", so there is nothing to repair.";
  if (others.empty()) return text;
  const std::size_t below = count(others, [&](const Accuracy& a) { return a.high < loss.fp32.low; });
  return text + fmt::format(" {}; {} below FP32 beyond the intervals.", capitalized(between(others)),
                            below == 0   ? "none falls"
                            : below == 1 ? "one falls"
                                         : std::to_string(below) + " fall");
}

std::string missing(const std::string& what) {
  return "The rows hold no " + what + ", which this reading rests on.";
}

/// Which half of W8A8 lost the accuracy: the side with three quarters of the two losses' sum.
std::string blame(double weights, double activations) {
  const double sum = std::max(weights, 0.0) + std::max(activations, 0.0);
  if (sum <= 0) return "neither alone is to blame";
  if (activations >= 0.75 * sum) return "the activations are to blame";
  if (weights >= 0.75 * sum) return "the weights are to blame";
  return "both are to blame";
}

std::string read_baseline(const Measurements& all) {
  const auto loss = loss_of(all);
  if (!loss) return missing("accuracy of fp32 and w8a8");
  std::string text = loss->significant()
                         ? fmt::format("W8A8 costs {:.2f} points ({}).", loss->size(), loss->text())
                         : nothing_lost(*loss) + ".";
  const auto weights = accuracies(all, "w8"), activations = accuracies(all, "a8"),
             token = accuracies(all, "w8a8-token");
  if (weights.empty() || activations.empty()) return text;
  const double w = loss->fp32.value - weights[0].value, a = loss->fp32.value - activations[0].value;
  text += fmt::format(" 8-bit weights alone cost {:.2f} points and 8-bit activations alone {:.2f}", w, a);
  if (loss->significant()) text += ": " + blame(w, a);
  if (!token.empty()) {
    text += loss->significant()
                ? fmt::format("; a range per token instead of a static one wins back {:.0f} % of the loss",
                              100 * loss->recovery(token[0]))
                : fmt::format("; with a range per token the accuracy is {:.2f}", token[0].value);
  }
  return text + ".";
}

/// A layer's number, and a metric's estimate there.
using Layer = std::pair<double, double>;

/// Without an exponent: "12358", "271.04".
std::string rounded(double value) {
  return value >= 10000 ? fmt::format("{:.0f}", value) : format_number(value);
}

std::string read_activations(const Measurements& all) {
  const std::vector<Layer> kurtosis = by_layer(all, "kurtosis"), energy = by_layer(all, "top1_energy");
  if (kurtosis.empty() || energy.empty()) return missing("kurtosis and top1_energy of ffn_residual");
  const auto [first_layer, first] = kurtosis.front();
  const auto [last_layer, last] = kurtosis.back();
  const auto [peak_layer, peak] = highest(kurtosis);
  const auto [energy_layer, top] = highest(energy);
  std::string text = fmt::format(
      "At y, the sum after the feed-forward block, kurtosis goes from {} in layer {:g} to {} in layer {:g}: "
      "it {} with depth (Spearman's rho = {:.2f}) and is largest in layer {:g} with {} (a normal gives 3). "
      "The "
      "top 1 % of channels hold at most {:.1f} % of "
      "the energy there (layer {:g}; an even spread gives 1 %)",
      rounded(first), first_layer, rounded(last), last_layer, trend_word(kurtosis), spearman(kurtosis),
      peak_layer, rounded(peak), top, energy_layer);
  const auto shared =
      find_measurement(all, "shared_loud_channels", "", "", "channels_loud_in_half_of_the_sites");
  const auto sites = find_measurement(all, "shared_loud_channels", "", "", "sites");
  if (shared && sites) {
    const auto channels = static_cast<std::size_t>(shared->estimate());
    text += fmt::format(
        "; {} (above six times the median channel's largest value) at half or more of the "
        "{:g} sites of the residual stream",
        so_many(channels, "channel") + (channels > 1 ? " have outliers" : " has outliers"),
        sites->estimate());
  }
  return text + ".";
}

std::string read_calibration(const Measurements& all) {
  const auto loss = loss_of(all);
  if (!loss) return missing("accuracy of fp32 and minmax");
  const auto others = settings(all);
  if (others.empty()) return missing("accuracy of a calibrator besides minmax");
  if (!loss->significant()) return nothing_to_repair(*loss, others);
  const Accuracy &top = best(others), &bottom = worst(others);
  const std::size_t halves = count(others, [&](const Accuracy& a) { return loss->recovery(a) >= 0.5; });
  const std::size_t below = count(others, [&](const Accuracy& a) { return a.high < loss->w8a8.low; });
  std::string text = fmt::format(
      "Of {} ways to choose a static range, the best, {}{}, wins back {:.0f} % of the {:.2f} points that "
      "min-max loses, chosen on the examples that it is evaluated on. {} at least half of the loss",
      others.size(), top.label(), alike(others), 100 * loss->recovery(top), loss->size(),
      capitalized(so_many(halves, "setting")) + (halves == 1 || halves == 0 ? " wins back" : " win back"));
  text += below == 0
              ? ", and none falls below min-max beyond the intervals."
              : fmt::format(", and {} below min-max beyond the intervals, lowest {}.",
                            so_many(below, "setting") + (below == 1 ? " falls" : " fall"), bottom.label());
  return text;
}

/// Whether a site quantized alone costs something: McNemar's p below 0.01 shared among all sites
/// (Bonferroni).
std::string sensitivity(const Measurements& all) {
  const Measurement* lowest = nullptr;
  std::size_t sites = 0;
  for (const Measurement& m : all) {
    if (m.variant != "only_one" || m.metric != "accuracy") continue;
    ++sites;
    if (!lowest || m.estimate() < lowest->estimate()) lowest = &m;
  }
  if (!lowest) return "";
  const Accuracy accuracy = accuracy_of(*lowest);
  const Measurement* p = find_measurement(all, "only_one", "site", lowest->value, "mcnemar_p");
  const bool costs = p && p->estimate() < 0.01 / static_cast<double>(sites);
  return fmt::format(
      "of {} sites quantized alone, {} (least: {}, {:.2f} [{:.2f}, {:.2f}])", sites,
      costs ? "the worst costs a significant part of the accuracy" : "none costs anything significant",
      lowest->value, accuracy.value, accuracy.low, accuracy.high);
}

/// "x+h+y" has three parts.
std::size_t parts(const std::string& value) {
  return 1 + static_cast<std::size_t>(std::count(value.begin(), value.end(), '+'));
}

/// The smallest set of sites in float that repairs; the best of its size.
std::optional<Accuracy> smallest_repair(const Measurements& all, const Loss& loss) {
  std::optional<Accuracy> smallest;
  std::size_t size = 0;
  for (const Measurement& m : all) {
    if (m.variant != "sites" || m.parameter != "float" || m.metric != "accuracy") continue;
    const Accuracy accuracy = accuracy_of(m);
    if (loss.recovery(accuracy) < repaired) continue;
    if (smallest && (parts(m.value) > size || (parts(m.value) == size && accuracy.value <= smallest->value)))
      continue;
    smallest = accuracy;
    smallest->name = m.value;
    size = parts(m.value);
  }
  return smallest;
}

std::string read_mixed_precision(const Measurements& all) {
  const auto loss = loss_of(all);
  if (!loss) return missing("accuracy of fp32 and w8a8");
  const auto others = settings(all);
  if (others.empty()) return missing("accuracy of a mixed setting");
  if (!loss->significant()) return nothing_to_repair(*loss, others);
  const Measurement* main = find_measurement(all, "sites", "float", "x+h+y", "accuracy");
  std::string text = main ? fmt::format(
                                "With x, h and y in float the accuracy is {:.2f}, which wins back "
                                "{:.0f} % of the {:.2f} points lost",
                                main->estimate(), 100 * loss->recovery(accuracy_of(*main)), loss->size())
                          : "The rows do not hold x, h and y in float together";
  const auto smallest = smallest_repair(all, *loss);
  text += smallest ? fmt::format("; the smallest set that wins back three quarters is {} ({:.2f}).",
                                 smallest->name, smallest->value)
                   : "; no set of these sites wins back three quarters of the loss.";
  if (const auto channels = accuracies(all, "channels"); !channels.empty())
    text += " Keeping the channels of most energy in float instead gives at best " +
            loss->recovered(best(channels));
  if (const std::string sites = sensitivity(all); !sites.empty())
    text += text.back() == '.' ? " " + capitalized(sites) : "; " + sites;
  return text.back() == '.' ? text : text + ".";
}

/// The accuracies of a variant of PEG by the number of groups.
std::vector<std::pair<int, Accuracy>> by_groups(const Measurements& all, const std::string& variant) {
  std::vector<std::pair<int, Accuracy>> points;
  for (const Measurement& m : all) {
    if (m.variant != variant || m.parameter != "groups" || m.metric != "accuracy") continue;
    int groups = 0;
    std::from_chars(m.value.data(), m.value.data() + m.value.size(), groups);
    points.emplace_back(groups, accuracy_of(m));
  }
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return points;
}

std::string groups_needed(const std::vector<std::pair<int, Accuracy>>& points, const Loss& loss) {
  for (const auto& [groups, accuracy] : points) {
    if (loss.recovery(accuracy) >= repaired) return fmt::format("K = {} ({:.2f})", groups, accuracy.value);
  }
  return fmt::format("more than the {} groups tried", points.back().first);
}

std::string read_peg(const Measurements& all) {
  const auto loss = loss_of(all);
  if (!loss) return missing("accuracy of fp32 and w8a8");
  const auto plain = by_groups(all, "peg"), sorted = by_groups(all, "peg-permuted");
  if (plain.empty()) return missing("accuracy of peg");
  if (!loss->significant()) return nothing_to_repair(*loss, settings(all));
  std::string text = "To win back three quarters of the loss, groups of neighbouring channels need " +
                     groups_needed(plain, *loss);
  if (!sorted.empty()) text += "; groups of channels sorted by range need " + groups_needed(sorted, *loss);
  const auto& [fewest, coarse] = plain.front();
  const auto& [most, fine] = plain.back();
  return text +
         fmt::format(". K = {} wins back {:.0f} % of the {:.2f} points lost, K = {} wins back {:.0f} %.",
                     fewest, 100 * loss->recovery(coarse), loss->size(), most, 100 * loss->recovery(fine));
}

/// The most that KL divergence from float reaches under any transform of a variant.
double largest_kl(const Measurements& all, const std::string& variant) {
  double largest = 0;
  for (const Measurement& m : all) {
    if (m.variant == variant && m.parameter == "transform" && m.metric == "kl")
      largest = std::max(largest, m.estimate());
  }
  return largest;
}

/// The transform under which a variant is closest to float; none if it has rows of none.
const Measurement* closest_to_float(const Measurements& all, const std::string& variant) {
  const Measurement* closest = nullptr;
  for (const Measurement& m : all) {
    if (m.variant != variant || m.parameter != "transform" || m.metric != "kl" || m.value == "none") continue;
    if (!closest || m.estimate() < closest->estimate()) closest = &m;
  }
  return closest;
}

/// Transforms that cost accuracy beyond the intervals where x, h and y are in float; empty if none does.
std::string harm(const Measurements& all) {
  const Measurement* plain = find_measurement(all, "mp-xhy", "transform", "none", "accuracy");
  if (!plain) return "";
  std::vector<Accuracy> below;
  for (const Accuracy& a : accuracies(all, "mp-xhy")) {
    if (a.high < accuracy_of(*plain).low) below.push_back(a);
  }
  if (below.empty()) return "";
  const std::string& name = worst(below).name;
  return fmt::format("; with x, h and y in float {} below the {:.2f} % without, lowest {} with {:.2f} %",
                     so_many(below.size(), "transform") + (below.size() == 1 ? " falls" : " fall"),
                     plain->estimate(), name.substr(name.find('=') + 1), worst(below).value);
}

std::string read_transforms(const Measurements& all) {
  const auto loss = loss_of(all);
  std::vector<Accuracy> repaired_by;
  for (const Accuracy& a : accuracies(all, "w8a8")) {
    if (a.name != "w8a8") repaired_by.push_back(a);
  }
  const Measurement* closest = closest_to_float(all, "attention-4-bit");
  const Measurement* plain = find_measurement(all, "attention-4-bit", "transform", "none", "kl");
  if (!loss || repaired_by.empty() || !closest || !plain)
    return missing("W8A8 and 4-bit attention with and without transforms");
  std::string text = fmt::format(
      "In float the rewrites change the class probabilities by a KL divergence of at "
      "most {:.1g} nats; ",
      largest_kl(all, "fp32"));
  if (loss->significant()) {
    const Accuracy& top = best(repaired_by);
    text += fmt::format("on W8A8 the best, {}, wins back {:.0f} % of the {:.2f} points lost", top.label(),
                        100 * loss->recovery(top), loss->size());
  } else {
    text += "W8A8 loses nothing significant here, so there is nothing to repair";
  }
  return text + harm(all) +
         fmt::format(
             ". With nothing but the attention's sites quantized, to 4 bits, the KL divergence is "
             "{} nats without a transform and {} with the best, {}.",
             format_number(plain->estimate()), format_number(closest->estimate()), closest->value);
}

std::string read_any(const Measurements& all) {
  const auto others = settings(all);
  if (others.empty()) return "The file holds " + so_many(all.size(), "measured figure") + ".";
  std::string text = capitalized(between(others)) + ".";
  if (const auto loss = loss_of(all)) text += " The references are " + loss->text() + ".";
  return text;
}

}  // namespace

static std::string read_rows_of(const std::string& experiment, const Measurements& all) {
  if (experiment == "baseline") return read_baseline(all);
  if (experiment == "activations") return read_activations(all);
  if (experiment == "calibration") return read_calibration(all);
  if (experiment == "mixed_precision") return read_mixed_precision(all);
  if (experiment == "peg") return read_peg(all);
  if (is_deployment(experiment)) return read_deployment(all);
  if (experiment == "transforms") return read_transforms(all);
  if (experiment == "peers") return read_peers(all);
  if (experiment == "roofline") return read_roofline(all);
  if (experiment == "rounding") return read_rounding(all);
  return read_any(all);
}

std::string reading(const std::string& experiment, const ResultSet& results) {
  const std::string text = read_rows_of(experiment, measurements(results.rows(experiment)));
  const auto record = results.records.find(experiment);
  if (is_deployment(experiment) && record != results.records.end()) {
    const std::string execution = execution_text(record->second);
    return execution.empty() ? text : text + " Executed: " + execution + ".";
  }
  const Coverage coverage = coverage_of(results, experiment);
  return coverage.limited ? text + " Evaluated: " + coverage.text() + "." : text;
}

}  // namespace outlierlab
