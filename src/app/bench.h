#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/options.h"

namespace outlierlab {

/// Times `variants` calibrators of W8A8 as one sweep of the study machinery against as many evaluations that
/// share nothing, each of which opens model and data, captures, calibrates, quantizes, evaluates and scores
/// as `outlierlab eval` does; simulated and, where it agrees under every calibrator on the first examples, on
/// the integer engine. Prints a table and returns its rows. The sweeps are those of `sweep_engines`, or the
/// ones among them that `only` names; evaluations that simulate and share nothing are always timed.
nlohmann::ordered_json bench_sweep(const CommonOptions& options, std::size_t variants,
                                   const std::vector<std::string>& only);
inline const std::vector<std::string> sweep_engines = {"simulated", "int8", "auto"};

/// Times processes that answer one pair of texts (`outlierlab classify`), from their start to their answer,
/// in float and from a packed int8 model that agrees with its scheme, with the model's files in the page
/// cache and dropped from it. Prints a table and returns its rows.
nlohmann::ordered_json bench_startup(const CommonOptions& options, std::size_t repeats);

}  // namespace outlierlab
