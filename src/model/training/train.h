#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "core/ini.h"
#include "model/config.h"

namespace outlierlab {

/// Where the relative paths of a training INI lead.
struct TrainingPlaces {
  std::filesystem::path root = ".";  ///< of `init` and of the output folder; tasks lie in root/configs/tasks
  std::filesystem::path data;        ///< the task's folder; empty: $OUTLIERLAB_DATA/<task>
};

/// What `outlierlab train --config FILE` does, one INI file of configs/training/:
///
///     [model]
///     init = DIR                  # fine-tune this Hugging Face folder, or
///     init_config = other.ini     # what that training (a file beside this one) puts out; it is run first if
///     need be, hidden_size = 128           # or from scratch: with layers, heads, intermediate_size,
///     max_positions, deviation = 0.05            # the standard deviation of the first weights, and
///     vocabulary = FILE           # vocab.txt; by default the generated corpus' own
///     hidden_dropout = 0.1        # also attention_dropout, head_dropout; by default those of `init`, else
///     0.1 [data] task = demo                 # a name in configs/tasks/ or an INI file max_length = 48 # by
///     default the task's limit = 0                   # the first N training examples; 0: all eval_split =
///     dev eval_limit = 0 [optimizer] objective = classification  # or mlm learning_rate = 3e-4        #
///     AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101); linear warm-up and decay to 0 weight_decay =
///     0.01         # of matrices; never of biases and LayerNorms beta1 = 0.9 beta2 = 0.999 epsilon = 1e-8
///     warmup = 0.1                # below 1 a share of the steps, else a number of steps
///     gradient_clip = 1           # on the norm of all gradients together
///     batch_size = 32
///     steps = 2000                # or epochs = 2.2
///     seed = 1
///     threads = 0                 # 0: all cores
///     [plant]                     # optional: planting.h
///     [checkpoint]
///     every = 500                 # steps between states from which a killed run resumes; 0: none
///     evaluate = 500              # steps between evaluations; 0: only at the end
///     resume = true
///     [output]
///     folder = models/demo/base
///     half = false                # store F16
struct TrainingConfig {
  enum class Objective { classification, mlm };

  Ini text;  ///< as read, for provenance
  TrainingPlaces places;

  std::filesystem::path init;         ///< empty: from scratch
  std::filesystem::path init_config;  ///< empty: none
  BertConfig shape;                   ///< from scratch only; vocab_size and labels are filled in later
  std::filesystem::path vocabulary;
  double deviation = 0.02;
  std::optional<double> hidden_dropout, attention_dropout;
  double head_dropout = 0.1;

  std::filesystem::path task;
  std::size_t max_length = 0, limit = 0, eval_limit = 0;
  std::string eval_split = "dev";

  Objective objective = Objective::classification;
  double learning_rate = 0, weight_decay = 0.01, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, warmup = 0.1;
  double gradient_clip = 1;
  std::size_t batch_size = 32, steps = 0;
  double epochs = 0;
  std::uint64_t seed = 1;
  int threads = 0;

  std::optional<IniSection> plant;

  std::size_t checkpoint_every = 0, evaluate_every = 0;
  bool resume = true;
  std::filesystem::path output;
  bool half = false;

  std::string program_version;  ///< set by the caller, for training.json

  /// Throws UsageError (file, line, key) for unknown or missing keys and values out of range.
  static TrainingConfig read(const Ini& ini, const TrainingPlaces& places = {});
};

/// What a run tells while it works.
struct TrainingProgress {
  std::string run;  ///< the configuration's file name
  std::size_t step = 0, steps = 0;
  double loss = 0;  ///< mean over the last 100 steps
  double learning_rate = 0;
  double examples_per_second = 0;
  double seconds_left = 0;
  std::optional<double> accuracy;  ///< percent, where this step was evaluated
  std::string note;                ///< something to tell apart from the figures; otherwise empty
};

struct TrainingResult {
  std::size_t steps = 0;
  double loss = 0;      ///< mean over the last 100 steps
  double accuracy = 0;  ///< percent on the evaluation split; for mlm of its masked tokens
  double seconds = 0;   ///< of this call
};

/// Trains and writes the output folder: config.json, model.safetensors, vocab.txt, tokenizer_config.json, and
/// training.json with what was done. `report` (may be empty) is called after every step.
///
/// Every draw (first weights, order of examples, dropout, masks) is a function of the seed and the step
/// alone. So with the same number of threads two runs give the same weights, and so does a run that was
/// killed and resumed. Throws Error if the loss stops being finite, or if a state to resume from belongs to
/// another configuration.
TrainingResult train(const TrainingConfig& config,
                     const std::function<void(const TrainingProgress&)>& report = {});

}  // namespace outlierlab
