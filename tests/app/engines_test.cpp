#include "app/engines.h"

#include <string>

#include "catch.h"
#include "core/error.h"

using namespace outlierlab;

namespace {

std::string message(const std::string& engine) {
  try {
    make_executor(engine, std::make_shared<const engine::Model>());
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("An engine that is not there says what it needs", "[engine][app]") {
  REQUIRE(message("cdua").find("did you mean 'cuda'?") != std::string::npos);
  REQUIRE(available_engines().front() == "int8");
#ifdef OUTLIERLAB_CUDA
  if (available_engines().size() == 1) REQUIRE(message("cuda").find("found 0 devices") != std::string::npos);
#else
  REQUIRE(message("cuda") ==
          "engine cuda: expected a build with the CUDA back end (cmake --preset cuda), found one without");
#endif
}
