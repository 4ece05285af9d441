#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/executor.h"

namespace outlierlab {

/// What executes a model in integers: "int8" on the CPU, "cuda" on a GPU.
const std::vector<std::string>& engine_names();

/// Those that this build has and this machine can run.
std::vector<std::string> available_engines();

/// Throws Error, which says what is needed, where an engine is not among them.
void require_engine(const std::string& name);

/// "float32", "bfloat16", "float16" or "float8"; anything else is a UsageError.
engine::RealPrecision precision_named(const std::string& name);

/// An executor by name; `real` is how it computes products whose sides are not both codes, its own choice
/// where none is given. "cuda" in a build without it, or where there is no device, is an Error that says what
/// is needed; so is a precision that the executor lacks.
std::unique_ptr<engine::Executor> make_executor(const std::string& name,
                                                std::shared_ptr<const engine::Model> model,
                                                std::optional<engine::RealPrecision> real = std::nullopt);

}  // namespace outlierlab
