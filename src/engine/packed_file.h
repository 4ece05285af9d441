#pragma once

#include <memory>
#include <string>

#include "engine/model.h"

namespace outlierlab::engine {

/// Metadata that every packed file has.
constexpr const char* packed_format = "outlierlab-packed";
constexpr const char* packed_version = "1";

/// Maps a packed model (`outlierlab pack`): a safetensors file with int8 weights ("NAME.weight", I8, and
/// "NAME.weight.scale", F32, of 1 or one per row) or float ones (F32), biases and LayerNorm's vectors (F32)
/// and LayerNorm's "epsilon" (F32, of 1); "sites.SITE.scale" (F32) and "sites.SITE.zero" (I32) of static
/// sites; and in its metadata, all strings: "format", "version", "shape.*", "site.SITE" = "real" or "KIND
/// BITS affine|symmetric" with " outliers THRESHOLD" behind it where values above it stay in float,
/// "bits.WEIGHT", "fact.*". Weights are used where they lie in the map, so that a code takes a byte whatever
/// its bits.
///
/// Whatever is missing, damaged, unknown or of another version, and bytes that no tensor or more than one
/// has, is an Error that names file and tensor, what was expected and found.
std::shared_ptr<const Model> read_packed_model(const std::string& path);

}  // namespace outlierlab::engine
