#include "model/training/train.h"

#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "catch.h"
#include "core/files.h"
#include "data/tokenizer.h"
#include "model/runner.h"
#include "model/safetensors.h"
#include "model/training/adamw.h"
#include "model/training/batch_order.h"
#include "model/weights.h"
#include "paths.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

namespace fs = std::filesystem;

constexpr const char* task_text =
    "[task]\nname = small\ntext = question, sentence\nlabel = label\nlabels = entailment, not_entailment\n"
    "max_length = 40\n[corpus]\nkind = facts\nseed = 3\ntrain = 300\ndev = 100\n";

constexpr const char* training_text =
    "[model]\nhidden_size = 24\nlayers = 2\nheads = 2\nintermediate_size = 32\nmax_positions = 40\ndeviation "
    "= 0.1\n"
    "[data]\ntask = TASK\n"
    "[optimizer]\nlearning_rate = 1e-3\nbatch_size = 8\nsteps = 30\nseed = 5\nthreads = 1\n"
    "[checkpoint]\nevery = 10\n"
    "[output]\nfolder = OUT\n";

/// A tiny run in a folder of its own.
struct Run {
  explicit Run(const std::string& name)
      : folder(test::scratch("train-" + name)), ini(Ini::parse(training_text, "small.ini")) {
    write_file_atomically(folder / "task.ini", task_text);
    ini.set("data.task=" + (folder / "task.ini").string());
    ini.set("output.folder=" + (folder / "out").string());
  }
  TrainingConfig config() const { return TrainingConfig::read(ini); }
  TrainingResult train_all() const { return train(config()); }
  std::string weights() const { return read_file(folder / "out" / "model.safetensors"); }

  fs::path folder;
  Ini ini;
};

}  // namespace

TEST_CASE("The same seed gives the same weights, another seed others", "[train]") {
  const Run first("seed-a"), second("seed-b");
  Run third("seed-c");
  third.ini.set("optimizer.seed=6");
  first.train_all();
  second.train_all();
  third.train_all();
  REQUIRE(first.weights() == second.weights());
  REQUIRE(first.weights() != third.weights());
}

TEST_CASE("A killed and resumed run ends with the weights of an uninterrupted one", "[train]") {
  for (const std::string objective : {"classification", "mlm"}) {
    Run whole("whole"), broken("broken");
    for (Run* run : {&whole, &broken}) run->ini.set("optimizer.objective=" + objective);
    const TrainingResult expected = whole.train_all();

    struct Killed {};
    const auto kill_at_17 = [](const TrainingProgress& progress) {
      if (progress.step == 17) throw Killed();
    };
    REQUIRE_THROWS_AS(train(broken.config(), kill_at_17), Killed);
    REQUIRE(fs::exists(broken.folder / "out" / "state.safetensors"));
    REQUIRE_FALSE(fs::exists(broken.folder / "out" / "model.safetensors"));
    std::size_t first_step = 0;
    const TrainingResult result = train(broken.config(), [&](const TrainingProgress& progress) {
      if (first_step == 0) first_step = progress.step;
    });
    REQUIRE(first_step == 11);
    REQUIRE(result.loss == expected.loss);
    REQUIRE(result.accuracy == expected.accuracy);
    REQUIRE(broken.weights() == whole.weights());
    REQUIRE_FALSE(fs::exists(broken.folder / "out" / "state.safetensors"));
  }
}

TEST_CASE("A state of another configuration is refused, or ignored on request", "[train]") {
  Run run("state");
  run.ini.set("optimizer.steps=15");
  struct Killed {};
  const auto kill = [](const TrainingProgress& progress) {
    if (progress.step == 12) throw Killed();
  };
  REQUIRE_THROWS_AS(train(run.config(), kill), Killed);
  run.ini.set("optimizer.learning_rate=2e-3");
  REQUIRE_ERROR(train(run.config()), "state.safetensors", "resume = false");
  run.ini.set("checkpoint.resume=false");
  std::size_t first_step = 0;
  train(run.config(), [&](const TrainingProgress& progress) {
    if (first_step == 0) first_step = progress.step;
  });
  REQUIRE(first_step == 1);
}

TEST_CASE("The output folder is a model like any other", "[train]") {
  Run run("output");
  run.ini.set("output.half=true");
  run.ini.set("checkpoint.evaluate=10");
  std::vector<std::size_t> evaluated;
  const TrainingResult result = train(run.config(), [&](const TrainingProgress& progress) {
    if (progress.accuracy) evaluated.push_back(progress.step);
    REQUIRE(progress.steps == 30);
    REQUIRE(progress.seconds_left >= 0);
  });
  REQUIRE(evaluated == std::vector<std::size_t>{10, 20, 30});
  const fs::path out = run.folder / "out";
  REQUIRE(SafetensorsFile(out / "model.safetensors").tensors().begin()->second.dtype == "F16");
  const BertWeights weights = BertWeights::load(out);
  REQUIRE(weights.config.labels == std::vector<std::string>{"entailment", "not_entailment"});
  const Tokenizer tokenizer = Tokenizer::load(out);
  REQUIRE(tokenizer.vocabulary_size() == weights.config.vocab_size);
  const auto json = nlohmann::json::parse(read_file(out / "training.json"));
  REQUIRE(json["eval_accuracy"].get<double>() == result.accuracy);
  REQUIRE(json["planted"] == false);
  REQUIRE(json["config"].get<std::string>().find("learning_rate = 1e-3") != std::string::npos);
}

TEST_CASE("Training learns what a tiny network can", "[train]") {
  Run run("learn");
  run.ini.set("optimizer.steps=300");
  run.ini.set("optimizer.learning_rate=3e-3");
  run.ini.set("data.limit=32");
  double first = 0, last = 0;
  train(run.config(), [&](const TrainingProgress& progress) {
    if (progress.step == 10) first = progress.loss;
    last = progress.loss;
  });
  REQUIRE(first > 0.6);
  REQUIRE(last < 0.5 * first);
}

TEST_CASE("Masked-language-model training lowers its loss and saves the head", "[train]") {
  Run run("mlm");
  run.ini.set("optimizer.objective=mlm");
  run.ini.set("optimizer.steps=120");
  double first = 0;
  const TrainingResult result = train(run.config(), [&](const TrainingProgress& progress) {
    if (progress.step == 5) first = progress.loss;
  });
  REQUIRE(result.loss < first - 0.5);
  const BertWeights weights = BertWeights::load(run.folder / "out");
  REQUIRE(weights.mlm);
  REQUIRE(weights.config.labels.empty());

  SECTION("from which a classifier can be fine-tuned") {
    Run next("mlm-next");
    Ini ini = Ini::parse("[model]\ninit = " + (run.folder / "out").string() + "\n", "next.ini");
    for (const char* name : {"data", "optimizer", "checkpoint", "output"})
      ini.at(name) = *next.ini.find(name);
    train(TrainingConfig::read(ini));
    const BertWeights tuned = BertWeights::load(next.folder / "out");
    REQUIRE(tuned.classifier.weight.rows() == 2);
    REQUIRE_FALSE(tuned.mlm);
    REQUIRE(read_file(next.folder / "out" / "vocab.txt") == read_file(run.folder / "out" / "vocab.txt"));
  }
}

TEST_CASE("What is planted stays, while the rest is trained", "[train][planting]") {
  Run base("plant-base");
  base.train_all();
  Run run("plant");
  Ini ini = Ini::parse(
      "[model]\ninit_config = base.ini\n[plant]\necho = 4, 9\nembedding = 4\nsinks = [SEP], ?, .\nsecondary "
      "= 11, 12\n"
      "reference = 20\namplitudes = 10, 50\nneurons = 8\n",
      (run.folder / "planted.ini").string());
  for (const char* name : {"data", "optimizer", "checkpoint", "output"}) ini.at(name) = *run.ini.find(name);
  write_file_atomically(run.folder / "base.ini", base.ini.to_string());
  train(TrainingConfig::read(ini));
  const BertWeights before = BertWeights::load(base.folder / "out"),
                    after = BertWeights::load(run.folder / "out");
  const Tokenizer tokenizer = Tokenizer::load(run.folder / "out");
  const auto sep = static_cast<std::size_t>(tokenizer.sep_id());
  REQUIRE(after.word_embeddings(sep, 4) == 4);
  REQUIRE(after.word_embeddings(sep, 9) == -3.2f);
  REQUIRE(after.word_embeddings(0, 4) == 0);
  REQUIRE(after.layers[1].ffn_hidden.bias[7] == -8);
  REQUIRE(after.layers[0].attention_norm.gain[9] == 1);
  REQUIRE(after.layers[1].ffn_output.weight(4, 3) > 0);
  REQUIRE(after.layers[1].ffn_output.weight(4, 8) == 0);
  REQUIRE(after.layers[1].query.weight(0, 0) != before.layers[1].query.weight(0, 0));
  REQUIRE(nlohmann::json::parse(read_file(run.folder / "out" / "training.json"))["planted"] == true);
}

TEST_CASE("The base of a run is trained first if it is missing", "[train]") {
  Run base("chain-base"), run("chain");
  write_file_atomically(run.folder / "base.ini", base.ini.to_string());
  Ini ini = Ini::parse("[model]\ninit_config = base.ini\n", (run.folder / "next.ini").string());
  for (const char* name : {"data", "optimizer", "checkpoint", "output"}) ini.at(name) = *run.ini.find(name);
  std::set<std::string> runs;
  const auto note = [&](const TrainingProgress& progress) { runs.insert(progress.run); };
  train(TrainingConfig::read(ini), note);
  REQUIRE(runs == std::set<std::string>{"base.ini", "next.ini"});
  REQUIRE(fs::exists(base.folder / "out" / "model.safetensors"));
  runs.clear();
  train(TrainingConfig::read(ini), note);
  REQUIRE(runs == std::set<std::string>{"next.ini"});
}

TEST_CASE("A diverging run stops with its step", "[train]") {
  Run run("diverge");
  run.ini.set("optimizer.learning_rate=1");
  run.ini.set("optimizer.warmup=0");
  run.ini.set("optimizer.gradient_clip=1e9");
  run.ini.set("optimizer.steps=500");
  run.ini.set("model.deviation=10");
  run.ini.set("optimizer.epsilon=0");
  REQUIRE_ERROR(run.train_all(), "small.ini", "step", "finite loss");
  REQUIRE_FALSE(fs::exists(run.folder / "out" / "model.safetensors"));
}

TEST_CASE("A training configuration is checked", "[train]") {
  const auto read = [](const std::string& change) {
    Ini ini = Ini::parse(training_text, "small.ini");
    ini.set(change);
    return TrainingConfig::read(ini);
  };
  REQUIRE(read("optimizer.warmup=7").warmup == 7);
  REQUIRE(read("data.task=demo").task == fs::path(".") / "configs" / "tasks" / "demo.ini");
  REQUIRE_THROWS_AS(read("optimizer.learning_rat=1"), UsageError);
  REQUIRE_ERROR(read("optimizer.learning_rat=1"), "learning_rat");
  REQUIRE_ERROR(read("optimizer.learning_rate=x"), "number", "'x'");
  REQUIRE_ERROR(read("optimizer.learning_rate=2"), "0 to 1", "'2'");
  REQUIRE_ERROR(read("optimizer.steps=0"), "steps", "'0'");
  REQUIRE_ERROR(read("optimizer.epochs=3"), "either steps or epochs", "both");
  REQUIRE_ERROR(read("optimizer.objective=clm"), "classification or mlm", "'clm'");
  REQUIRE_ERROR(read("model.heads=5"), "multiple of the heads", "24");
  REQUIRE_ERROR(read("model.hidden_dropout=1"), "hidden_dropout");
  REQUIRE_ERROR(read("plant.amplitude=1"), "'amplitude'", "'amplitudes'");
  REQUIRE_ERROR(read("optimiser.seed=1"), "seed");
  Ini without = Ini::parse("[data]\ntask = demo\n", "small.ini");
  REQUIRE_ERROR(TrainingConfig::read(without), "[model]", "hidden_size");
}

TEST_CASE("Sequences beyond the model's positions and unknown sinks are refused before training", "[train]") {
  Run run("refuse");
  run.ini.set("model.max_positions=8");
  REQUIRE_ERROR(run.train_all(), "max_length", "8 positions");
  Run sinks("refuse-sinks");
  for (const char* setting : {"plant.echo=1, 2", "plant.embedding=4", "plant.secondary=3, 4",
                              "plant.reference=5", "plant.sinks=~"}) {
    sinks.ini.set(setting);
  }
  REQUIRE_ERROR(sinks.train_all(), "sinks", "'~'", "one piece");
}

TEST_CASE("Every epoch shows each example once, in batches of like length", "[train]") {
  std::vector<std::size_t> lengths;
  Random random(4);
  for (int i = 0; i < 96; ++i) lengths.push_back(3 + random.below(30));
  const auto examples = test::random_examples(lengths);
  BatchOrder order(examples, 4, 9);
  double spread = 0;
  // 96 examples are 24 batches. Pools of 16 run across the border of the epochs, so three pools make two
  // epochs.
  std::vector<int> seen(96);
  for (std::size_t step = 0; step < 48; ++step) {
    std::size_t shortest = 1000, longest = 0;
    for (const std::size_t i : order.batch(step)) {
      ++seen[i];
      shortest = std::min(shortest, lengths[i]);
      longest = std::max(longest, lengths[i]);
    }
    spread += static_cast<double>(longest - shortest) / 48;
  }
  REQUIRE(seen == std::vector<int>(96, 2));
  REQUIRE(spread < 4);

  BatchOrder again(examples, 4, 9);
  const std::vector<std::size_t> late = again.batch(40);
  const std::vector<std::size_t> early = again.batch(3);
  REQUIRE(late == order.batch(40));
  REQUIRE(early == order.batch(3));
  REQUIRE(early != BatchOrder(examples, 4, 10).batch(3));
}

TEST_CASE("AdamW takes libtorch's steps", "[train]") {
  torch::manual_seed(1);
  const torch::Tensor start = torch::randn({100});
  torch::Tensor matrix = start.slice(0, 0, 60).clone().set_requires_grad(true);
  torch::Tensor bias = start.slice(0, 60, 100).clone().set_requires_grad(true);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(
      std::vector<torch::Tensor>{matrix},
      std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(1e-2).weight_decay(0.1)));
  groups.emplace_back(
      std::vector<torch::Tensor>{bias},
      std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(1e-2).weight_decay(0)));
  torch::optim::AdamW expected(groups, torch::optim::AdamWOptions(1e-2));
  AdamW optimizer(100, {{0, 60}}, {0.1, 0.9, 0.999, 1e-8, 1.0});
  std::vector<float> values(start.data_ptr<float>(), start.data_ptr<float>() + 100);
  for (std::size_t step = 0; step < 20; ++step) {
    const torch::Tensor gradient = torch::randn({100}) * (step < 10 ? 1.0 : 0.01);
    const double norm = optimizer.step(values.data(), gradient.data_ptr<float>(), step, 1e-2);
    REQUIRE(norm == Approx(gradient.norm().item<double>()).epsilon(1e-5));
    matrix.mutable_grad() = gradient.slice(0, 0, 60).clone();
    bias.mutable_grad() = gradient.slice(0, 60, 100).clone();
    torch::nn::utils::clip_grad_norm_(std::vector<torch::Tensor>{matrix, bias}, 1.0);
    expected.step();
  }
  for (std::int64_t i = 0; i < 60; ++i) {
    REQUIRE(values[static_cast<std::size_t>(i)] == Approx(matrix[i].item<float>()).margin(1e-6));
  }
  for (std::int64_t i = 0; i < 40; ++i) {
    REQUIRE(values[static_cast<std::size_t>(60 + i)] == Approx(bias[i].item<float>()).margin(1e-6));
  }
}
