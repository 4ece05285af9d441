// A run that is killed at any moment loses no finished row, and resuming it gives the files of an
// uninterrupted run.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "report/row.h"

namespace fs = std::filesystem;

namespace {

int run_in(const fs::path& out, const std::string& limit, const std::string& options) {
  const std::string command =
      "OUTLIERLAB_ROOT='" + test::source("").string() + "' timeout -s KILL " + limit + " '" +
      OUTLIERLAB_BINARY +
      "' run baseline peg --model demo-planted --limit 24 --calibration-size 16 --threads 1 --out '" +
      out.string() + "' " + options + " >/dev/null 2>&1";
  return std::system(command.c_str());
}

}  // namespace

TEST_CASE("A killed run resumes to the bytes of an uninterrupted one", "[app][resume]") {
  const fs::path folder = test::scratch("resume");
  REQUIRE(run_in(folder / "whole", "120", "") == 0);
  std::size_t rows = 0;
  bool was_cut = false;
  for (const char* limit : {"0.15", "0.3", "0.45", "0.6"}) {
    was_cut |= run_in(folder / "cut", limit, "--resume") != 0;
    // Whatever is there is complete and readable, and nothing that was there is lost.
    const fs::path file = folder / "cut" / "demo-planted-demo" / "baseline.csv";
    if (!fs::exists(file)) continue;
    const std::size_t found = outlierlab::read_rows(file).size();
    REQUIRE(found >= rows);
    REQUIRE(found % 4 == 0);
    rows = found;
  }
  REQUIRE(was_cut);
  REQUIRE(run_in(folder / "cut", "120", "--resume") == 0);
  for (const char* name : {"baseline.csv", "peg.csv"}) {
    INFO(name);
    REQUIRE(outlierlab::read_file(folder / "whole" / "demo-planted-demo" / name) ==
            outlierlab::read_file(folder / "cut" / "demo-planted-demo" / name));
  }
}
