// The engine goes where there is nothing else: a machine with a GPU and its toolkit.
#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "catch.h"
#include "core/files.h"
#include "paths.h"

using namespace outlierlab;

namespace {

struct Include {
  std::string file, name;
  bool quoted;
};

/// All includes of the sources that are built with OUTLIERLAB_SUITE=OFF.
std::vector<Include> includes() {
  const std::regex line("#\\s*include\\s*([<\"])([^>\"]+)[>\"]");
  std::vector<Include> all;
  for (const char* folder : {"src/core", "src/kernels", "src/engine"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(test::source(folder))) {
      const std::string stem = entry.path().stem().string();
      const bool of_the_suite =
          entry.path().parent_path().filename() == "core" && (stem == "ini" || stem == "sha256");
      if (!entry.is_regular_file() || of_the_suite) continue;
      const std::string text = read_file(entry.path());
      for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at)
        all.push_back({entry.path().string(), (*at)[2], (*at)[1] == "\""});
    }
  }
  return all;
}

}  // namespace

TEST_CASE("The engine includes what is below it, the system's and CUDA's headers, and no package's",
          "[engine]") {
  const std::set<std::string> cuda = {"cuda_runtime.h", "cuda_fp8.h", "cuda_fp16.h", "cuda_bf16.h",
                                      "cublasLt.h"};
  const std::vector<Include> all = includes();
  REQUIRE(all.size() > 300);
  for (const Include& include : all) {
    INFO(include.file << " includes " << include.name);
    const std::string& name = include.name;
    const std::string folder = name.substr(0, name.find('/'));
    if (include.quoted) {
      // emulation.h stands in for CUDA's own headers in the tests.
      REQUIRE((folder == "core" || folder == "kernels" || folder == "engine" || name == "emulation.h"));
      REQUIRE(name != "core/ini.h");
      REQUIRE(name != "core/sha256.h");
    } else if (name.find('/') != std::string::npos) {
      REQUIRE(folder == "sys");
    } else if (cuda.count(name) == 0) {
      // Of the standard library, the compiler and the C library: their names have no capital letter.
      REQUIRE(std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
      REQUIRE(std::filesystem::path(name).stem() != "hdf5");
      REQUIRE(std::filesystem::path(name).stem() != "fmt");
    }
  }
}
