#include "report/peers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "report/coverage.h"
#include "report/inference.h"
#include "report/paper_values.h"

namespace outlierlab {

namespace {

struct Library {
  const char *prefix, *name;
};
constexpr Library libraries[] = {
    {"torch", "PyTorch"}, {"ort", "ONNX Runtime"}, {"ct2", "CTranslate2"}, {"outlierlab", "outlierlab"}};

std::string prefix_of(const std::string& variant) {
  return variant.substr(0, variant.find('-'));
}

/// The row's own interval, else Wilson's for so many right of n.
void set_accuracy(Peer& peer, const Measurement& m) {
  peer.accuracy = m.estimate();
  if (const auto interval = m.interval()) {
    std::tie(peer.accuracy_low, peer.accuracy_high) = *interval;
  } else if (m.fixed && m.fixed->n && *m.fixed->n > 0) {
    const auto n = static_cast<double>(*m.fixed->n);
    const auto right = static_cast<std::uint64_t>(std::llround(n * std::clamp(m.estimate() / 100, 0.0, 1.0)));
    const auto [low, high] = wilson_interval(right, *m.fixed->n);
    peer.accuracy_low = 100 * low;
    peer.accuracy_high = 100 * high;
  }
}

std::string with_span(std::optional<double> value, std::optional<double> low, std::optional<double> high,
                      int decimals) {
  if (!value) return "-";
  std::string text = fmt::format("{:.{}f}", *value, decimals);
  if (low && high) text += fmt::format(" [{:.{}f}, {:.{}f}]", *low, decimals, *high, decimals);
  return text;
}

/// Who falls below float32's accuracy by more than what counts as kept; empty if nobody does.
std::string losses_of(const std::vector<Peer>& peers) {
  const std::optional<double> reference = float_accuracy(peers);
  if (!reference) return "";
  std::string text;
  bool others_static = false;
  for (const Peer& p : peers) {
    if (!p.accuracy || keeps_accuracy(peers, p)) continue;
    text +=
        fmt::format("{}{} falls by {:.1f} points to {:.1f} % (at {:.0f} examples/s)",
                    text.empty() ? "" : "; ", p.label(), *reference - *p.accuracy, *p.accuracy, p.throughput);
    others_static = others_static || (!p.is_ours() && p.variant.find("static") != std::string::npos);
  }
  if (text.empty()) return "";
  const PaperValue *fp32 = find_paper_value("baseline", "fp32", "", "", "accuracy"),
                   *w8a8 = find_paper_value("baseline", "w8a8", "", "", "accuracy");
  if (others_static && fp32 && w8a8)
    text += fmt::format(". The paper's static W8A8 falls from {} to {} % on its own network (C1)",
                        fp32->text(), w8a8->text());
  return "Not so accurate: " + text + ".";
}

std::string speed(const Peer& p) {
  std::string text = fmt::format("{}: {:.0f} examples/s", p.label(), p.throughput);
  return p.accuracy ? text + fmt::format(" at {:.1f} %", *p.accuracy) : text;
}

}  // namespace

std::string Peer::library() const {
  for (const Library& l : libraries) {
    if (prefix_of(variant) == l.prefix) return l.name;
  }
  return prefix_of(variant);
}

std::string Peer::label() const {
  // Ours name a scheme: "outlierlab-int8-peg-6-permuted".
  const std::string ours = "outlierlab-int8-";
  if (variant.rfind(ours, 0) == 0) return "outlierlab int8, " + variant.substr(ours.size());
  std::string rest = variant.substr(std::min(variant.size(), prefix_of(variant).size()));
  std::replace(rest.begin(), rest.end(), '-', ' ');
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const auto at = rest.find(from); at != std::string::npos) rest.replace(at, from.size(), to);
  };
  replace("fp32", "float32");
  replace("bf16", "bfloat16");
  replace("pad128", "padded to 128");
  return library() + rest;
}

std::vector<Peer> peers_of(const std::vector<Measurement>& all) {
  std::vector<Peer> peers;
  const auto peer = [&](const std::string& variant) -> Peer& {
    for (Peer& p : peers) {
      if (p.variant == variant) return p;
    }
    peers.push_back({});
    peers.back().variant = variant;
    return peers.back();
  };
  for (const Measurement& m : all) {
    Peer& p = peer(m.variant);
    if (m.metric == "throughput_examples") {
      p.throughput = p.slowest = p.fastest = m.estimate();
      if (const auto span = m.interval()) std::tie(p.slowest, p.fastest) = *span;
    } else if (m.metric == "speedup") {
      p.speedup = m.estimate();
      if (const auto span = m.interval()) std::tie(p.speedup_low, p.speedup_high) = *span;
    } else if (m.metric == "accuracy") {
      set_accuracy(p, m);
    }
  }
  peers.erase(std::remove_if(peers.begin(), peers.end(), [](const Peer& p) { return p.throughput <= 0; }),
              peers.end());
  return peers;
}

const Peer* fastest(const std::vector<Peer>& peers, const std::function<bool(const Peer&)>& condition) {
  const Peer* best = nullptr;
  for (const Peer& p : peers) {
    if (condition(p) && (!best || p.throughput > best->throughput)) best = &p;
  }
  return best;
}

std::vector<Table> peers_tables(const std::vector<Measurement>& all) {
  const std::uint64_t n = common_examples(all);
  Table table{n > 0 ? "peers (n = " + count_with_commas(n) + ")" : "peers",
              {"program", "examples per second", "speed relative to PyTorch float32", "accuracy, %"},
              {}};
  for (const Peer& p : peers_of(all)) {
    table.rows.push_back({p.label(), with_span(p.throughput, p.slowest, p.fastest, 1),
                          with_span(p.speedup, p.speedup_low, p.speedup_high, 2),
                          with_span(p.accuracy, p.accuracy_low, p.accuracy_high, 2)});
  }
  return {table};
}

std::string read_peers(const std::vector<Measurement>& all) {
  const std::vector<Peer> peers = peers_of(all);
  const auto pick = [&](bool ours, bool integer) {
    return fastest(peers, [&](const Peer& p) {
      return p.is_ours() == ours && p.is_integer() == integer && keeps_accuracy(peers, p);
    });
  };
  const Peer *our_float = pick(true, false), *their_float = pick(false, false),
             *our_integer = pick(true, true), *their_integer = pick(false, true);
  const std::string losses = losses_of(peers);
  std::string text;
  if (!our_float || !their_float || !our_integer || !their_integer) {
    text = losses.empty() ? "The rows do not hold float and integer execution of this program and of another."
                          : "The rows do not hold float and integer execution of this program and of another "
                            "that keep float32's accuracy.";
    return losses.empty() ? text : text + " " + losses;
  }
  const std::optional<double> reference = float_accuracy(peers);
  text = fmt::format(
      "In floating point the fastest are {} and {} ({:.2f} times the former's speed); in 8 bits{} {} and {} "
      "({:.2f} times). Examples per second are medians over the repeats, all on the same examples, batches "
      "and "
      "threads, with tokenization left out.",
      speed(*their_float), speed(*our_float), our_float->throughput / their_float->throughput,
      reference ? fmt::format(", within {:g} point of float32's {:.1f} %,", kept_points, *reference) : "",
      speed(*their_integer), speed(*our_integer), our_integer->throughput / their_integer->throughput);
  return losses.empty() ? text : text + " " + losses;
}

std::optional<double> float_accuracy(const std::vector<Peer>& peers) {
  for (const char* variant : {"torch-fp32", "outlierlab-fp32"}) {
    for (const Peer& p : peers) {
      if (p.variant == variant && p.accuracy) return p.accuracy;
    }
  }
  return std::nullopt;
}

bool keeps_accuracy(const std::vector<Peer>& peers, const Peer& peer) {
  const std::optional<double> reference = float_accuracy(peers);
  constexpr double rounding = 1e-6;  // 82.7 - 81.7 is a hair above 1
  return !reference || (peer.accuracy && *peer.accuracy >= *reference - kept_points - rounding);
}

}  // namespace outlierlab
