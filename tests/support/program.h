// The built program as a user runs it.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/files.h"
#include "paths.h"

namespace test {

struct Outcome {
  int code;
  std::string out, err;
};

inline std::string quoted(const std::string& text) {
  std::string result = "'";
  for (char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// Runs `PROGRAM ARGUMENTS` in a folder, with a prefix such as "env -u OUTLIERLAB_DATA".
inline Outcome run_program(const std::string& program, const std::string& arguments,
                           const std::string& prefix = "",
                           const std::filesystem::path& folder = OUTLIERLAB_SOURCE_DIR) {
  const auto scratch = test::scratch("command-line");
  const std::string command = "cd " + quoted(folder.string()) + " && " + prefix + " " +
                              quoted(program) + " " + arguments + " >" +
                              quoted((scratch / "out").string()) + " 2>" + quoted((scratch / "err").string());
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, outlierlab::read_file(scratch / "out"),
          outlierlab::read_file(scratch / "err")};
}

inline Outcome run(const std::string& arguments, const std::string& prefix = "",
                   const std::filesystem::path& folder = OUTLIERLAB_SOURCE_DIR) {
  return run_program(OUTLIERLAB_BINARY, arguments, prefix, folder);
}

}  // namespace test
