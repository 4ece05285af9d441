#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/task.h"
#include "data/tokenizer.h"
#include "engine/executor.h"
#include "model/runner.h"
#include "model/weights.h"
#include "quant/exact_network.h"
#include "quant/scheme.h"
#include "stats/statistics.h"

namespace outlierlab {

/// What an evaluation is made on.
struct EvaluatorOptions {
  std::filesystem::path model_folder;  ///< Hugging Face folder
  std::filesystem::path data_folder;   ///< of the task; unused by generated tasks
  Task task;
  std::string split = "dev";
  std::size_t limit = 0;  ///< the first N examples of the split; 0: all
  std::size_t batch_size = 32;
  std::size_t calibration_size = 256;
  std::optional<std::filesystem::path> statistics_cache;  ///< folder that keeps captured statistics as HDF5
};

/// What one pass over the split leaves.
struct Evaluation {
  Matrix logits;                 ///< [examples, classes] in the order of the split
  std::size_t weight_bytes = 0;  ///< all parameters as they would be stored
  double seconds = 0;            ///< forward passes only
};

/// An evaluation against the labels, in percent, with Wilson's 95 % interval.
struct LabelScores {
  std::uint64_t n = 0;
  double accuracy = 0, ci_low = 0, ci_high = 0;
};

/// And against the float network. Shares in percent, KL in nats.
struct Scores : LabelScores {
  double kl = 0, agreement = 0, mcnemar_p = 1;
};

/// One model on one split of one task: evaluates schemes, captures and keeps calibration statistics. The
/// float network's logits, the statistics of each calibration set, and the last transformed, the last
/// quantized and the last lowered weights are computed once and re-used.
class Evaluator {
 public:
  explicit Evaluator(EvaluatorOptions options);

  const EvaluatorOptions& options() const { return options_; }
  const BertConfig& config() const { return weights_.config; }
  const SiteTable& sites() const { return float_runner_->sites(); }
  const BertRunner& float_runner() const { return *float_runner_; }
  std::size_t parameter_count() const { return weights_.parameter_count(); }
  std::size_t size() const { return examples_.size(); }
  /// Of the whole split, however few of it a limit leaves.
  std::size_t split_size() const;
  const std::vector<EncodedExample>& examples() const { return examples_; }
  const std::vector<Batch>& batches() const { return batches_; }
  std::vector<std::string> weight_names() const;

  const std::string& model_sha256() const { return model_sha256_; }
  /// Sizes and digests of what is evaluated, for provenance.
  std::map<std::string, std::string> provenance() const;

  /// Runs a scheme over the split. `seed` chooses the calibration set: 0 takes the first `calibration_size`
  /// training examples, another value draws as many without replacement.
  Evaluation evaluate(const Scheme& scheme, std::uint64_t seed = 0);

  /// The float network's evaluation.
  const Evaluation& reference();

  /// Compares with the labels alone, which needs no pass of the float network.
  LabelScores label_scores(const Matrix& logits) const;
  /// Compares with the labels and the reference. `first` > 0 scores the first rows only.
  Scores score(const Matrix& logits, std::size_t first = 0);
  /// McNemar's exact p of two evaluations, on the first rows that both have.
  double mcnemar_p(const Matrix& logits, const Matrix& other_logits) const;

  /// Statistics of the float network on a calibration set.
  const NetworkStatistics& statistics(std::uint64_t seed = 0);
  /// The same of the float network that the scheme's transforms make of it. The reference stays valid until
  /// another scheme or seed is asked for.
  const NetworkStatistics& statistics(const Scheme& scheme, std::uint64_t seed = 0);
  /// Statistics of the float network on the evaluated split itself.
  NetworkStatistics evaluation_statistics() const;
  /// The calibration set in batches.
  std::vector<Batch> calibration_batches(std::uint64_t seed = 0);

  /// The network with a scheme's weights. The reference stays valid until the next call.
  const BertRunner& runner(const Scheme& scheme, std::uint64_t seed = 0, std::size_t* weight_bytes = nullptr);
  /// A scheme's activation quantizer, calibrated.
  ActivationQuantizer quantizer(const Scheme& scheme, std::uint64_t seed = 0);
  /// A scheme as the integer engine executes it; Refusal for what it cannot execute.
  std::shared_ptr<const engine::Model> lowered(const Scheme& scheme, std::uint64_t seed = 0);
  /// A scheme in double precision, with which its executions are compared.
  ExactNetwork exact(const Scheme& scheme, std::uint64_t seed = 0);
  /// Runs the split through an executor of the integer engine.
  Evaluation evaluate(engine::Executor& executor, std::size_t weight_bytes) const;

 private:
  /// A float network and its statistics, once asked for.
  struct TransformedNetwork {
    std::string key;  ///< transforms and seed
    BertWeights weights;
    std::unique_ptr<BertRunner> runner;
    std::optional<NetworkStatistics> statistics;
  };

  int expected_class(std::size_t example) const;
  const std::vector<EncodedExample>& training_examples();
  /// The float network after the scheme's transforms, which it must have; kept until another is asked for.
  TransformedNetwork& transformed(const Scheme& scheme, std::uint64_t seed);
  const BertWeights& float_weights(const Scheme& scheme, std::uint64_t seed);
  /// From the cache on disk, or captured and put there; `transforms` says what `runner` is.
  NetworkStatistics capture_or_read(const BertRunner& runner, std::uint64_t seed,
                                    const std::string& transforms);

  EvaluatorOptions options_;
  std::optional<Tokenizer> tokenizer_;
  BertWeights weights_;
  std::unique_ptr<BertRunner> float_runner_;
  std::vector<EncodedExample> examples_;
  std::vector<Batch> batches_;
  std::vector<int> class_of_label_;
  std::filesystem::path data_file_, training_file_;
  std::string model_sha256_;

  std::vector<EncodedExample> training_examples_;
  std::map<std::uint64_t, NetworkStatistics> statistics_;
  std::optional<Evaluation> reference_;
  TransformedNetwork transformed_;
  std::unique_ptr<BertRunner> quantized_runner_;
  std::string quantized_key_;
  std::size_t quantized_bytes_ = 0;
  engine::Model lowered_weights_;
  std::string lowered_key_;
};

/// One digest over everything that makes the network: weights (all shards), configuration, vocabulary.
/// SHA-256 over the lines "name digest" of the files in order of name.
std::string checkpoint_digest(const std::filesystem::path& folder);

/// Logits of all batches, by position in the split ([examples, classes]).
Matrix run_batches(const BertRunner& runner, const std::vector<Batch>& batches, std::size_t examples,
                   SiteHook* hook);

Matrix run_batches(const ExactNetwork& network, const std::vector<Batch>& batches, std::size_t examples);
Matrix run_batches(engine::Executor& executor, const std::vector<Batch>& batches, std::size_t examples);

/// Re-runs a network from the layer of a changed site on: the hidden states before each layer are kept from
/// one pass with the quantizer as it was given. For studies that switch one site at a time.
class PrefixEvaluator {
 public:
  PrefixEvaluator(const BertRunner& runner, const std::vector<EncodedExample>& examples,
                  std::size_t batch_size, ActivationQuantizer& quantizer);
  /// Logits with the quantizer as it is now, given that it changed at `site` only.
  Matrix logits_after_change(std::size_t site) const;

 private:
  const BertRunner& runner_;
  ActivationQuantizer& quantizer_;
  std::size_t examples_;
  std::vector<Batch> batches_;
  std::vector<std::vector<Matrix>>
      hidden_;  ///< [layer][batch]: input of the layer; the last: input of the pooler
};

}  // namespace outlierlab
