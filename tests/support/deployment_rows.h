// What the rows of `deployment` on a processor have to hold.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "catch.h"
#include "experiments/deployment.h"
#include "experiments/deployment_methods.h"
#include "report/row.h"

namespace test {

/// Every figure of every method, batch and length that a network of so many positions has; `not_timed` is the
/// record's: methods with reasons.
inline void require_complete_deployment(const std::vector<outlierlab::Row>& rows, std::size_t positions,
                                        const nlohmann::json& not_timed) {
  std::set<std::tuple<std::string, std::string, std::string, std::string>> found;
  for (const outlierlab::Row& row : rows) found.insert({row.variant, row.parameter, row.value, row.metric});
  const auto require = [&](const std::string& variant, const std::string& parameter, const std::string& value,
                           const std::vector<std::string>& metrics) {
    for (const std::string& metric : metrics) {
      INFO(variant << ", " << parameter << " " << value << ", " << metric);
      REQUIRE(found.count({variant, parameter, value, metric}) == 1);
    }
  };
  const outlierlab::DeploymentPlan plan;
  const std::string measured = std::to_string(plan.measured_examples) + "x" +
                               std::to_string(std::min(plan.measured_length, positions));
  for (const outlierlab::Method& method : outlierlab::execution_methods("int8")) {
    const std::string variant = method.variant();
    if (not_timed.contains(variant)) continue;
    require(variant, "", "", {"weight_bytes", "memory_weights_mb"});
    if (method.on_engine())
      require(variant, "", "",
              {"engine_exact_agreement", "float32_exact_agreement", "engine_accuracy_change"});
    require(variant, "profile", measured, {"time_share_products", "time_share_rest"});
    if (method.kind == outlierlab::Method::Kind::integer)
      require(variant, "profile", measured, {"time_share_quantize", "time_share_dequantize"});
    if (method.kind == outlierlab::Method::Kind::simulated)
      require(variant, "profile", measured, {"time_share_quantize_dequantize"});
    for (const std::size_t examples : plan.examples) {
      for (const std::size_t length : plan.lengths) {
        if (length > positions) continue;
        const std::string cell = std::to_string(examples) + "x" + std::to_string(length);
        require(variant, "batch x length", cell,
                {"latency_p50_ms", "throughput_examples", "throughput_tokens", "speedup"});
        require(variant, "process", cell, {"memory_process_mb"});
      }
    }
  }
  require("tokenizer", "", "", {"throughput_examples", "throughput_tokens"});
}

}  // namespace test
