// The guides in docs/ quote code that is compiled here: word for word, and it does what they say.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "app/evaluator.h"
#include "app/study.h"
#include "catch.h"
#include "core/files.h"
#include "core/ini.h"
#include "data/corpus.h"
#include "data/task.h"
#include "experiments/calibrations.h"
#include "experiments/experiments.h"
#include "model/random_weights.h"
#include "paths.h"
#include "quant/calibrator.h"
#include "quant/distributions.h"
#include "quant/transform.h"
#include "quant/weight_quantizer.h"

namespace outlierlab {
CalibratorEntry mean_absolute_calibrator();
WeightQuantizerEntry power_of_two_weight_quantizer();
TransformEntry equalize_transform();
void activation_bits(Study&);
}  // namespace outlierlab

using namespace outlierlab;

namespace {

// Word for word the line of the guide.
// clang-format off
const std::vector<Experiment> experiments_of_the_guide = {
      {"activation_bits", "", "How many bits do the activations need?",
       "accuracy against the bits of the activations", activation_bits},
};
// clang-format on

/// The fenced blocks of a language in a guide, each with its last line end.
std::vector<std::string> blocks(const std::string& guide, const std::string& language) {
  std::istringstream lines(read_file(test::source("docs/" + guide + ".md")));
  std::vector<std::string> found;
  bool inside = false, wanted = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("```", 0) == 0) {
      inside = !inside;
      wanted = inside && line == "```" + language;
      if (wanted) found.emplace_back();
    } else if (wanted) {
      found.back() += line + "\n";
    }
  }
  return found;
}

bool quotes(const std::string& guide, const std::string& file) {
  const auto all = blocks(guide, "cpp");
  return std::count(all.begin(), all.end(), read_file(test::source("tests/docs/" + file))) == 1;
}

Task task_of(const std::string& ini, const std::string& name) {
  const auto file = test::scratch("guide-task") / (name + ".ini");
  write_file_atomically(file, ini);
  return Task::read(file);
}

/// A network with random weights that fits a generated task, as a folder.
std::filesystem::path model_for(const Task& task) {
  const auto folder = test::scratch("guide-model");
  const std::vector<std::string> vocabulary = corpus_vocabulary(*task.corpus);
  BertConfig config;
  config.vocab_size = vocabulary.size();
  config.hidden_size = 16;
  config.layers = 1;
  config.heads = 2;
  config.intermediate_size = 32;
  config.max_positions = 64;
  config.token_types = 2;
  config.labels = task.labels;
  random_weights(config, Heads::classifier, 0.05, 1).save(folder);
  std::string text;
  for (const std::string& piece : vocabulary) text += piece + "\n";
  write_file_atomically(folder / "vocab.txt", text);
  return folder;
}

}  // namespace

TEST_CASE("guides quote the examples that are compiled", "[docs]") {
  REQUIRE(quotes("add-a-calibrator", "example_calibrator.cpp"));
  REQUIRE(quotes("add-a-weight-quantizer", "example_weight_quantizer.cpp"));
  REQUIRE(quotes("add-a-transform", "example_transform.cpp"));
  REQUIRE(quotes("add-an-experiment", "example_experiment.cpp"));
}

TEST_CASE("the lines that guides add fit the files they go to", "[docs]") {
  // A longer name moves the ends of all lines.
  const auto without_runs_of_spaces = [](std::string text) {
    text.erase(std::unique(text.begin(), text.end(), [](char a, char b) { return a == ' ' && b == ' '; }),
               text.end());
    return text;
  };
  const auto holds = [&](const std::string& file, const std::string& line) {
    return without_runs_of_spaces(read_file(test::source(file))).find(without_runs_of_spaces(line)) !=
           std::string::npos;
  };
  REQUIRE(holds("src/quant/calibrators/registry.cpp", "  ENTRY(percentile)                   \\\n"));
  REQUIRE(holds("src/quant/weights/registry.cpp", "  ENTRY(absmax)                             \\\n"));
  REQUIRE(holds("src/quant/transforms/registry.cpp", "  ENTRY(smoothquant)                 \\\n"));
  REQUIRE(holds("experiments/experiments.cpp", "      {\"baseline\", \"C1\", "));
  REQUIRE(holds("tests/docs/guides_test.cpp", blocks("add-an-experiment", "cpp").at(1)));
  REQUIRE(experiments_of_the_guide[0].state == activation_bits);
}

TEST_CASE("the guide's calibrator is in the calibration study by its scheme alone", "[docs]") {
  // A checkout that has followed the guide has them, too.
  std::vector<CalibratorEntry> others = calibrators();
  others.erase(std::remove_if(others.begin(), others.end(),
                              [](const CalibratorEntry& entry) { return entry.name == "mean_absolute"; }),
               others.end());
  std::vector<CalibratorEntry> registered = others;
  registered.push_back(mean_absolute_calibrator());
  const auto rows_of_the_guide = [&](const std::filesystem::path& schemes) {
    std::vector<Calibration> rows = calibrations(schemes, registered);
    REQUIRE(rows.size() > calibrations(schemes, others).size());
    rows.erase(std::remove_if(rows.begin(), rows.end(),
                              [](const Calibration& row) { return row.calibrator != "mean_absolute"; }),
               rows.end());
    return rows;
  };
  const auto schemes = test::scratch("guide-schemes");
  REQUIRE(rows_of_the_guide(schemes).size() == 1);
  REQUIRE(rows_of_the_guide(schemes)[0].key.empty());
  for (const auto& file : std::filesystem::directory_iterator(test::source("configs/schemes"))) {
    // Beside the schemes that are there, but for further settings of this calibrator.
    if (read_file(file.path()).find("mean_absolute") == std::string::npos)
      std::filesystem::copy(file.path(), schemes);
  }
  const std::size_t before = calibrations(schemes, others).size();
  write_file_atomically(schemes / "mean-absolute.ini", blocks("add-a-calibrator", "ini").at(0));
  REQUIRE(rows_of_the_guide(schemes).size() == 1);
  REQUIRE(rows_of_the_guide(schemes)[0].overrides() ==
          std::vector<std::string>{"activations.calibrator=mean_absolute", "activations.factor=12"});
  REQUIRE(calibrations(schemes, registered).size() == before + 1);
  // A scheme that changes more adds none.
  write_file_atomically(schemes / "more.ini",
                        "base = w8a8\n[weights]\nbits = 4\n[activations]\ncalibrator = kl\n");
  REQUIRE(calibrations(schemes, registered).size() == before + 1);
}

TEST_CASE("the guide's transform equalizes and changes no output", "[docs]") {
  BertWeights weights = test::tiny_bert();
  const auto batch = make_batch(test::random_examples({5, 9}), {0, 1});
  const Matrix before = BertRunner(weights).logits(batch);
  equalize_transform().make({})->apply(weights, nullptr);
  const Matrix after = BertRunner(weights).logits(batch);
  for (std::size_t i = 0; i < before.size(); ++i)
    REQUIRE(after.data()[i] == Approx(before.data()[i]).margin(1e-4));
  const BertLayerWeights& layer = weights.layers[0];
  float row = 0, column = 0;
  for (std::size_t c = 0; c < layer.value.weight.cols(); ++c) {
    row = std::max(row, std::abs(layer.value.weight(3, c)));
    column = std::max(column, std::abs(layer.attention_output.weight(c, 3)));
  }
  REQUIRE(row == Approx(column));
}

TEST_CASE("the guide's calibrator clips at a multiple of the mean magnitude", "[docs]") {
  const CalibratorEntry entry = mean_absolute_calibrator();
  const auto range = [&](const std::string& factor, const std::vector<float>& values) {
    IniSection options;
    if (!factor.empty()) options.set("factor", factor, "test");
    CalibrationContext context;
    context.bits = 8;
    return entry.make(options)->range(test::distribution_of(values), context);
  };
  std::vector<float> values(1000, 1.0f);
  for (std::size_t i = 0; i < values.size(); i += 2) values[i] = -1.0f;
  values.push_back(50.0f);
  const Range clipped = range("", values);
  REQUIRE(clipped.hi == Approx(8 * 1050.0 / 1001).epsilon(0.01));
  REQUIRE(clipped.lo == -1.0f);
  REQUIRE(range("100", values).hi == 50.0f);
  REQUIRE(range("", std::vector<float>(10, 0.0f)).hi == 0.0f);
  REQUIRE_ERROR(range("-1", values), "factor", "above 0");
}

TEST_CASE("the guide's weight quantizer has scales that are powers of two", "[docs]") {
  const WeightQuantizerEntry entry = power_of_two_weight_quantizer();
  Random random(1);
  Matrix weight = test::random_matrix(4, 24, 0.3f, random);
  for (std::size_t c = 0; c < 24; ++c) weight(3, c) = 0;
  weight(2, 0) = 127.0f;  // already on a power of two
  WeightContext context;
  context.bits = 8;
  context.granularity = Granularity::channel;
  context.name = "w";
  const QuantizedWeight quantized = entry.make({})->quantize(weight, context);
  for (std::size_t row = 0; row < 3; ++row) {
    int exponent = 0;
    REQUIRE(std::frexp(quantized.scales[row], &exponent) == 0.5f);
    float absmax = 0;
    for (std::size_t c = 0; c < 24; ++c) absmax = std::max(absmax, std::abs(weight(row, c)));
    REQUIRE(quantized.scales[row] >= absmax / 127);
    REQUIRE(quantized.scales[row] < 2 * absmax / 127);
    for (std::size_t c = 0; c < 24; ++c) {
      REQUIRE(std::abs(quantized.values(row, c) - weight(row, c)) <= quantized.scales[row] / 2);
    }
  }
  REQUIRE(quantized.scales[2] == 1.0f);
  REQUIRE(quantized.values(3, 0) == 0.0f);
}

TEST_CASE("the guide's tasks and models are read", "[docs]") {
  const auto tasks = blocks("add-a-task", "ini");
  REQUIRE(tasks.size() == 2);
  const Task table = task_of(tasks[0], "relevance");
  REQUIRE(table.files.at("dev") == std::vector<std::string>{"dev.tsv", "validation.tsv"});
  const auto folder = test::scratch("guide-data");
  write_file_atomically(folder / "validation.tsv", blocks("add-a-task", "").at(0));
  const auto examples = read_split(table, "dev", folder);
  REQUIRE(examples.size() == 2);
  REQUIRE(examples[1].label == 1);
  REQUIRE(read_split(task_of(tasks[1], "facts-noisy"), "dev", {}).size() == 512);

  for (const std::string guide :
       {"add-a-model", "add-a-calibrator", "add-a-weight-quantizer", "add-a-transform"}) {
    for (const std::string& ini : blocks(guide, "ini"))
      REQUIRE_FALSE(Ini::parse(ini, guide).sections().empty());
  }
}

TEST_CASE("the guide's experiment runs and leaves its rows", "[docs]") {
  EvaluatorOptions options;
  options.task = task_of(blocks("add-a-task", "ini").at(1), "facts-noisy");
  options.model_folder = model_for(options.task);
  options.limit = 6;
  options.calibration_size = 6;
  Evaluator evaluator(options);
  StudyOptions study_options;
  study_options.experiment = "activation_bits";
  study_options.model_name = "tiny";
  study_options.out = test::scratch("guide-study");
  study_options.scheme_folder = test::source("configs/schemes");
  Study study(evaluator, study_options);
  activation_bits(study);
  REQUIRE(study.run().size() == 4 * 12);
  REQUIRE(read_rows(study_options.out / "tiny-facts-noisy" / "activation_bits.csv").size() == 4 * 12);
}
