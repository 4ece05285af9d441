#pragma once

#include <filesystem>

#include "engine/model.h"

namespace outlierlab {

/// Writes a model as one safetensors file that engine::read_packed_model() maps (its format is described
/// there). Atomic. Returns the file's size in bytes.
std::size_t write_packed_model(const std::filesystem::path& path, const engine::Model& model);

}  // namespace outlierlab
