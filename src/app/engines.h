#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/executor.h"

namespace outlierlab {

/// What executes a model in integers: "int8" on the CPU, "cuda" on a GPU.
const std::vector<std::string>& engine_names();

/// Those that this build has and this machine can run.
std::vector<std::string> available_engines();

/// An executor by name, with its default options. "cuda" in a build without it, or where there is no device,
/// is an Error that says what is needed.
std::unique_ptr<engine::Executor> make_executor(const std::string& name,
                                                std::shared_ptr<const engine::Model> model);

}  // namespace outlierlab
