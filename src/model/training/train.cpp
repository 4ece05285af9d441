#include "model/training/train.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/random.h"
#include "data/task.h"
#include "data/tokenizer.h"
#include "model/random_weights.h"
#include "model/runner.h"
#include "model/safetensors.h"
#include "model/training/adamw.h"
#include "model/training/batch_order.h"
#include "model/training/planting.h"
#include "model/training/reference.h"

namespace outlierlab {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t loss_window = 100;
constexpr std::size_t evaluation_batch = 64;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Independent streams of draws from one seed.
enum class Stream : std::uint64_t { weights = 1, order, dropout, masking, planting, heads };
std::uint64_t stream_seed(std::uint64_t seed, Stream stream) {
  return mix64(mix64(seed) ^ static_cast<std::uint64_t>(stream));
}

struct Masked {
  torch::Tensor ids;      ///< with the masks in place
  torch::Tensor rows;     ///< int64, positions in the flattened batch that are predicted
  torch::Tensor targets;  ///< int64, their true ids
};

/// 15 % of the tokens that are not special are predicted: 80 % of them show [MASK], 10 % another token, 10 %
/// themselves (Devlin et al. 2018). At least one of a batch is.
Masked mask_tokens(const PaddedBatch& batch, const Tokenizer& tokenizer, Random random) {
  Masked masked{batch.ids.clone(), {}, {}};
  std::vector<std::int64_t> rows, targets, eligible;
  std::int64_t* ids = masked.ids.data_ptr<std::int64_t>();
  const bool* mask = batch.mask.data_ptr<bool>();
  const auto predict = [&](std::int64_t i) {
    rows.push_back(i);
    targets.push_back(ids[i]);
    const double kind = random.uniform();
    if (kind < 0.8) {
      ids[i] = tokenizer.mask_id();
    } else if (kind < 0.9) {
      ids[i] = static_cast<std::int64_t>(random.below(tokenizer.vocabulary_size()));
    }
  };
  for (std::int64_t i = 0; i < batch.ids.numel(); ++i) {
    if (!mask[i] || ids[i] == tokenizer.cls_id() || ids[i] == tokenizer.sep_id()) continue;
    eligible.push_back(i);
    if (random.uniform() < 0.15) predict(i);
  }
  if (rows.empty() && !eligible.empty()) predict(eligible[random.below(eligible.size())]);
  masked.rows = torch::tensor(rows, torch::kInt64);
  masked.targets = torch::tensor(targets, torch::kInt64);
  return masked;
}

Task read_task(const TrainingConfig& config) {
  if (!fs::exists(config.task))
    fail_expected(config.text.file_name() + ": [data] task", "an INI file", config.task.string());
  return Task::read(config.task);
}

fs::path data_folder(const TrainingConfig& config, const Task& task) {
  if (task.corpus) return {};
  if (!config.places.data.empty()) return config.places.data;
  if (const char* root = std::getenv("OUTLIERLAB_DATA")) return fs::path(root) / task.name;
  throw Error("task '" + task.name + "': expected its folder by --data or $OUTLIERLAB_DATA, found neither");
}

std::vector<std::string> read_vocabulary(const fs::path& file) {
  const Tokenizer tokenizer = Tokenizer::load(file);
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < tokenizer.vocabulary_size(); ++i) {
    pieces.push_back(tokenizer.piece(static_cast<std::int32_t>(i)));
  }
  return pieces;
}

Tokenizer make_tokenizer(const TrainingConfig& config, const Task& task, const fs::path& init) {
  if (!init.empty()) return Tokenizer::load(init);
  if (!config.vocabulary.empty())
    return Tokenizer(read_vocabulary(config.vocabulary), {}, config.vocabulary.string());
  if (task.corpus) return Tokenizer(corpus_vocabulary(*task.corpus), {}, "vocabulary of " + task.name);
  throw UsageError(config.text.file_name() +
                   ": [model]: expected init, init_config or vocabulary for task '" + task.name +
                   "', found none");
}

/// The network before the first step, with the heads that the objective needs.
BertWeights first_weights(const TrainingConfig& config, const Task& task, const Tokenizer& tokenizer,
                          const fs::path& init) {
  const bool mlm = config.objective == TrainingConfig::Objective::mlm;
  Random heads(stream_seed(config.seed, Stream::heads));
  BertWeights weights;
  if (init.empty()) {
    BertConfig shape = config.shape;
    shape.vocab_size = tokenizer.vocabulary_size();
    if (!mlm) shape.labels = task.labels;
    weights = random_weights(shape, mlm ? Heads::mlm : Heads::classifier, config.deviation,
                             stream_seed(config.seed, Stream::weights));
  } else {
    weights = BertWeights::load(init);
    if (tokenizer.vocabulary_size() != weights.config.vocab_size) {
      fail_expected(init.string(), "a vocabulary of " + std::to_string(weights.config.vocab_size) + " pieces",
                    std::to_string(tokenizer.vocabulary_size()));
    }
    const std::size_t hidden = weights.config.hidden_size;
    if (mlm) {
      if (!weights.mlm) weights.mlm = random_mlm_head(weights.config, config.deviation, heads);
    } else {
      weights.mlm.reset();  // it would go stale
      if (weights.pooler.weight.empty())
        weights.pooler = random_linear(hidden, hidden, config.deviation, heads);
      if (weights.classifier.weight.empty() || weights.config.labels != task.labels) {
        weights.classifier = random_linear(task.labels.size(), hidden, config.deviation, heads);
      }
      weights.config.labels = task.labels;
    }
  }
  weights.config.hidden_dropout =
      static_cast<float>(config.hidden_dropout.value_or(static_cast<double>(weights.config.hidden_dropout)));
  weights.config.attention_dropout = static_cast<float>(
      config.attention_dropout.value_or(static_cast<double>(weights.config.attention_dropout)));
  return weights;
}

std::vector<AdamW::Range> decayed_ranges(const ReferenceBert& network) {
  std::vector<AdamW::Range> ranges;
  for (const ReferenceBert::Parameter& parameter : network.parameters()) {
    if (parameter.shape.size() == 2) ranges.push_back({parameter.offset, parameter.offset + parameter.count});
  }
  return ranges;
}

/// Elements of the flat buffer that training must not change, with the values they keep.
class Frozen {
 public:
  Frozen(const std::vector<FrozenElements>& elements, ReferenceBert& network) {
    for (const FrozenElements& part : elements) {
      for (const ReferenceBert::Parameter& parameter : network.parameters()) {
        if (parameter.name != part.parameter) continue;
        for (const std::size_t index : part.indices) {
          indices_.push_back(parameter.offset + index);
          values_.push_back(network.values()[indices_.back()]);
        }
      }
    }
  }
  void clear(float* gradients) const {
    for (const std::size_t index : indices_) gradients[index] = 0;
  }
  void restore(float* values) const {
    for (std::size_t i = 0; i < indices_.size(); ++i) values[indices_[i]] = values_[i];
  }

 private:
  std::vector<std::size_t> indices_;
  std::vector<float> values_;
};

class Trainer {
 public:
  Trainer(const TrainingConfig& config, const fs::path& init,
          std::function<void(const TrainingProgress&)> report)
      : config_(config),
        init_(init),
        report_(std::move(report)),
        task_(read_task(config)),
        tokenizer_(make_tokenizer(config, task_, init)),
        examples_(read_examples("train", config.limit)),
        evaluation_(read_examples(config.eval_split, config.eval_limit)),
        network_(prepare_weights()),
        frozen_(frozen_elements_, network_),
        optimizer_(network_.size(), decayed_ranges(network_),
                   {config.weight_decay, config.beta1, config.beta2, config.epsilon, config.gradient_clip}),
        order_(examples_, config.batch_size, stream_seed(config.seed, Stream::order)),
        steps_(count_steps()) {}

  TrainingResult run() {
    const std::size_t first = config_.resume ? load_state() : 0;
    TrainingProgress progress;
    progress.run = fs::path(config_.text.file_name()).filename().string();
    progress.steps = steps_;
    if (first > 0) progress.note = "resumed after step " + std::to_string(first);
    for (std::size_t step = first; step < steps_; ++step) {
      progress.learning_rate = learning_rate(step);
      remember_loss(train_step(step, progress.learning_rate));
      progress.step = step + 1;
      progress.loss = mean_loss();
      const double pace = seconds_since(start_) / static_cast<double>(step + 1 - first);
      progress.examples_per_second = static_cast<double>(config_.batch_size) / pace;
      progress.seconds_left = pace * static_cast<double>(steps_ - step - 1);
      const bool last = step + 1 == steps_;
      const bool due = config_.evaluate_every > 0 && (step + 1) % config_.evaluate_every == 0;
      progress.accuracy = last || due ? std::optional(evaluate()) : std::nullopt;
      if (!last && config_.checkpoint_every > 0 && (step + 1) % config_.checkpoint_every == 0)
        save_state(step + 1);
      if (report_) report_(progress);
      progress.note.clear();
    }
    const double accuracy = progress.accuracy ? *progress.accuracy : evaluate();
    const TrainingResult result{steps_, mean_loss(), accuracy, seconds_since(start_)};
    write_output(result);
    return result;
  }

 private:
  bool mlm() const { return config_.objective == TrainingConfig::Objective::mlm; }

  std::vector<EncodedExample> read_examples(const std::string& split, std::size_t limit) {
    fs::path used;
    const auto texts = read_split(task_, split, data_folder(config_, task_), limit, &used);
    if (!used.empty()) data_hashes_[split] = sha256_file(used);
    if (!mlm()) {
      for (const TextExample& text : texts) {
        if (text.label < 0) fail_expected(used.string() + ": split '" + split + "'", "labels", "none");
      }
    }
    return tokenizer_.encode_all(texts, config_.max_length > 0 ? config_.max_length : task_.max_length);
  }

  BertWeights prepare_weights() {
    if (mlm() && tokenizer_.mask_id() < 0) {
      throw Error("the vocabulary has no [MASK], which masked-language-model training needs");
    }
    BertWeights weights = first_weights(config_, task_, tokenizer_, init_);
    for (const auto* examples : {&examples_, &evaluation_}) {
      for (const EncodedExample& example : *examples) {
        if (example.token_ids.size() <= weights.config.max_positions) continue;
        fail_expected(config_.text.file_name() + ": max_length",
                      "at most the model's " + std::to_string(weights.config.max_positions) + " positions",
                      std::to_string(example.token_ids.size()));
      }
    }
    if (config_.plant) {
      const PlantingConfig planting = PlantingConfig::read(*config_.plant, weights.config);
      frozen_elements_ =
          plant(weights, planting, sink_ids(planting), stream_seed(config_.seed, Stream::planting));
    }
    return weights;
  }

  std::vector<std::int32_t> sink_ids(const PlantingConfig& planting) const {
    std::vector<std::int32_t> ids;
    for (const std::string& sink : planting.sinks) {
      const auto found = tokenizer_.tokenize(sink);
      if (found.size() != 1 || found[0] == tokenizer_.unk_id()) {
        fail_expected(config_.plant->place + ": [plant] sinks: '" + sink + "'", "one piece of the vocabulary",
                      std::to_string(found.size()) + " pieces or an unknown one");
      }
      ids.push_back(found[0]);
    }
    return ids;
  }

  std::size_t count_steps() const {
    if (config_.steps > 0) return config_.steps;
    const double batches = static_cast<double>(examples_.size()) / static_cast<double>(config_.batch_size);
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(config_.epochs * batches)));
  }

  double learning_rate(std::size_t step) const {
    const double total = static_cast<double>(steps_), now = static_cast<double>(step);
    const double warmup =
        std::min(total, config_.warmup < 1 ? std::floor(config_.warmup * total) : config_.warmup);
    if (now < warmup) return config_.learning_rate * (now + 1) / warmup;
    return config_.learning_rate * (total - now) / (total - warmup);
  }

  double train_step(std::size_t step, double rate) {
    const PaddedBatch batch = pad_batch(examples_, order_.batch(step), tokenizer_.pad_id());
    std::fill_n(network_.gradients(), network_.size(), 0.0f);
    torch::Tensor loss = batch_loss(batch, step);
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
      fail_expected(config_.text.file_name() + ": step " + std::to_string(step + 1),
                    "a finite loss (a lower learning_rate may help)", std::to_string(value));
    }
    loss.backward();
    frozen_.clear(network_.gradients());
    optimizer_.step(network_.values(), network_.gradients(), step, rate);
    frozen_.restore(network_.values());
    return value;
  }

  torch::Tensor batch_loss(PaddedBatch batch, std::size_t step) const {
    ForwardOptions options;
    options.dropout_key = mix64(stream_seed(config_.seed, Stream::dropout) + step);
    options.head_dropout = static_cast<float>(config_.head_dropout);
    if (!mlm()) return torch::nn::functional::cross_entropy(network_.logits(batch, options), batch.labels);
    const Masked masked =
        mask_tokens(batch, tokenizer_, Random(stream_seed(config_.seed, Stream::masking) + step));
    batch.ids = masked.ids;
    const torch::Tensor hidden = network_.encode(batch, options).flatten(0, 1).index_select(0, masked.rows);
    return torch::nn::functional::cross_entropy(network_.mlm_logits(hidden), masked.targets);
  }

  void remember_loss(double loss) {
    losses_.push_back(static_cast<float>(loss));
    if (losses_.size() > loss_window) losses_.pop_front();
  }

  double mean_loss() const {
    return std::accumulate(losses_.begin(), losses_.end(), 0.0) /
           std::max(1.0, static_cast<double>(losses_.size()));
  }

  double evaluate() const { return mlm() ? evaluate_mlm() : evaluate_classification(); }

  /// With the suite's own runner, so that the figure is the one that `outlierlab eval` gives.
  double evaluate_classification() const {
    const BertRunner runner(network_.weights());
    std::size_t correct = 0;
    for (const Batch& batch : make_batches(evaluation_, evaluation_batch)) {
      const Matrix logits = runner.logits(batch);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const float* row = logits.row(i);
        correct += std::max_element(row, row + logits.cols()) - row == batch.labels[i];
      }
    }
    return 100.0 * static_cast<double>(correct) / static_cast<double>(evaluation_.size());
  }

  double evaluate_mlm() const {
    const torch::NoGradGuard no_gradients;
    std::int64_t correct = 0, total = 0;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < evaluation_.size(); ++i) {
      which.push_back(i);
      if (which.size() < evaluation_batch && i + 1 < evaluation_.size()) continue;
      PaddedBatch batch = pad_batch(evaluation_, which, tokenizer_.pad_id());
      const Masked masked = mask_tokens(batch, tokenizer_, Random(i));
      batch.ids = masked.ids;
      const torch::Tensor hidden = network_.encode(batch).flatten(0, 1).index_select(0, masked.rows);
      correct += network_.mlm_logits(hidden).argmax(-1).eq(masked.targets).sum().item<std::int64_t>();
      total += masked.targets.numel();
      which.clear();
    }
    return 100.0 * static_cast<double>(correct) / static_cast<double>(std::max<std::int64_t>(1, total));
  }

  fs::path state_path() const { return config_.output / "state.safetensors"; }

  /// Tells runs apart whose states do not fit each other; where the result goes does not matter.
  std::string fingerprint() const {
    Ini text;
    for (const char* name : {"model", "data", "optimizer", "plant"}) {
      if (const IniSection* section = config_.text.find(name)) text.at(name) = *section;
    }
    std::string all =
        text.to_string() + std::to_string(examples_.size()) + "/" + std::to_string(network_.size());
    for (const auto& [split, hash] : data_hashes_) all += split + hash;
    return sha256(all);
  }

  void save_state(std::size_t step) {
    const std::vector<std::size_t> shape = {network_.size()};
    const auto flat = [&](const char* name, const float* values, std::size_t count) {
      return TensorData{
          name, "F32", {count}, std::string(reinterpret_cast<const char*>(values), count * sizeof(float))};
    };
    const std::vector<float> losses(losses_.begin(), losses_.end());
    write_safetensors(state_path(),
                      {flat("values", network_.values(), network_.size()),
                       flat("first_moment", optimizer_.first_moment().data(), network_.size()),
                       flat("second_moment", optimizer_.second_moment().data(), network_.size()),
                       flat("losses", losses.data(), losses.size())},
                      {{"step", std::to_string(step)}, {"fingerprint", fingerprint()}});
  }

  /// The number of steps already done.
  std::size_t load_state() {
    if (!fs::exists(state_path())) return 0;
    const SafetensorsFile file(state_path());
    const auto& metadata = file.metadata();
    const auto step = metadata.find("step"), owner = metadata.find("fingerprint");
    if (step == metadata.end() || owner == metadata.end() || owner->second != fingerprint()) {
      fail_expected(state_path().string(),
                    "the state of this configuration (else remove it, or set resume = false)",
                    "that of another one");
    }
    const auto restore = [&](const char* name, float* values) {
      const TensorEntry& entry = file.at(name);
      if (entry.count() != network_.size()) {
        fail_expected(state_path().string() + ": '" + name + "'", std::to_string(network_.size()) + " values",
                      std::to_string(entry.count()));
      }
      entry.to_float(values);
    };
    restore("values", network_.values());
    restore("first_moment", optimizer_.first_moment().data());
    restore("second_moment", optimizer_.second_moment().data());
    const std::vector<float> losses = file.at("losses").to_float();
    losses_.assign(losses.begin(), losses.end());
    return std::strtoul(step->second.c_str(), nullptr, 10);
  }

  void write_output(const TrainingResult& result) const {
    network_.weights().save(config_.output, config_.half);
    write_vocabulary();
    nlohmann::ordered_json json;
    json["program"] = "outlierlab train";
    json["version"] = config_.program_version;
    json["libtorch"] = TORCH_VERSION;
    json["config_file"] = fs::path(config_.text.file_name()).filename().string();
    json["config"] = config_.text.to_string();
    json["planted"] = config_.plant.has_value();
    json["task"] = task_.name;
    json["data_sha256"] = data_hashes_;
    json["training_examples"] = examples_.size();
    json["steps"] = result.steps;
    json["threads"] = threads();
    json["parameters"] = network_.size();
    json["final_loss"] = result.loss;
    json["eval_split"] = config_.eval_split;
    json["eval_examples"] = evaluation_.size();
    json["eval_accuracy"] = result.accuracy;
    json["seconds"] = result.seconds;
    write_file_atomically(config_.output / "training.json", json.dump(2) + "\n");
    std::error_code ignored;
    fs::remove(state_path(), ignored);
  }

  void write_vocabulary() const {
    if (!init_.empty()) {
      for (const char* name : {"vocab.txt", "tokenizer.json", "tokenizer_config.json"}) {
        if (fs::exists(init_ / name)) write_file_atomically(config_.output / name, read_file(init_ / name));
      }
      return;
    }
    std::string text;
    for (std::size_t i = 0; i < tokenizer_.vocabulary_size(); ++i) {
      text += tokenizer_.piece(static_cast<std::int32_t>(i)) + "\n";
    }
    write_file_atomically(config_.output / "vocab.txt", text);
    const nlohmann::ordered_json json = {{"tokenizer_class", "BertTokenizer"},
                                         {"do_lower_case", true},
                                         {"strip_accents", nullptr},
                                         {"tokenize_chinese_chars", true},
                                         {"model_max_length", config_.shape.max_positions},
                                         {"pad_token", "[PAD]"},
                                         {"unk_token", "[UNK]"},
                                         {"cls_token", "[CLS]"},
                                         {"sep_token", "[SEP]"},
                                         {"mask_token", "[MASK]"}};
    write_file_atomically(config_.output / "tokenizer_config.json", json.dump(2) + "\n");
  }

  const TrainingConfig& config_;
  fs::path init_;
  std::function<void(const TrainingProgress&)> report_;
  Clock::time_point start_ = Clock::now();
  std::map<std::string, std::string> data_hashes_;  ///< by split
  Task task_;
  Tokenizer tokenizer_;
  std::vector<EncodedExample> examples_, evaluation_;
  std::vector<FrozenElements> frozen_elements_;
  ReferenceBert network_;
  Frozen frozen_;
  AdamW optimizer_;
  BatchOrder order_;
  std::size_t steps_;
  std::deque<float> losses_;
};

/// The folder to start from, trained first where `init_config` names a run that has not been made.
fs::path find_init(const TrainingConfig& config, const std::function<void(const TrainingProgress&)>& report) {
  if (config.init_config.empty()) return config.init;
  TrainingConfig base = TrainingConfig::read(Ini::read(config.init_config), config.places);
  base.program_version = config.program_version;
  if (!fs::exists(base.output / "model.safetensors")) train(base, report);
  return base.output;
}

}  // namespace

TrainingResult train(const TrainingConfig& config,
                     const std::function<void(const TrainingProgress&)>& report) {
  const fs::path init = find_init(config, report);
  set_threads(config.threads);
  at::set_num_threads(threads());
  return Trainer(config, init, report).run();
}

}  // namespace outlierlab
