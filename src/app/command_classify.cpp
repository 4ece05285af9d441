#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <optional>

#include "app/commands.h"
#include "app/packed.h"
#include "app/session.h"
#include "core/error.h"
#include "core/parallel.h"
#include "engine/cpu/cpu_executor.h"

namespace outlierlab {

namespace {

/// A network that is ready to answer, and what must live as long.
struct Classifier {
  std::optional<Tokenizer> tokenizer;
  std::vector<std::string> labels;
  std::size_t max_length = 128;                                      ///< the task's
  std::function<Matrix(const std::vector<EncodedExample>&)> logits;  ///< [examples, labels]

  std::unique_ptr<Session> session;
  std::unique_ptr<BertRunner> runner;
  std::unique_ptr<ActivationQuantizer> quantizer;
  std::unique_ptr<engine::CpuExecutor> executor;
};

void run_on_engine(Classifier& made, std::shared_ptr<const engine::Model> model, std::size_t batch_size) {
  made.executor = std::make_unique<engine::CpuExecutor>(std::move(model));
  made.logits = [executor = made.executor.get(), batch_size](const std::vector<EncodedExample>& examples) {
    return run_batches(*executor, make_batches(examples, batch_size), examples.size());
  };
}

void run_simulated(Classifier& made, const BertRunner& runner, std::size_t batch_size) {
  made.logits = [&runner, hook = made.quantizer.get(),
                 batch_size](const std::vector<EncodedExample>& examples) {
    return run_batches(runner, make_batches(examples, batch_size), examples.size(), hook);
  };
}

/// What calibrates needs the task's training examples; what does not answers after the model's files alone.
Classifier open_classifier(const CommonOptions& values, const ModelEntry& entry,
                           const std::optional<Task>& task, const std::string& engine_name,
                           const std::filesystem::path& packed) {
  Classifier made;
  const BertConfig config = BertConfig::read(entry.folder / "config.json");
  made.labels = config.labels;
  if (task) made.max_length = task->max_length;
  made.max_length = std::min(made.max_length, config.max_positions);
  made.tokenizer = Tokenizer::load(entry.folder);
  if (made.tokenizer->vocabulary_size() != config.vocab_size) {
    fail_expected(entry.folder.string() + ": vocabulary",
                  std::to_string(config.vocab_size) + " pieces as in config.json",
                  std::to_string(made.tokenizer->vocabulary_size()));
  }
  if (!packed.empty()) {
    const auto model = read_packed_model_of(packed, config);
    // A listed model's name will do: digesting takes longer than answering.
    const bool listed = !entry.task.empty();
    if (!listed || packed_model_name(*model) != entry.name)
      require_packed_from(packed, *model, entry.name, [&] { return checkpoint_digest(entry.folder); });
    run_on_engine(made, model, values.batch_size);
    return made;
  }
  const Scheme scheme = Scheme::load(values.scheme, resource_root() / "configs" / "schemes", values.set);
  const SiteTable sites(config);
  if (engine_name == "simulated" && !scheme.quantizes_weights() && !scheme.quantizes_activations(sites) &&
      !scheme.has_transforms()) {
    made.runner = std::make_unique<BertRunner>(BertWeights::load(entry.folder));
    made.labels = made.runner->config().labels;
    run_simulated(made, *made.runner, values.batch_size);
    return made;
  }
  CommonOptions calibrating = values;
  calibrating.limit = 1;  // nothing is evaluated
  made.session = std::make_unique<Session>(open_session(calibrating));
  Evaluator& evaluator = *made.session->evaluator;
  made.labels = evaluator.config().labels;
  if (engine_name == "int8") {
    run_on_engine(made, evaluator.lowered(scheme, values.calibration_seed), values.batch_size);
  } else {
    made.quantizer =
        std::make_unique<ActivationQuantizer>(evaluator.quantizer(scheme, values.calibration_seed));
    run_simulated(made, evaluator.runner(scheme, values.calibration_seed), values.batch_size);
  }
  return made;
}

/// One line for each example: the likeliest label, then every label's probability, tab-separated.
void print_answers(const Classifier& classifier, const std::vector<EncodedExample>& examples) {
  const Matrix logits = classifier.logits(examples);
  for (std::size_t e = 0; e < logits.rows(); ++e) {
    const float* row = logits.row(e);
    const std::size_t best = static_cast<std::size_t>(std::max_element(row, row + logits.cols()) - row);
    double sum = 0;
    for (std::size_t c = 0; c < logits.cols(); ++c) sum += std::exp(static_cast<double>(row[c]) - row[best]);
    std::string line = classifier.labels[best];
    for (std::size_t c = 0; c < logits.cols(); ++c) {
      line += fmt::format("\t{}={:.6f}", classifier.labels[c],
                          std::exp(static_cast<double>(row[c]) - row[best]) / sum);
    }
    fmt::print("{}\n", line);
  }
  std::fflush(stdout);
}

EncodedExample encode(const Classifier& classifier, const TextExample& text, std::size_t index,
                      const std::string& place) {
  try {
    return classifier.tokenizer->encode(text, classifier.max_length, static_cast<std::uint32_t>(index));
  } catch (const Error& error) {
    throw Error(place + ": " + error.what());
  }
}

/// "two texts (question, sentence: task demo)".
std::string expected_texts(const std::optional<Task>& task) {
  if (!task) return "one text or two";
  std::string columns;
  for (const std::string& column : task->text_columns) columns += (columns.empty() ? "" : ", ") + column;
  return (task->text_columns.size() == 2 ? "two texts (" : "one text (") + columns + ": task " + task->name +
         ")";
}

/// Texts as the task has them: as many, and none empty; without a task one or two.
TextExample make_example(const std::optional<Task>& task, const std::vector<std::string>& texts,
                         const std::string& place) {
  for (const std::string& text : texts) {
    if (text.find_first_not_of(" \t") == std::string::npos)
      fail_expected(place, expected_texts(task), "an empty text");
  }
  if (task ? texts.size() != task->text_columns.size() : texts.size() > 2)
    fail_expected(place, expected_texts(task), std::to_string(texts.size()));
  TextExample example;
  example.first = texts[0];
  example.pair = texts.size() == 2;
  if (example.pair) example.second = texts[1];
  return example;
}

/// The texts of a line, which have tabs between them.
std::vector<std::string> split_line(std::string line) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
  std::vector<std::string> texts(1);
  for (const char c : line) {
    if (c == '\t') {
      texts.emplace_back();
    } else {
      texts.back() += c;
    }
  }
  return texts;
}

TextExample example_of_arguments(const std::optional<Task>& task, const std::vector<std::string>& texts) {
  try {
    return make_example(task, texts, "TEXT");
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

/// Answers standard input as it comes, `batch_size` lines at a time.
void classify_lines(const Classifier& classifier, const std::optional<Task>& task, std::size_t batch_size) {
  std::vector<EncodedExample> waiting;
  std::size_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const std::string place = "standard input:" + std::to_string(++number);
    try {
      const TextExample example = make_example(task, split_line(std::move(line)), place);
      waiting.push_back(encode(classifier, example, waiting.size(), place));
    } catch (const Error&) {
      // The lines before the bad one get their answers.
      if (!waiting.empty()) print_answers(classifier, waiting);
      throw;
    }
    if (waiting.size() < batch_size) continue;
    print_answers(classifier, waiting);
    waiting.clear();
  }
  if (!waiting.empty()) print_answers(classifier, waiting);
}

}  // namespace

int command_classify(const std::vector<std::string>& arguments) {
  CommonOptions values;
  values.scheme = "fp32";
  std::string engine_name = "simulated";
  std::filesystem::path packed;
  std::vector<std::string> texts;
  Options options(
      "classify",
      "Prints a text's or a pair of texts' label and the probability of each label. Without TEXT it "
      "reads\nstandard input: a text a line, or two with a tab between them. Whether it is one text or two, "
      "and the\nlength that they are cut to, is the task's; without a task it is either, and 128 pieces.",
      "outlierlab classify --model demo-planted \"Where was Davo born?\" \"Davo was born in Feden in "
      "1850.\"");
  options.positional("TEXT",
                     "one text, or the two of a pair (a question and a sentence), as the task has them",
                     &texts, 0, 2);
  add_common(options, values,
             {"model", "scheme", "set", "task", "data", "threads", "batch-size", "calibration-size",
              "calibration-seed"});
  options.add("engine", "NAME", "simulated (float arithmetic on rounded values) or int8 (integer execution)",
              &engine_name);
  options.add("packed", "FILE",
              "a model that `outlierlab pack` wrote, executed in integers, instead of --scheme", &packed);
  if (!options.parse(arguments)) return 0;
  const std::vector<std::string> engines = {"simulated", "int8"};
  if (std::find(engines.begin(), engines.end(), engine_name) == engines.end())
    fail_unknown("engine", engine_name, engines);
  refuse_beside_packed(options, packed);
  if (!packed.empty() && options.given("engine") && engine_name != "int8")
    throw UsageError("--packed: expected --engine int8 or none beside it, found --engine " + engine_name);
  set_threads(values.threads);
  const ModelEntry entry = find_model(values.model);
  const std::optional<Task> task = task_of(values, entry);
  // Wrong texts are refused before anything is read or calibrated.
  std::optional<TextExample> example;
  if (!texts.empty()) example = example_of_arguments(task, texts);
  const Classifier classifier = open_classifier(values, entry, task, engine_name, packed);
  if (classifier.labels.empty())
    fail_expected("model " + values.model, "a classification model", "one without labels");
  if (example) {
    print_answers(classifier, {encode(classifier, *example, 0, "TEXT")});
  } else {
    classify_lines(classifier, task, values.batch_size);
  }
  return 0;
}

}  // namespace outlierlab
