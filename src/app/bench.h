#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/options.h"

namespace outlierlab {

/// Times `variants` calibrators of W8A8 as one sweep of the study machinery against as many evaluations that
/// share nothing, each of which opens model and data, captures, calibrates, quantizes, evaluates and scores
/// as `outlierlab eval` does; simulated and, where it agrees under every calibrator on the first examples, on
/// the integer engine. Prints a table and returns its rows.
nlohmann::ordered_json bench_sweep(const CommonOptions& options, std::size_t variants);

/// Times processes that answer one pair of texts (`outlierlab classify`), from their start to their answer,
/// in float and from a packed int8 model that agrees with its simulation, with the model's files in the page
/// cache and dropped from it. Prints a table and returns its rows.
nlohmann::ordered_json bench_startup(const CommonOptions& options, std::size_t repeats);

}  // namespace outlierlab
