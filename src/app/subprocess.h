#pragma once

#include <string>
#include <vector>

namespace outlierlab {

/// Runs this program (the file of the running process) with other arguments and returns what it writes to
/// stdout; its stderr is this one's. Throws Error naming the command if it cannot be started or does not
/// exit with 0.
std::string run_self(const std::vector<std::string>& arguments);

}  // namespace outlierlab
