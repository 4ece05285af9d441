// The deployment studies on a device: end to end, over the emulated one and a library that stands for NVML.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/resources.h"
#include "app/study.h"
#include "catch.h"
#include "core/error.h"
#include "core/files.h"
#include "data/corpus.h"
#include "engine/refusal.h"
#include "experiments/deployment.h"
#include "model/random_weights.h"
#include "paths.h"
#include "report/deployment.h"
#include "support/emulated_cuda.h"

using namespace outlierlab;

namespace {

constexpr const char* bus_id = "00000000:17:00.0";
const std::vector<std::string> float_methods = {"cuda float:fp32", "cuda float:fp16", "cuda float:bf16"};

/// Another executor's logits with the other sign.
class Negating : public engine::Executor {
 public:
  explicit Negating(std::unique_ptr<engine::Executor> inner) : inner_(std::move(inner)) {}
  void logits(const engine::Tokens& tokens, float* logits) override {
    inner_->logits(tokens, logits);
    for (std::size_t i = 0; i < tokens.examples * shape().labels; ++i) logits[i] = -logits[i];
  }
  const engine::Shape& shape() const override { return inner_->shape(); }
  std::string description() const override { return inner_->description(); }
  std::size_t bytes() const override { return inner_->bytes(); }
  engine::Profile take_profile() override { return inner_->take_profile(); }

 private:
  std::unique_ptr<engine::Executor> inner_;
};

bool has_wide_codes(const engine::Model& model) {
  const engine::SiteFormat& h = model.layers[0].sites[engine::ffn_output];
  return h.kind != engine::FormatKind::real && h.bits == 16;
}

/// The emulated device. It lacks float8 as an old one does, refuses codes of 16 bits, and is wrong where the
/// products' input has a grid per token, unless outliers stand beside it.
std::unique_ptr<engine::Executor> emulated(const std::shared_ptr<const engine::Model>& model,
                                           const ExecutorOptions& options) {
  if (options.real == engine::RealPrecision::float8)
    engine::require_precision("emulated", 7, 5, engine::RealPrecision::float8);
  if (has_wide_codes(*model)) throw Refusal("emulated, site layer.0.ffn_output: expected 8 bits, found 16");
  engine::CudaOptions how;
  if (options.real) how.real = *options.real;
  how.profile = options.profile;
  auto executor = test::emulated_cuda_executor(model, how);
  const engine::SiteFormat& h = model->layers[0].sites[engine::ffn_output];
  if (h.kind == engine::FormatKind::rows && !h.keeps_outliers())
    return std::make_unique<Negating>(std::move(executor));
  return executor;
}

TimedEngine engine_named(const std::string& name) {
  if (name != "cuda") return timed_engine(name);
  TimedEngine engine;
  engine.name = name;
  engine.is_device = true;
  engine.make = emulated;
  engine.device = "emulated";
  engine.monitor = std::make_shared<engine::DeviceMonitor>(bus_id, OUTLIERLAB_FAKE_NVML);
  return engine;
}

/// A network with random weights for the generated task, as a folder.
std::filesystem::path small_model(const Task& task) {
  const auto folder = test::scratch("device-model");
  const std::vector<std::string> vocabulary = corpus_vocabulary(*task.corpus);
  BertConfig config;
  config.vocab_size = vocabulary.size();
  config.hidden_size = 32;
  config.layers = 1;
  config.heads = 1;
  config.intermediate_size = 64;
  config.max_positions = 64;
  config.labels = task.labels;
  random_weights(config, Heads::classifier, 0.1, 1).save(folder);
  std::string text;
  for (const std::string& piece : vocabulary) text += piece + "\n";
  write_file_atomically(folder / "vocab.txt", text);
  return folder;
}

Evaluator small_evaluator() {
  EvaluatorOptions options;
  options.task = Task::read(find_task("demo"));
  options.model_folder = small_model(options.task);
  options.limit = 24;
  options.calibration_size = 8;
  return Evaluator(options);
}

StudyOptions options_of(const std::string& experiment, std::vector<std::string> engines) {
  StudyOptions options;
  options.experiment = experiment;
  options.model_name = "small";
  options.out = test::scratch("device-study");
  options.scheme_folder = resource_root() / "configs" / "schemes";
  options.cell_seconds = 0.01;
  options.timed = std::move(engines);
  options.make_timed = engine_named;
  return options;
}

DeploymentPlan small_plan() {
  DeploymentPlan plan;
  plan.examples = {1, 2};
  plan.lengths = {16, 512};  // the network has 64 positions
  plan.measured_examples = 2;
  plan.measured_length = 16;
  plan.energy_seconds = 0.01;
  return plan;
}

class Figures {
 public:
  explicit Figures(std::vector<Row> rows) : rows_(std::move(rows)) {}
  const Row* find(const std::string& variant, const std::string& parameter, const std::string& metric,
                  const std::string& value = "") const {
    for (const Row& row : rows_) {
      if (row.variant == variant && row.parameter == parameter && row.metric == metric &&
          (value.empty() || row.value == value))
        return &row;
    }
    return nullptr;
  }
  double operator()(const std::string& variant, const std::string& parameter,
                    const std::string& metric) const {
    const Row* const row = find(variant, parameter, metric);
    INFO(variant << " " << parameter << " " << metric);
    REQUIRE(row != nullptr);
    return row->estimate;
  }
  const std::vector<Row>& rows() const { return rows_; }

 private:
  std::vector<Row> rows_;
};

}  // namespace

TEST_CASE("The deployment study times a device, says what it is, and leaves out what does not agree",
          "[experiments][engine]") {
  Evaluator evaluator = small_evaluator();
  Study study(evaluator, options_of("deployment", {"cuda"}));
  deployment(study, small_plan());
  const Figures figures(study.run());

  for (const Row& row : figures.rows())
    REQUIRE((row.variant == "tokenizer" || row.variant.rfind("cuda ", 0) == 0));
  std::vector<std::string> timed = float_methods;
  for (const char* scheme :
       {"w8a8", "w8a8-channel-weights", "peg-6-permuted", "mp-xhy", "mp-channel-1", "llm-int8"})
    timed.push_back(std::string("cuda integer:") + scheme);
  for (const std::string& variant : timed) {
    INFO(variant);
    for (const char* cell : {"1x16", "2x16"}) {
      for (const char* metric : {"latency_p50_ms", "throughput_examples", "throughput_tokens", "speedup"})
        REQUIRE(figures.find(variant, "batch x length", metric, cell) != nullptr);
      REQUIRE(figures.find(variant, "device memory", "memory_device_peak_mb", cell) != nullptr);
      REQUIRE(figures.find(variant, "batch x length", "latency_p50_ms", cell)->n >= 10u);
    }
    REQUIRE(figures(variant, "", "engine_exact_agreement") >= 90);
    REQUIRE(figures(variant, "profile", "time_share_products") > 0);
    REQUIRE(figures(variant, "profile", "time_share_products") +
                figures(variant, "profile", "time_share_rest") ==
            Approx(100));
    REQUIRE(figures(variant, "device memory", "memory_device_peak_mb") >
            figures(variant, "", "memory_weights_mb"));
    // Six joules between two readings.
    const Row* const joules = figures.find(variant, "energy", "joules_per_pass");
    REQUIRE(joules != nullptr);
    REQUIRE(joules->estimate * static_cast<double>(*joules->n) == Approx(6));
    REQUIRE(2 * figures(variant, "energy", "joules_per_example") == Approx(joules->estimate));
  }
  REQUIRE(figures("cuda float:fp16", "batch x length", "speedup") == 1);
  REQUIRE(figures("cuda float:fp16", "", "weight_bytes") < figures("cuda float:fp32", "", "weight_bytes"));
  REQUIRE(figures("cuda integer:w8a8", "", "weight_bytes") < figures("cuda float:fp16", "", "weight_bytes"));
  REQUIRE(figures("cuda float:fp16", "", "memory_weights_mb") <
          figures("cuda float:fp32", "", "memory_weights_mb"));
  REQUIRE(figures("cuda integer:w8a8", "", "memory_weights_mb") <
          figures("cuda float:fp16", "", "memory_weights_mb"));
  // What is left out has a reason, and nothing else has.
  const auto& reasons = study.notes().at("not_timed");
  for (const std::string variant : {"cuda float:fp8", "cuda integer:w8a8-token", "cuda integer:mp-xhy-16"}) {
    INFO(variant);
    REQUIRE(reasons.count(variant) == 1);
    REQUIRE(figures.find(variant, "batch x length", "latency_p50_ms") == nullptr);
  }
  for (const std::string& variant : timed) REQUIRE(reasons.count(variant) == 0);
  REQUIRE(reasons.at("cuda float:fp8").find("compute capability 8.9") != std::string::npos);
  REQUIRE(reasons.at("cuda integer:mp-xhy-16").find("found 16") != std::string::npos);
  REQUIRE(reasons.at("cuda integer:w8a8-token").find("equal predictions") != std::string::npos);
  REQUIRE(figures("cuda integer:w8a8-token", "", "engine_exact_agreement") < 10);
  for (const char* parameter : {"profile", "device memory", "energy"}) {
    REQUIRE(std::none_of(figures.rows().begin(), figures.rows().end(), [&](const Row& row) {
      return row.variant == "cuda integer:w8a8-token" && row.parameter == parameter;
    }));
  }

  REQUIRE(study.notes().at("executors").at("cuda float:bf16") == "cuda sm_90 emulated, bfloat16, graphs");
  REQUIRE(study.notes().at("device_state").at("cuda 2x16") ==
          "1410 MHz, memory 2619 MHz, 45 C, throttled by: power cap, software thermal");
  const std::string samples =
      read_file(std::filesystem::path(study.file()).replace_filename("deployment-samples.csv"));
  REQUIRE(samples.find("\ncuda integer:w8a8,1x16,0,") != std::string::npos);
  REQUIRE(samples.find("\ncuda float:fp16,2x16,9,") != std::string::npos);
}

TEST_CASE("The shapes study times a device beside the processor, each against its own float network",
          "[experiments][engine]") {
  Evaluator evaluator = small_evaluator();
  Study study(evaluator, options_of("deployment_shapes", {"int8", "cuda"}));
  deployment_shapes(study, {{"tiny", 32, 1, 1, 64, {{1, 16}}}});
  const Figures figures(study.run());
  const std::string parameter = "tiny batch x length";
  for (const char* variant : {"float:fp32", "float:bf16", "simulated:w8a8", "integer:w8a8",
                              "integer:peg-6-permuted", "integer:llm-int8", "cuda float:fp16",
                              "cuda integer:w8a8", "cuda integer:peg-6-permuted", "cuda integer:llm-int8"}) {
    REQUIRE(figures(variant, parameter, "latency_p50_ms") > 0);
    const bool on_device = std::string(variant).rfind("cuda", 0) == 0;
    REQUIRE(on_device == (figures.find(variant, parameter, "memory_device_peak_mb") != nullptr));
    REQUIRE(on_device == (figures.find(variant, parameter, "memory_weights_mb") == nullptr));
  }
  for (const char* variant :
       {"float:fp32", "simulated:w8a8", "integer:w8a8", "cuda float:fp16", "cuda integer:w8a8"}) {
    const Row* const share = figures.find(variant, "tiny profile", "time_share_products", "8x128");
    REQUIRE(share != nullptr);
    REQUIRE(share->estimate > 0);
    REQUIRE(figures(variant, "tiny profile", "weight_bytes") <=
            figures("float:fp32", "tiny profile", "weight_bytes"));
  }
  REQUIRE(figures("integer:w8a8", "tiny profile", "weight_bytes") <
          0.3 * figures("simulated:w8a8", "tiny profile", "weight_bytes"));
  REQUIRE(figures("float:fp32", parameter, "memory_weights_mb") ==
          figures("simulated:w8a8", parameter, "memory_weights_mb"));
  REQUIRE(figures("float:fp32", parameter, "speedup") == 1);
  REQUIRE(figures("cuda float:fp16", parameter, "speedup") == 1);
  const auto& reasons = study.notes().at("not_timed");
  REQUIRE(reasons.at("tiny cuda integer:w8a8-token").find("at most 0.1") != std::string::npos);
  REQUIRE(reasons.at("tiny cuda integer:mp-xhy-16").find("found 16") != std::string::npos);
  REQUIRE(reasons.count("tiny cuda integer:w8a8") == 0);
  REQUIRE(figures.find("cuda integer:w8a8-token", parameter, "latency_p50_ms") == nullptr);
  REQUIRE(study.notes().at("agreement").count("tiny integer:w8a8") == 1);
  const auto& clocks = study.notes().at("clock_ghz");
  REQUIRE(clocks.size() == 1);  // the processor's cell; the device has device_state
  REQUIRE(clocks.begin()->second.rfind("float:fp32 ", 0) == 0);
  const std::string samples =
      read_file(std::filesystem::path(study.file()).replace_filename("deployment_shapes-samples.csv"));
  REQUIRE(samples.find("variant,network,batch_x_length,pass,milliseconds\n") == 0);
  for (const char* variant : {"float:fp32", "integer:w8a8", "cuda integer:w8a8"}) {
    const Row* const median = figures.find(variant, parameter, "latency_p50_ms");
    INFO(variant << ": every pass that the median is of");
    std::size_t passes = 0;
    const std::string start = std::string("\n") + variant + ",tiny,1x16,";
    for (auto at = samples.find(start); at != std::string::npos; at = samples.find(start, at + 1)) ++passes;
    REQUIRE(passes == median->n.value());
  }
}

TEST_CASE("Only what an engine refuses is left out: a wrong option or a failure ends the study",
          "[experiments][engine]") {
  Evaluator evaluator = small_evaluator();
  for (const char* experiment : {"deployment", "deployment_shapes"}) {
    INFO(experiment);
    const auto state = [&](Study& study) {
      if (experiment == std::string("deployment")) return deployment(study, small_plan());
      deployment_shapes(study, {{"tiny", 32, 1, 1, 64, {{1, 16}}}});
    };
    StudyOptions wrong = options_of(experiment, {"cuda"});
    wrong.overrides = {"activations.calibrator=no-such"};
    Study misspelt(evaluator, wrong);
    state(misspelt);
    REQUIRE_THROWS_AS(misspelt.run(), UsageError);

    StudyOptions failing = options_of(experiment, {"cuda"});
    failing.make_timed = [](const std::string& name) {
      TimedEngine engine = engine_named(name);
      engine.make = [](const std::shared_ptr<const engine::Model>& model, const ExecutorOptions& options) {
        if (options.real == engine::RealPrecision::bfloat16) throw Error("cudaMalloc: out of memory");
        return emulated(model, options);
      };
      return engine;
    };
    Study broken(evaluator, failing);
    state(broken);
    REQUIRE_THROWS_WITH(broken.run(), "cudaMalloc: out of memory");
  }
}

TEST_CASE("A resumed shapes study times nothing again for a method that is refused",
          "[experiments][engine]") {
  Evaluator evaluator = small_evaluator();
  StudyOptions options = options_of("deployment_shapes", {"cuda"});
  const std::vector<DeploymentShape> shapes = {{"tiny", 32, 1, 1, 64, {{1, 16}, {2, 16}}}};
  Study whole(evaluator, options);
  deployment_shapes(whole, shapes);
  const std::size_t rows = whole.run().size();
  REQUIRE(whole.notes().at("device_state").size() == 2);
  options.resume = true;
  Study again(evaluator, options);
  deployment_shapes(again, shapes);
  REQUIRE(again.run().size() == rows);
  REQUIRE(again.notes().count("device_state") == 0);
  // The cells are there as a whole; what they lack stays in the record (study_record_test.cpp).
  REQUIRE(whole.notes().at("not_timed").size() > 0);
  REQUIRE(again.notes().count("not_timed") == 0);
}

#ifdef OUTLIERLAB_CUDA
TEST_CASE("The deployment study on a device that is there", "[experiments][cuda][device]") {
  if (available_engines().size() == 1) {
    WARN("skipped: no CUDA device here; the emulated device has run the same study");
    return;
  }
  Evaluator evaluator = small_evaluator();
  StudyOptions options = options_of("deployment", {"cuda"});
  options.make_timed = timed_engine;
  Study study(evaluator, options);
  deployment(study, small_plan());
  const Figures figures(study.run());
  for (const char* variant : {"cuda float:fp32", "cuda float:fp16", "cuda integer:w8a8"}) {
    REQUIRE(figures(variant, "batch x length", "latency_p50_ms") > 0);
    REQUIRE(figures(variant, "device memory", "memory_device_peak_mb") > 0);
    REQUIRE(study.notes().at("executors").at(variant).find(", graphs") != std::string::npos);
  }
}
#endif

TEST_CASE("A device tells of itself by its place on the bus; another, or no library, tells nothing",
          "[engine]") {
  const engine::DeviceMonitor monitor(bus_id, OUTLIERLAB_FAKE_NVML);
  REQUIRE(monitor.driver() == "999.1");
  REQUIRE(monitor.multiprocessor_clock() == 1410u);
  REQUIRE(monitor.memory_clock() == 2619u);
  REQUIRE(monitor.temperature() == 45u);
  REQUIRE(monitor.power_limit() == 350.5);
  REQUIRE(monitor.memory_used() == 1000000000u);
  REQUIRE(monitor.throttle_reasons() == "power cap, software thermal");
  REQUIRE(engine::throttle_text(0) == "none");
  REQUIRE(engine::throttle_text(0x10 | 0x100) == "sync boost, display clocks");
  REQUIRE(engine::throttle_text(0x8000 | 0x200 | 0x1) == "idle, 0x8200");
  const double before = *monitor.energy();
  REQUIRE(*monitor.energy() - before == Approx(6));
  for (const auto& [device, library] :
       {std::pair("00000000:18:00.0", OUTLIERLAB_FAKE_NVML), std::pair(bus_id, "no-such-library.so")}) {
    const engine::DeviceMonitor other(device, library);
    REQUIRE_FALSE(other.driver().has_value());
    REQUIRE_FALSE(other.energy().has_value());
    REQUIRE_FALSE(other.throttle_reasons().has_value());
  }
}
