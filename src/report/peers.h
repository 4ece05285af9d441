#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "report/measurement.h"
#include "report/table.h"

namespace outlierlab {

/// One program in the comparison that bench/peers/peers.py writes: torch-fp32, ort-int8-static, ...,
/// outlierlab-fp32, outlierlab-int8-w8a8.
struct Peer {
  std::string variant;
  double throughput = 0, slowest = 0, fastest = 0;  ///< examples/s: median, least and most over the repeats
  std::optional<double> speedup, speedup_low, speedup_high;     ///< over torch-fp32, repeat by repeat
  std::optional<double> accuracy, accuracy_low, accuracy_high;  ///< %, with Wilson's 95 % interval

  bool is_ours() const { return variant.rfind("outlierlab-", 0) == 0; }
  bool is_integer() const { return variant.find("-int8") != std::string::npos; }
  std::string library() const;  ///< "PyTorch"
  std::string label() const;    ///< "PyTorch int8 dynamic"
};

/// Those with a throughput, in the order of the rows.
std::vector<Peer> peers_of(const std::vector<Measurement>& all);

/// Of those that meet the condition the one with the largest throughput; null if none does.
const Peer* fastest(const std::vector<Peer>& peers, const std::function<bool(const Peer&)>& condition);

/// PyTorch's accuracy in float32, else this program's; none where the rows tell neither.
std::optional<double> float_accuracy(const std::vector<Peer>& peers);
/// So many points below it still count as keeping it.
constexpr double kept_points = 1;
/// True of everything where no accuracy in float32 is told; then false of a program without an accuracy.
bool keeps_accuracy(const std::vector<Peer>& peers, const Peer& peer);

std::vector<Table> peers_tables(const std::vector<Measurement>& all);
/// The fastest that keep float32's accuracy, in float and in 8 bits; then who does not.
std::string read_peers(const std::vector<Measurement>& all);

}  // namespace outlierlab
