#pragma once

#include "core/error.h"

namespace outlierlab {

/// An engine says that it cannot execute something which others may: a scheme, a precision, on this device.
/// Studies leave out what is refused and say so; any other Error ends them.
class Refusal : public UsageError {
 public:
  using UsageError::UsageError;
};

}  // namespace outlierlab
