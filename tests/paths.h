// Where tests find their files.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/temporary_folder.h"

namespace test {
inline std::filesystem::path source(const std::string& relative) {
  return std::filesystem::path(OUTLIERLAB_SOURCE_DIR) / relative;
}
/// $OUTLIERLAB_DATA/relative, or an empty path where the data is absent (the test then says so and returns).
inline std::filesystem::path data(const std::string& relative) {
  const char* root = std::getenv("OUTLIERLAB_DATA");
  if (!root) return {};
  std::filesystem::path path = std::filesystem::path(root) / relative;
  return std::filesystem::exists(path) ? path : std::filesystem::path();
}
/// An empty folder for one test, below one of this process, which ends with it.
inline std::filesystem::path scratch(const std::string& name) {
  static const outlierlab::TemporaryFolder all;
  const auto path = all.path() / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}
}  // namespace test

#define SKIP_WITHOUT_DATA(path)                                                \
  if ((path).empty()) {                                                        \
    WARN("skipped: needs OUTLIERLAB_DATA, the folder of the data and models"); \
    return;                                                                    \
  }
