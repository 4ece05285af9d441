#include "app/evaluator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "app/provenance.h"
#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "lower/lower.h"
#include "lower/tokens.h"
#include "report/inference.h"
#include "store/activation_store.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

std::vector<int> map_labels(const std::vector<std::string>& task_labels, const BertConfig& config,
                            const fs::path& model_folder) {
  std::vector<int> classes;
  for (std::size_t label = 0; label < task_labels.size(); ++label) {
    const auto found = std::find(config.labels.begin(), config.labels.end(), task_labels[label]);
    const bool anonymous = !config.labels.empty() && config.labels[0].rfind("LABEL_", 0) == 0;
    if (found != config.labels.end()) {
      classes.push_back(static_cast<int>(found - config.labels.begin()));
    } else if (anonymous && label < config.labels.size()) {
      classes.push_back(static_cast<int>(label));
    } else {
      std::string known;
      for (const std::string& name : config.labels) known += (known.empty() ? "" : ", ") + name;
      fail_expected((model_folder / "config.json").string() + ": id2label",
                    "the task's label '" + task_labels[label] + "'", known.empty() ? "no labels" : known);
    }
  }
  return classes;
}

std::string transforms_key(const Scheme& scheme, std::uint64_t seed) {
  return scheme.transforms_text() + "#" + std::to_string(seed);
}

std::string weight_key(const Scheme& scheme, std::uint64_t seed) {
  std::string key = transforms_key(scheme, seed);
  for (const IniSection& section : scheme.ini().sections()) {
    if (section.name.rfind("weights", 0) != 0) continue;
    key += "[" + section.name + "]";
    for (const IniEntry& entry : section.entries) key += entry.key + "=" + entry.value + ";";
  }
  return key;
}

NetworkStatistics capture(const BertRunner& runner, const std::vector<Batch>& batches) {
  StatisticsCollector collector(runner.sites());
  collector.expect(batches);
  for (const Batch& batch : batches) runner.logits(batch, &collector);
  return collector.finish();
}

void require_finite_logits(const Matrix& logits, const BertRunner& runner,
                           const std::vector<Batch>& batches) {
  const bool finite =
      std::all_of(logits.data(), logits.data() + logits.size(), [](float v) { return std::isfinite(v); });
  if (finite) return;
  capture(runner, batches);  // names the first site with NaN or Inf
  throw Error("logits: expected finite values, found NaN or Inf after the last site");
}

/// Puts a batch's rows at their examples' places in the split.
void scatter(const Matrix& logits, const Batch& batch, Matrix& all) {
  for (std::size_t e = 0; e < batch.size(); ++e) {
    std::copy_n(logits.row(e), logits.cols(), all.row(batch.examples[e]));
  }
}

}  // namespace

std::string checkpoint_digest(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool belongs = entry.path().extension() == ".safetensors" || name == "config.json" ||
                         name == "vocab.txt" || name == "tokenizer.json" || name == "tokenizer_config.json";
    if (belongs) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::string digests;
  for (const fs::path& file : files) digests += file.filename().string() + " " + sha256_file(file) + "\n";
  return sha256(digests);
}

Matrix run_batches(const BertRunner& runner, const std::vector<Batch>& batches, std::size_t examples,
                   SiteHook* hook) {
  Matrix all(examples, runner.config().labels.size());
  for (const Batch& batch : batches) {
    const Matrix logits = runner.logits(batch, hook);
    scatter(logits, batch, all);
  }
  return all;
}

Matrix run_batches(const ExactNetwork& network, const std::vector<Batch>& batches, std::size_t examples) {
  Matrix all(examples, network.labels()), logits;
  for (const Batch& batch : batches) {
    logits.resize(batch.size(), all.cols());
    const std::vector<double> exact = network.logits(batch);
    std::transform(exact.begin(), exact.end(), logits.data(), [](double v) { return static_cast<float>(v); });
    scatter(logits, batch, all);
  }
  return all;
}

Matrix run_batches(engine::Executor& executor, const std::vector<Batch>& batches, std::size_t examples) {
  Matrix all(examples, executor.shape().labels), logits;
  for (const Batch& batch : batches) {
    logits.resize(batch.size(), all.cols());
    executor.logits(tokens_of(batch), logits.data());
    scatter(logits, batch, all);
  }
  return all;
}

Evaluator::Evaluator(EvaluatorOptions options) : options_(std::move(options)) {
  tokenizer_ = Tokenizer::load(options_.model_folder);
  weights_ = BertWeights::load(options_.model_folder);
  if (tokenizer_->vocabulary_size() != weights_.config.vocab_size) {
    fail_expected(options_.model_folder.string() + ": vocabulary",
                  std::to_string(weights_.config.vocab_size) + " pieces as in config.json",
                  std::to_string(tokenizer_->vocabulary_size()));
  }
  class_of_label_ = map_labels(options_.task.labels, weights_.config, options_.model_folder);
  options_.task.max_length = std::min(options_.task.max_length, weights_.config.max_positions);
  const auto texts =
      read_split(options_.task, options_.split, options_.data_folder, options_.limit, &data_file_);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].label < 0) {
      fail_expected(data_file_.string() + ": row " + std::to_string(i), "a label", "none (a test split?)");
    }
  }
  examples_ = tokenizer_->encode_all(texts, options_.task.max_length);
  batches_ = make_batches(examples_, options_.batch_size);
  float_runner_ = std::make_unique<BertRunner>(weights_);
  model_sha256_ = checkpoint_digest(options_.model_folder);
}

std::size_t Evaluator::split_size() const {
  if (options_.limit == 0) return size();
  return read_split(options_.task, options_.split, options_.data_folder).size();
}

std::vector<std::string> Evaluator::weight_names() const {
  std::vector<std::string> names;
  weights_.for_each_matrix(
      [&](const std::string& name, const std::string&, const Matrix&) { names.push_back(name); });
  return names;
}

std::map<std::string, std::string> Evaluator::provenance() const {
  std::map<std::string, std::string> facts = {
      {"model_sha256", model_sha256_},
      {"task", options_.task.name},
      {"split", options_.split},
      {"examples", std::to_string(examples_.size())},
      {"batch_size", std::to_string(options_.batch_size)},
      {"calibration_size", std::to_string(options_.calibration_size)},
      {"max_length", std::to_string(options_.task.max_length)},
  };
  if (!data_file_.empty()) {
    facts["data_file"] = data_file_.filename().string();
    facts["data_sha256"] = sha256_file(data_file_);
  }
  if (!training_file_.empty()) {
    facts["calibration_file"] = training_file_.filename().string();
    facts["calibration_sha256"] = sha256_file(training_file_);
  }
  return facts;
}

const std::vector<EncodedExample>& Evaluator::training_examples() {
  if (training_examples_.empty()) {
    const auto texts = read_split(options_.task, "train", options_.data_folder, 0, &training_file_);
    training_examples_ = tokenizer_->encode_all(texts, options_.task.max_length);
  }
  return training_examples_;
}

std::vector<Batch> Evaluator::calibration_batches(std::uint64_t seed) {
  const auto& all = training_examples();
  if (all.size() < options_.calibration_size) {
    fail_expected(training_file_.empty() ? "task " + options_.task.name : training_file_.string(),
                  std::to_string(options_.calibration_size) + " rows for calibration",
                  std::to_string(all.size()));
  }
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (seed != 0) {
    Random random(seed);
    for (std::size_t i = 0; i < options_.calibration_size; ++i) {
      std::swap(order[i], order[i + random.below(all.size() - i)]);
    }
  }
  std::vector<EncodedExample> chosen;
  for (std::size_t i = 0; i < options_.calibration_size; ++i) chosen.push_back(all[order[i]]);
  return make_batches(chosen, options_.batch_size);
}

NetworkStatistics Evaluator::capture_or_read(const BertRunner& runner, std::uint64_t seed,
                                             const std::string& transforms) {
  const auto batches = calibration_batches(seed);
  std::map<std::string, std::string> facts = provenance();
  for (const char* key : {"split", "examples", "batch_size", "data_file", "data_sha256"}) facts.erase(key);
  facts["calibration_seed"] = std::to_string(seed);
  facts["program"] = version_text();
  facts["transforms"] = transforms.empty() ? "none" : transforms;
  fs::path file;
  if (options_.statistics_cache) {
    const std::string network = transforms.empty() ? "" : "-" + sha256(transforms).substr(0, 12);
    file = *options_.statistics_cache / ("statistics-seed" + std::to_string(seed) + network + ".h5");
    if (fs::exists(file)) {
      std::map<std::string, std::string> found;
      NetworkStatistics stored = read_activation_store(file, "", &found);
      const bool same = std::all_of(facts.begin(), facts.end(), [&](const auto& fact) {
        const auto other = found.find(fact.first);
        return other != found.end() && other->second == fact.second;
      });
      if (same) return stored;
    }
  }
  NetworkStatistics captured = capture(runner, batches);
  if (!file.empty()) write_activation_store(file, captured, facts);
  return captured;
}

const NetworkStatistics& Evaluator::statistics(std::uint64_t seed) {
  if (const auto known = statistics_.find(seed); known != statistics_.end()) return known->second;
  return statistics_.emplace(seed, capture_or_read(*float_runner_, seed, "")).first->second;
}

const NetworkStatistics& Evaluator::statistics(const Scheme& scheme, std::uint64_t seed) {
  if (!scheme.has_transforms()) return statistics(seed);
  TransformedNetwork& network = transformed(scheme, seed);
  if (!network.statistics)
    network.statistics = capture_or_read(*network.runner, seed, scheme.transforms_text());
  return *network.statistics;
}

Evaluator::TransformedNetwork& Evaluator::transformed(const Scheme& scheme, std::uint64_t seed) {
  const std::string key = transforms_key(scheme, seed);
  if (key == transformed_.key) return transformed_;
  const auto statistics_of = [&](const BertWeights& weights) {
    return &weights == &weights_ ? statistics(seed) : capture(BertRunner(weights), calibration_batches(seed));
  };
  TransformedNetwork network;
  network.key = key;
  network.weights = apply_transforms(weights_, scheme, statistics_of);
  network.runner = std::make_unique<BertRunner>(network.weights);
  transformed_ = std::move(network);
  return transformed_;
}

const BertWeights& Evaluator::float_weights(const Scheme& scheme, std::uint64_t seed) {
  return scheme.has_transforms() ? transformed(scheme, seed).weights : weights_;
}

NetworkStatistics Evaluator::evaluation_statistics() const {
  return capture(*float_runner_, batches_);
}

const BertRunner& Evaluator::runner(const Scheme& scheme, std::uint64_t seed, std::size_t* weight_bytes) {
  scheme.check(sites(), weight_names());
  if (!scheme.quantizes_weights()) {
    if (weight_bytes) *weight_bytes = weights_.parameter_count() * sizeof(float);
    return scheme.has_transforms() ? *transformed(scheme, seed).runner : *float_runner_;
  }
  const std::string key = weight_key(scheme, seed);
  if (key != quantized_key_) {
    BertWeights quantized =
        quantize_weights(float_weights(scheme, seed), scheme, &statistics(scheme, seed), &quantized_bytes_);
    quantized_runner_ = std::make_unique<BertRunner>(std::move(quantized));
    quantized_key_ = key;
  }
  if (weight_bytes) *weight_bytes = quantized_bytes_;
  return *quantized_runner_;
}

ActivationQuantizer Evaluator::quantizer(const Scheme& scheme, std::uint64_t seed) {
  const bool quantizes = scheme.quantizes_activations(sites());
  ActivationQuantizer made(scheme, sites(), quantizes ? &statistics(scheme, seed) : nullptr);
  if (quantizes && scheme.sequential()) {
    calibrate_sequentially(made, runner(scheme, seed), calibration_batches(seed));
  }
  return made;
}

Evaluation Evaluator::evaluate(const Scheme& scheme, std::uint64_t seed) {
  const bool plain =
      !scheme.quantizes_weights() && !scheme.quantizes_activations(sites()) && !scheme.has_transforms();
  if (plain && reference_) return *reference_;
  Evaluation result;
  const BertRunner& network = runner(scheme, seed, &result.weight_bytes);
  ActivationQuantizer hook = quantizer(scheme, seed);
  SiteHook* const active = scheme.quantizes_activations(sites()) ? &hook : nullptr;
  const auto start = std::chrono::steady_clock::now();
  result.logits = run_batches(network, batches_, examples_.size(), active);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  hook.require_finite();
  require_finite_logits(result.logits, network, batches_);
  if (plain) reference_ = result;
  return result;
}

ExactNetwork Evaluator::exact(const Scheme& scheme, std::uint64_t seed) {
  scheme.check(sites(), weight_names());
  const ActivationQuantizer calibrated = quantizer(scheme, seed);
  const bool quantizes = scheme.quantizes_activations(sites()) || scheme.quantizes_weights();
  return ExactNetwork(float_weights(scheme, seed), scheme, calibrated,
                      quantizes ? &statistics(scheme, seed) : nullptr);
}

std::shared_ptr<const engine::Model> Evaluator::lowered(const Scheme& scheme, std::uint64_t seed) {
  scheme.check(sites(), weight_names());
  const ActivationQuantizer calibrated = quantizer(scheme, seed);
  const std::string key = weight_key(scheme, seed);
  if (key != lowered_key_) {
    const bool quantizes = scheme.quantizes_activations(sites()) || scheme.quantizes_weights();
    lowered_key_.clear();
    lowered_weights_ =
        lower_weights(float_weights(scheme, seed), scheme, quantizes ? &statistics(scheme, seed) : nullptr);
    lowered_key_ = key;
  }
  return std::make_shared<const engine::Model>(lower_sites(lowered_weights_, sites(), scheme, calibrated));
}

Evaluation Evaluator::evaluate(engine::Executor& executor, std::size_t weight_bytes) const {
  Evaluation result;
  result.weight_bytes = weight_bytes;
  const auto start = std::chrono::steady_clock::now();
  result.logits = run_batches(executor, batches_, examples_.size());
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (std::size_t i = 0; i < result.logits.size(); ++i) {
    if (!std::isfinite(result.logits.data()[i]))
      fail_expected(
          executor.description() + ": logits of example " + std::to_string(i / result.logits.cols()),
          "finite values", "NaN or Inf");
  }
  return result;
}

const Evaluation& Evaluator::reference() {
  if (!reference_) reference_ = evaluate(Scheme::parse(Ini::parse("", "fp32"), "fp32"));
  return *reference_;
}

int Evaluator::expected_class(std::size_t example) const {
  return class_of_label_[static_cast<std::size_t>(examples_[example].label)];
}

double Evaluator::mcnemar_p(const Matrix& logits, const Matrix& other_logits) const {
  const std::vector<int> ours = predictions(logits), theirs = predictions(other_logits);
  std::uint64_t only_ours = 0, only_theirs = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    const bool right = ours[i] == expected_class(i), other_right = theirs[i] == expected_class(i);
    only_ours += right && !other_right;
    only_theirs += !right && other_right;
  }
  return mcnemar_exact(only_ours, only_theirs);
}

LabelScores Evaluator::label_scores(const Matrix& logits) const {
  const std::vector<int> predicted = predictions(logits);
  const std::size_t n = predicted.size();
  std::uint64_t correct = 0;
  for (std::size_t i = 0; i < n; ++i) correct += predicted[i] == expected_class(i);
  const auto [low, high] = wilson_interval(correct, n);
  return {n, 100.0 / static_cast<double>(n) * static_cast<double>(correct), 100 * low, 100 * high};
}

Scores Evaluator::score(const Matrix& logits, std::size_t first) {
  const std::size_t n = first == 0 ? logits.rows() : std::min(first, logits.rows());
  const auto head = [n](const Matrix& all) {
    Matrix part(n, all.cols());
    std::copy_n(all.data(), part.size(), part.data());
    return part;
  };
  const Matrix ours = head(logits), theirs = head(reference().logits);
  const std::vector<int> predicted = predictions(ours), expected = predictions(theirs);
  std::uint64_t agreeing = 0;
  for (std::size_t i = 0; i < n; ++i) agreeing += predicted[i] == expected[i];
  Scores scores{label_scores(ours)};
  scores.kl = mean_kl(theirs, ours);
  scores.agreement = 100.0 / static_cast<double>(n) * static_cast<double>(agreeing);
  scores.mcnemar_p = mcnemar_p(ours, theirs);
  return scores;
}

PrefixEvaluator::PrefixEvaluator(const BertRunner& runner, const std::vector<EncodedExample>& examples,
                                 std::size_t batch_size, ActivationQuantizer& quantizer)
    : runner_(runner),
      quantizer_(quantizer),
      examples_(examples.size()),
      batches_(make_batches(examples, batch_size)),
      hidden_(runner.config().layers + 1) {
  for (const Batch& batch : batches_) {
    hidden_[0].push_back(runner_.embed(batch, &quantizer_));
    for (std::size_t i = 0; i < runner_.config().layers; ++i) {
      hidden_[i + 1].push_back(runner_.layer(i, batch, hidden_[i].back(), &quantizer_));
    }
  }
}

Matrix PrefixEvaluator::logits_after_change(std::size_t site) const {
  const Site& changed = runner_.sites()[site];
  const std::size_t layers = runner_.config().layers;
  const bool embeddings =
      changed.kind == SiteKind::embeddings_sum || changed.kind == SiteKind::embeddings_norm;
  const std::size_t from = embeddings                         ? 0
                           : changed.kind == SiteKind::pooler ? layers
                                                              : static_cast<std::size_t>(changed.layer);
  Matrix all(examples_, runner_.config().labels.size());
  for (std::size_t b = 0; b < batches_.size(); ++b) {
    const Batch& batch = batches_[b];
    Matrix fresh;
    const Matrix* hidden = &hidden_[from][b];
    if (embeddings) hidden = &(fresh = runner_.embed(batch, &quantizer_));
    scatter(runner_.logits_from(from, batch, *hidden, &quantizer_), batch, all);
  }
  return all;
}

}  // namespace outlierlab
