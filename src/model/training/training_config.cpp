#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "model/training/planting.h"
#include "model/training/train.h"

namespace outlierlab {

namespace {

namespace fs = std::filesystem;

/// A section's keys with their ranges; an absent section reads as empty.
class Reader {
 public:
  Reader(const Ini& ini, const std::string& name) {
    if (const IniSection* section = ini.find(name)) {
      section_ = section;
    } else {
      empty_.name = name;
      empty_.place = ini.file_name();
      section_ = &empty_;
    }
  }
  Reader(const Reader&) = delete;

  const IniSection& section() const { return *section_; }

  void number(const char* key, double& target, double low, double high) const {
    const auto value = section_->number(key);
    if (!value) return;
    if (*value < low || *value > high) out_of_range(key, fmt_number(low), fmt_number(high));
    target = *value;
  }

  void number(const char* key, std::optional<double>& target, double low, double high) const {
    if (!section_->has(key)) return;
    double value = 0;
    number(key, value, low, high);
    target = value;
  }

  void size(const char* key, std::size_t& target, long low = 0) const {
    const auto value = section_->integer(key);
    if (!value) return;
    constexpr long high = 1'000'000'000;
    if (*value < low || *value > high) out_of_range(key, std::to_string(low), std::to_string(high));
    target = static_cast<std::size_t>(*value);
  }

  [[noreturn]] void wrong(const std::string& key, const std::string& expected,
                          const std::string& found) const {
    throw UsageError(section_->place + ": [" + section_->name + "] " + key + ": expected " + expected +
                     ", found " + found);
  }

 private:
  static std::string fmt_number(double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  }
  [[noreturn]] void out_of_range(const char* key, const std::string& low, const std::string& high) const {
    wrong(key, low + " to " + high, "'" + section_->required(key) + "'");
  }

  IniSection empty_;
  const IniSection* section_;
};

void read_model(const Ini& ini, TrainingConfig& config) {
  const Reader model(ini, "model");
  const IniSection& section = model.section();
  if (const auto init = section.text("init")) config.init = config.places.root / *init;
  if (const auto other = section.text("init_config")) {
    config.init_config = fs::path(ini.file_name()).parent_path() / *other;
    if (!config.init.empty()) model.wrong("init", "either init or init_config", "both");
  }
  const double most = 0.999;
  model.number("hidden_dropout", config.hidden_dropout, 0, most);
  model.number("attention_dropout", config.attention_dropout, 0, most);
  model.number("head_dropout", config.head_dropout, 0, most);
  model.number("deviation", config.deviation, 0, 10);
  if (!config.init.empty() || !config.init_config.empty()) return;

  BertConfig& shape = config.shape;
  for (const char* key : {"hidden_size", "layers", "heads", "intermediate_size"}) section.required(key);
  model.size("hidden_size", shape.hidden_size, 1);
  model.size("layers", shape.layers, 1);
  model.size("heads", shape.heads, 1);
  model.size("intermediate_size", shape.intermediate_size, 1);
  model.size("max_positions", shape.max_positions, 1);
  if (shape.hidden_size % shape.heads != 0) {
    model.wrong("hidden_size", "a multiple of the heads", std::to_string(shape.hidden_size));
  }
  if (const auto file = section.text("vocabulary")) config.vocabulary = config.places.root / *file;
}

void read_data(const Ini& ini, TrainingConfig& config) {
  const Reader data(ini, "data");
  const IniSection& section = data.section();
  const std::string task = section.required("task");
  const bool is_path = task.find('/') != std::string::npos || fs::path(task).extension() == ".ini";
  config.task = is_path ? fs::path(task) : config.places.root / "configs" / "tasks" / (task + ".ini");
  data.size("max_length", config.max_length, 3);
  data.size("limit", config.limit);
  config.eval_split = section.text("eval_split").value_or(config.eval_split);
  data.size("eval_limit", config.eval_limit);
}

void read_optimizer(const Ini& ini, TrainingConfig& config) {
  const Reader optimizer(ini, "optimizer");
  const IniSection& section = optimizer.section();
  const std::string objective = section.text("objective").value_or("classification");
  if (objective == "mlm") {
    config.objective = TrainingConfig::Objective::mlm;
  } else if (objective != "classification") {
    optimizer.wrong("objective", "classification or mlm", "'" + objective + "'");
  }
  section.required("learning_rate");
  optimizer.number("learning_rate", config.learning_rate, 0, 1);
  optimizer.number("weight_decay", config.weight_decay, 0, 1);
  optimizer.number("beta1", config.beta1, 0, 1);
  optimizer.number("beta2", config.beta2, 0, 1);
  optimizer.number("epsilon", config.epsilon, 0, 1);
  optimizer.number("warmup", config.warmup, 0, 1e9);
  optimizer.number("gradient_clip", config.gradient_clip, 1e-9, 1e9);
  optimizer.size("batch_size", config.batch_size, 1);
  optimizer.size("steps", config.steps, 1);
  optimizer.number("epochs", config.epochs, 1e-6, 1e6);
  if ((config.steps > 0) == (config.epochs > 0)) {
    optimizer.wrong("steps", "either steps or epochs", config.steps > 0 ? "both" : "neither");
  }
  std::size_t seed = 1, threads = 0;
  optimizer.size("seed", seed);
  optimizer.size("threads", threads);
  config.seed = seed;
  config.threads = static_cast<int>(threads);
}

}  // namespace

TrainingConfig TrainingConfig::read(const Ini& ini, const TrainingPlaces& places) {
  TrainingConfig config;
  config.text = ini;
  config.places = places;
  read_model(ini, config);
  read_data(ini, config);
  read_optimizer(ini, config);
  if (const IniSection* section = ini.find("plant")) {
    PlantingConfig::check_keys(*section);  // the values are judged once the network's sizes are known
    config.plant = *section;
  }
  const Reader checkpoint(ini, "checkpoint");
  checkpoint.size("every", config.checkpoint_every);
  checkpoint.size("evaluate", config.evaluate_every);
  config.resume = checkpoint.section().boolean("resume").value_or(config.resume);
  const Reader output(ini, "output");
  config.output = config.places.root / output.section().required("folder");
  config.half = output.section().boolean("half").value_or(config.half);
  ini.require_all_used();
  for (const IniSection& section : ini.sections()) {
    const std::vector<std::string> known = {"model", "data", "optimizer", "plant", "checkpoint", "output"};
    if (std::find(known.begin(), known.end(), section.name) == known.end()) {
      fail_unknown("section", section.name, known);
    }
  }
  return config;
}

}  // namespace outlierlab
