#pragma once

#include <functional>

namespace outlierlab {

/// Runs a program's body and turns what it throws into one line on stderr and an exit code: 2 for UsageError,
/// 1 for any other exception.
int guarded(const std::function<int()>& body);

}  // namespace outlierlab
