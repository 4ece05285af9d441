#pragma once

#include <string>

#include "core/error.h"
#include "engine/executor.h"

namespace outlierlab {

/// An engine says that it cannot execute something which others may: a scheme, a network, a precision, on
/// this device. Studies leave out what is refused and say so; any other Error ends them.
class Refusal : public UsageError {
 public:
  using UsageError::UsageError;
};

namespace engine {

/// Throws Refusal: "PLACE: expected EXPECTED, found FOUND".
[[noreturn]] void refuse(const std::string& place, const std::string& expected, const std::string& found);

/// Throws Refusal where a GPU of this compute capability is too old for a precision: bfloat16 needs 8.0,
/// float8 8.9.
void require_precision(const std::string& device, int major, int minor, RealPrecision real);

}  // namespace engine

}  // namespace outlierlab
