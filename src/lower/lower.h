#pragma once

#include "engine/model.h"
#include "model/weights.h"
#include "quant/scheme.h"

namespace outlierlab {

/// Translates a network and a scheme into what the engine executes: weights become int8 codes (as the
/// scheme's weight quantizers give them), every site its grids. `weights` are in float, after any transforms;
/// `calibrated` holds the scheme's grids; `statistics` serves weight quantizers that need their input's.
///
/// A scheme that the engine cannot execute is a Refusal that names the scheme, the site or weight, and
/// what would be needed: activations or weights in blocks, weights of 9 to 16 bits, weight grids that are not
/// uniform. A scheme without any 8-bit weight lowers to a model in float, which runs, but not in integers;
/// see Model::integer_products().
engine::Model lower(const BertWeights& weights, const Scheme& scheme, const ActivationQuantizer& calibrated,
                    const NetworkStatistics* statistics);

/// The two halves of lower(), for several schemes that quantize the weights of one network alike: the weights
/// once, with every site in float (copies share them), and then each scheme's sites.
engine::Model lower_weights(const BertWeights& weights, const Scheme& scheme,
                            const NetworkStatistics* statistics);
engine::Model lower_sites(engine::Model model, const SiteTable& sites, const Scheme& scheme,
                          const ActivationQuantizer& calibrated);

}  // namespace outlierlab
