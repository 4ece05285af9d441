#include "report/inference.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "paths.h"

using namespace outlierlab;

namespace {
const nlohmann::json& golden() {
  static const nlohmann::json values =
      nlohmann::json::parse(read_file(test::source("tests/golden/inference.json")));
  return values;
}

Matrix matrix(const std::vector<float>& values, std::size_t cols) {
  Matrix m(values.size() / cols, cols);
  std::copy(values.begin(), values.end(), m.data());
  return m;
}
}  // namespace

TEST_CASE("Wilson's interval agrees with scipy", "[report]") {
  for (const auto& c : golden()["wilson"]) {
    INFO(c.dump());
    const auto [low, high] = wilson_interval(c[0], c[1]);
    REQUIRE(low == Approx(c[2].get<double>()).epsilon(1e-9).margin(1e-15));
    REQUIRE(high == Approx(c[3].get<double>()).epsilon(1e-9));
  }
  REQUIRE(wilson_interval(0, 7).first == 0);
  REQUIRE(wilson_interval(7, 7).second == 1);
  REQUIRE_ERROR(wilson_interval(0, 0), "at least one trial");
  REQUIRE_ERROR(wilson_interval(8, 7), "at most 7", "8");
}

TEST_CASE("McNemar's exact test agrees with scipy, also for large counts", "[report]") {
  for (const auto& c : golden()["mcnemar"]) {
    INFO(c.dump());
    REQUIRE(mcnemar_exact(c[0], c[1]) == Approx(c[2].get<double>()).epsilon(1e-8));
    REQUIRE(mcnemar_exact(c[1], c[0]) == mcnemar_exact(c[0], c[1]));
  }
}

TEST_CASE("the mean's interval agrees with scipy", "[report]") {
  for (const auto& c : golden()["student"]) {
    INFO(c.dump());
    const auto values = c["values"].get<std::vector<double>>();
    REQUIRE(mean_sd(values).first == Approx(c["mean"].get<double>()));
    REQUIRE(mean_sd(values).second == Approx(c["sd"].get<double>()).margin(1e-12));
    REQUIRE(student_interval(values).first == Approx(c["low"].get<double>()).epsilon(1e-9));
    REQUIRE(student_interval(values).second == Approx(c["high"].get<double>()).epsilon(1e-9));
  }
  REQUIRE(mean_sd({4}) == std::pair(4.0, 0.0));
  REQUIRE_ERROR(mean_sd({}), "at least one");
  REQUIRE_ERROR(student_interval({1}), "two values", "found 1");
}

TEST_CASE("KL agrees with scipy, keeps its order and refuses bad logits", "[report]") {
  const auto kl = golden()["kl"];
  const Matrix p = matrix(kl["reference"], kl["columns"]), q = matrix(kl["other"], kl["columns"]);
  REQUIRE(mean_kl(p, q) == Approx(kl["value"].get<double>()).epsilon(1e-10));
  REQUIRE(mean_kl(q, p) != Approx(kl["value"].get<double>()));
  REQUIRE(mean_kl(p, p) == 0);
  REQUIRE_ERROR(mean_kl(p, Matrix(4, 3, 0)), "[4, 2]", "[4, 3]");
  REQUIRE_ERROR(mean_kl(Matrix(), Matrix()), "at least one row");
  Matrix bad = q;
  bad(2, 1) = std::numeric_limits<float>::quiet_NaN();
  REQUIRE_ERROR(mean_kl(p, bad), "row 2");
  REQUIRE_ERROR(predictions(bad), "row 2");
}

TEST_CASE("the first of equal logits is predicted", "[report]") {
  REQUIRE(predictions(matrix({1, 1, 0, 2, -3, -2}, 2)) == std::vector<int>{0, 1, 1});
}
