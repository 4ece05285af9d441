#include "app/engines.h"

#include <string>

#include "catch.h"
#include "core/error.h"
#include "engine/refusal.h"

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

TEST_CASE("A GPU too old for a precision refuses it, and says what it needs", "[engine][app]") {
  using engine::RealPrecision;
  const auto refusal = [](int major, int minor, RealPrecision real) -> std::string {
    try {
      engine::require_precision("GPU", major, minor, real);
    } catch (const Refusal& refused) {
      return refused.what();
    }
    return "";
  };
  REQUIRE(refusal(7, 5, RealPrecision::bfloat16) ==
          "GPU, bfloat16 products: expected compute capability 8.0 or higher, or float16, found 7.5");
  REQUIRE(refusal(8, 0, RealPrecision::bfloat16).empty());
  REQUIRE(refusal(8, 6, RealPrecision::float8).find("8.9 or higher") != std::string::npos);
  REQUIRE(refusal(8, 9, RealPrecision::float8).empty());
  REQUIRE(refusal(9, 0, RealPrecision::float8).empty());
  REQUIRE(refusal(7, 5, RealPrecision::float16).empty());
}
