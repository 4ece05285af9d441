#include "core/error.h"

#include "catch.h"

using namespace outlierlab;

namespace {

std::string message(const std::string& place, const std::string& found) {
  try {
    fail_expected(place, "a name", found);
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("What a file brings into an error stays on one line, without control characters", "[error]") {
  REQUIRE(message("f", "'x'") == "f: expected a name, found 'x'");
  REQUIRE(message("f\n", "\x1b[2J\x7f") == "f\\x0a: expected a name, found \\x1b[2J\\x7f");
  // Text in UTF-8 stays as it is, and is cut between its characters.
  REQUIRE(message("f", "\xc3\xa9") == "f: expected a name, found \xc3\xa9");
  std::string many = "x";
  for (int i = 0; i < 1000; ++i) many += "\xc3\xa9";
  const std::string cut = message("f", many);
  REQUIRE(cut.size() < 600);
  REQUIRE(cut.substr(cut.size() - 18) == "\xc3\xa9... (2001 bytes)");
}
