#pragma once

#include <functional>
#include <string>
#include <vector>

namespace outlierlab {

/// Runs this program (the file of the running process) with other arguments and returns what it writes to
/// stdout; its stderr is this one's. `wrote`, if there, is called with what it has written so far whenever
/// more has come. Throws Error naming the command if it cannot be started or does not exit with 0.
std::string run_self(const std::vector<std::string>& arguments,
                     const std::function<void(const std::string& so_far)>& wrote = nullptr);

}  // namespace outlierlab
