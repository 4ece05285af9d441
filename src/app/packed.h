#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "app/options.h"
#include "engine/model.h"
#include "model/config.h"

namespace outlierlab {

/// Throws UsageError for an option that `packed`, unless it is empty, has answered: the scheme and how it was
/// calibrated.
void refuse_beside_packed(const Options& options, const std::filesystem::path& packed);

/// Maps a packed model (`outlierlab pack`) that must be of the network with this configuration: the
/// same sizes and labels. Throws Error naming the file and what differs.
std::shared_ptr<const engine::Model> read_packed_model_of(const std::filesystem::path& file,
                                                          const BertConfig& config);

/// The name of the model that `pack` made it of; empty where the file does not say.
std::string packed_model_name(const engine::Model& packed);
/// Throws Error, naming the file, if it was made of another network than the one with this name and this
/// checkpoint_digest(), or does not say of which. The names may differ: a folder may have been moved.
void require_packed_from(const std::filesystem::path& file, const engine::Model& packed,
                         const std::string& name, const std::function<std::string()>& digest);

/// The name of the scheme that a packed model was made with.
std::string packed_scheme(const engine::Model& model);
/// That scheme as an INI file; empty where the file does not say.
std::string packed_scheme_text(const engine::Model& model);

}  // namespace outlierlab
