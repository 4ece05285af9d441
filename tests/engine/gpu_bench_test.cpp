// gpu_bench as a user runs it, over the emulated device: what it compares, times and writes, not how fast.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "catch.h"
#include "core/files.h"
#include "lower/packed_model.h"
#include "report/row.h"
#include "support/emulated_cuda.h"
#include "support/program.h"
#include "support/tiny_model.h"

using namespace outlierlab;
using test::Outcome;
using test::quoted;

namespace {

/// tiny_bert() in a scheme.
std::string packed_model(const std::string& scheme = "w8a8") {
  const std::string path = (test::scratch("gpu-bench-model") / "packed.safetensors").string();
  write_packed_model(path, test::tiny_model(scheme));
  return path;
}

/// Runs it on that model, ten passes of each batch, and writes its three files into a folder.
Outcome gpu_bench(const std::filesystem::path& folder, const std::string& only,
                  const std::string& prefix = "", const std::string& scheme = "w8a8",
                  const std::string& batches = "1,2") {
  const auto out = [&](const char* name) { return quoted((folder / name).string()); };
  return test::run_program(OUTLIERLAB_GPU_BENCH,
                           "--model " + quoted(packed_model(scheme)) + " --only " + only + " --batch " +
                               batches + " --length 8 --repeats 10 --csv " + out("gpu.csv") + " --samples " +
                               out("samples.csv") + " --json " + out("gpu.json"),
                           prefix);
}

std::set<std::string> values_of(const std::vector<Row>& rows, const std::string& variant,
                                const std::string& metric) {
  std::set<std::string> found;
  for (const Row& row : rows) {
    if (row.variant == variant && row.metric == metric) found.insert(row.value);
  }
  return found;
}

}  // namespace

TEST_CASE("gpu_bench times what agrees, its products and the kernels between them", "[engine][cuda]") {
  const auto folder = test::scratch("gpu-bench");
  const Outcome outcome = gpu_bench(folder, "fp16,w8a8");
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  const std::vector<Row> rows = read_rows(folder / "gpu.csv");
  const std::set<std::string> cells = {"1x8", "2x8"};
  for (const std::string variant : {"fp16", "w8a8"}) {
    INFO(variant);
    for (const char* metric :
         {"latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "throughput_examples", "throughput_tokens",
          "memory_device_peak_mb", "speedup", "time_share_products"})
      REQUIRE(values_of(rows, variant, metric) == cells);
    REQUIRE(values_of(rows, variant, "logit_distance").size() == 1);
    REQUIRE_FALSE(values_of(rows, variant, "share_of_peak").empty());
    const std::set<std::string> kernels = values_of(rows, variant, "share_of_bound");
    REQUIRE(kernels == values_of(rows, variant, "kernel_us"));
    // Of the second layer's kernels those of first tokens are a size of their own.
    for (const char* kernel : {"2x8 embeddings 16x", "2x8 attention 16x", "2x8 attention norm 16x",
                               "2x8 output norm 16x", "2x8 first rows 2x", "2x8 attention 2x",
                               "2x8 output norm 2x", "2x8 pooler 2x", "1x8 attention 8x"}) {
      INFO(kernel);
      REQUIRE(std::any_of(kernels.begin(), kernels.end(),
                          [&](const std::string& k) { return k.rfind(kernel, 0) == 0; }));
    }
  }
  std::size_t shares = 0;
  for (const Row& row : rows) {
    if (row.metric == "kernel_us") REQUIRE(row.estimate == Approx(1e6 * test::emulated_launch_seconds));
    // Ten products, two of them queries, keys and values as one; nine kernels between them.
    if (row.metric == "time_share_products") REQUIRE(row.estimate == Approx(100.0 * 10 / 19));
    if (row.metric == "time_of_kernels_ms")
      REQUIRE(row.estimate == Approx(1e3 * 19 * test::emulated_launch_seconds));
    if (row.metric != "share_of_bound") continue;
    // A product's codes, the residual's and those that leave, 30 a row: beside a copy's 1e9 bytes a second.
    if (row.variant == "w8a8" && row.value == "2x8 attention norm 16x30 of 1440 bytes") {
      REQUIRE(row.estimate == Approx(100 * 1440 / 1e9 / test::emulated_launch_seconds));
      ++shares;
    }
    // Two examples of 8 x 8 scores: two products of 30 columns, beside 2e7 and 1e7 operations a second.
    if (row.value.rfind("2x8 attention 16x30", 0) == 0) {
      const double operations = 4.0 * 2 * 64 * 30, peak = row.variant == "w8a8" ? 2e7 : 1e7;
      REQUIRE(row.estimate == Approx(100 * operations / peak / test::emulated_launch_seconds));
      ++shares;
    }
  }
  REQUIRE(shares == 3);
  REQUIRE(values_of(rows, "w8a8", "early_code_difference").size() == 1);
  const std::string samples = read_file(folder / "samples.csv");
  REQUIRE(std::count(samples.begin(), samples.end(), '\n') == 1 + 2 * 2 * 10);
  const auto record = nlohmann::json::parse(read_file(folder / "gpu.json"));
  REQUIRE(record["failed"].is_null());
  REQUIRE_FALSE(record["products"].empty());
}

TEST_CASE("gpu_bench has rows of its own for each product and kernel of a scheme of groups",
          "[engine][cuda]") {
  const auto folder = test::scratch("gpu-bench-scheme");
  const std::string scheme = "peg-6-permuted";
  const Outcome outcome = gpu_bench(folder, scheme, "", scheme, "2");
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  const std::vector<Row> rows = read_rows(folder / "gpu.csv");  // an Error where two rows are one
  REQUIRE(values_of(rows, scheme, "product_us").size() >= 6);
  REQUIRE(values_of(rows, scheme, "kernel_us").size() >= 9);
}

TEST_CASE("gpu_bench times nothing of what does not agree with the CPU, and says so", "[engine][cuda]") {
  const auto folder = test::scratch("gpu-bench-spoiled");
  const Outcome outcome = gpu_bench(folder, "fp16,w8a8", "env OUTLIERLAB_EMULATION_SPOILS=codes");
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 1);
  REQUIRE(outcome.out.find("w8a8             DIFFERS") != std::string::npos);
  const std::vector<Row> rows = read_rows(folder / "gpu.csv");
  const std::set<std::string> of_agreement = {"early_code_difference", "quantization_error", "logit_distance",
                                              "memory_weights_mb"};
  for (const Row& row : rows) {
    if (row.variant == "w8a8") REQUIRE(of_agreement.count(row.metric) == 1);
  }
  REQUIRE(values_of(rows, "fp16", "latency_p50_ms").size() == 2);
  REQUIRE(read_file(folder / "samples.csv").find("w8a8") == std::string::npos);
}

TEST_CASE("gpu_bench goes on behind a batch that does not fit", "[engine][cuda]") {
  const auto folder = test::scratch("gpu-bench-memory");
  const Outcome outcome = gpu_bench(folder, "w8a8", "env OUTLIERLAB_EMULATION_SPOILS=8-tokens");
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  REQUIRE(outcome.out.find("1x8      w8a8             left out: out of memory") != std::string::npos);
  REQUIRE(outcome.out.find("1x8      w8a8             not profiled: out of memory") != std::string::npos);
  const std::vector<Row> rows = read_rows(folder / "gpu.csv");
  for (const char* metric : {"latency_p50_ms", "time_share_products"})
    REQUIRE(values_of(rows, "w8a8", metric) == std::set<std::string>{"2x8"});
  // What was profiled before the failure belongs to no cell.
  for (const std::string& kernel : values_of(rows, "w8a8", "kernel_us"))
    REQUIRE(kernel.find(" 8x") == std::string::npos);
}

TEST_CASE("gpu_bench names what it does not know", "[engine][cuda]") {
  const auto message = [](const std::string& arguments) {
    const Outcome outcome = test::run_program(OUTLIERLAB_GPU_BENCH, arguments);
    REQUIRE(outcome.code == 2);
    return outcome.err;
  };
  REQUIRE(message("--lenght 3").find("did you mean '--length'") != std::string::npos);
  REQUIRE(message("--length x") == "gpu_bench: --length: expected a number of at least 1, found 'x'\n");
  const std::string model = "--model " + quoted(packed_model());
  REQUIRE(message(model + " --only w8a9").find("did you mean 'w8a8'") != std::string::npos);
  REQUIRE(message(model + " --length 100000").find("--length: expected at most ") != std::string::npos);
}
