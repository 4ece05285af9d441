// Where one pass of a method spends its time.
#pragma once

#include <vector>

#include "data/batch.h"
#include "engine/executor.h"
#include "experiments/deployment_methods.h"
#include "model/hook.h"
#include "model/runner.h"

namespace outlierlab {

/// Rows time_share_products, _quantize, _dequantize (_quantize_dequantize of a simulation, which does both in
/// one pass over the values) and _rest, in percent of all threads' time, waiting included, or of a device's:
/// of the fastest of several passes over the batch. None where the engine keeps no profile. `profiled` was
/// made to keep one.
std::vector<Row> time_shares(const Method& method, engine::Executor& profiled, const Batch& batch);
/// The same of the suite's own network, whose `quantizer` is null for floats.
std::vector<Row> time_shares(const Method& method, const BertRunner& runner, SiteHook* quantizer,
                             const Batch& batch);

}  // namespace outlierlab
