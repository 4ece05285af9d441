#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/model.h"
#include "model/config.h"

namespace outlierlab {

/// Maps a packed model (`outlierlab pack`) that must be of the network with this configuration: the
/// same sizes and labels. Throws Error naming the file and what differs.
std::shared_ptr<const engine::Model> read_packed_model_of(const std::filesystem::path& file,
                                                          const BertConfig& config);

/// The name of the scheme that a packed model was made with.
std::string packed_scheme(const engine::Model& model);
/// That scheme as an INI file; empty where the file does not say.
std::string packed_scheme_text(const engine::Model& model);

}  // namespace outlierlab
