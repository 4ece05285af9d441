#include "app/study.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "app/agreement.h"
#include "core/error.h"
#include "core/files.h"
#include "engine/refusal.h"
#include "lower/lower.h"

namespace outlierlab {

namespace {
std::filesystem::path result_file(const StudyOptions& options, const Evaluator& evaluator) {
  return options.out / (options.model_name + "-" + evaluator.options().task.name) /
         (options.experiment + ".csv");
}
}  // namespace

Row figure(const std::string& metric, double estimate) {
  Row row;
  row.metric = metric;
  row.estimate = estimate;
  return row;
}

Study::Study(Evaluator& evaluator, StudyOptions options)
    : evaluator_(evaluator),
      options_(std::move(options)),
      writer_(result_file(options_, evaluator), options_.resume) {}

std::filesystem::path Study::file() const {
  return result_file(options_, evaluator_);
}

Scheme Study::scheme(const std::string& name, const std::vector<std::string>& overrides) const {
  // The user's overrides change the scheme that the experiment starts from, and only what that scheme
  // quantizes: a reference stays float, and what a row is named after always wins.
  const Scheme plain = Scheme::load(name, options_.scheme_folder);
  const bool activations = plain.quantizes_activations(evaluator_.sites()),
             weights = plain.quantizes_weights();
  std::vector<std::string> applicable;
  for (const std::string& assignment : options_.overrides) {
    const bool concerns_weights = assignment.rfind("weights", 0) == 0;
    if (concerns_weights ? weights : activations) applicable.push_back(assignment);
  }
  return Scheme::load(name, options_.scheme_folder, applicable).with(overrides);
}

std::vector<Row> Study::rows_of(const Scores& scores) {
  std::vector<Row> rows = {figure("accuracy", scores.accuracy), figure("kl", scores.kl),
                           figure("agreement", scores.agreement), figure("mcnemar_p", scores.mcnemar_p)};
  rows[0].ci_low = scores.ci_low;
  rows[0].ci_high = scores.ci_high;
  for (Row& row : rows) row.n = scores.n;
  return rows;
}

std::unique_ptr<engine::Executor> Study::executor_of(const Scheme& scheme, std::uint64_t seed,
                                                     std::size_t& weight_bytes) {
  const bool wanted = options_.engine != StudyEngine::simulated && scheme.quantizes_weights() &&
                      scheme.quantizes_activations(evaluator_.sites());
  if (!wanted) return nullptr;
  if (options_.engine == StudyEngine::automatic && evaluator_.size() < options_.asked_from) {
    note("not_executed", every_scheme,
         "asking the engine first pays from " + std::to_string(options_.asked_from) + " examples on, found " +
             std::to_string(evaluator_.size()));
    return nullptr;
  }
  std::shared_ptr<const engine::Model> model;
  std::unique_ptr<engine::Executor> executor;
  try {
    model = evaluator_.lowered(scheme, seed);
    if (model->integer_products() == 0) {
      note("not_executed", current_, "no product multiplies codes");
      return nullptr;
    }
    executor = make_executor(options_.executor, model);
  } catch (const Refusal& refusal) {
    note("not_executed", current_, refusal.what());
    return nullptr;  // the simulation can
  }
  if (options_.engine == StudyEngine::automatic) {
    Simulation simulation(evaluator_, scheme, seed, agreement_examples);
    const Agreement agreement = engine_agreement(simulation, *executor);
    if (!agreement.holds()) {
      note("not_executed", current_, agreement.text());
      return nullptr;
    }
  }
  weight_bytes = model->weight_bytes();
  return executor;
}

Evaluation Study::evaluation(const Scheme& scheme, std::uint64_t seed) {
  std::size_t weight_bytes = 0;
  const auto executor = executor_of(scheme, seed, weight_bytes);
  engines_[current_] = executor ? executor->description() : "simulated";
  return executor ? evaluator_.evaluate(*executor, weight_bytes) : evaluator_.evaluate(scheme, seed);
}

void Study::evaluate(const std::string& variant, const std::string& parameter, const std::string& value,
                     Scheme scheme) {
  measure(variant, parameter, value, [this, scheme = std::move(scheme)] {
    return rows_of(evaluator_.score(evaluation(scheme, 0).logits));
  });
}

void Study::evaluate_with_seeds(const std::string& variant, const std::string& parameter,
                                const std::string& value, Scheme scheme) {
  evaluate(variant, parameter, value, scheme);
  for (std::uint64_t seed = 1; seed <= options_.seeds; ++seed) {
    steps_.push_back({{variant}, parameter, value, seed, [this, scheme, seed](std::size_t) {
                        return rows_of(evaluator_.score(evaluation(scheme, seed).logits));
                      }});
  }
}

void Study::measure(const std::string& variant, const std::string& parameter, const std::string& value,
                    std::function<std::vector<Row>()> rows) {
  measure_together({variant}, parameter, value, [rows = std::move(rows)](std::size_t) { return rows(); });
}

void Study::measure_together(const std::vector<std::string>& variants, const std::string& parameter,
                             const std::string& value, std::function<std::vector<Row>(std::size_t)> rows) {
  steps_.push_back({variants, parameter, value, 0, std::move(rows)});
}

bool Study::Step::is_in(const RowWriter& writer) const {
  return std::any_of(variants.begin(), variants.end(), [&](const std::string& variant) {
    return !writer.find(variant, parameter, value, seed).empty();
  });
}

std::string Study::Step::text() const {
  std::string what = variants.front();
  if (!parameter.empty()) what += " " + parameter + "=" + value;
  if (seed != 0) what += " seed " + std::to_string(seed);
  return what;
}

std::filesystem::path Study::attach(const std::string& name, std::function<std::string()> text) {
  std::filesystem::path path = file();
  path.replace_filename(options_.experiment + "-" + name + ".csv");
  attachments_.push_back({path, std::move(text)});
  return path;
}

void Study::set_aside() const {
  if (options_.resume) return;
  outlierlab::set_aside(file());
  for (const Attachment& attachment : attachments_) outlierlab::set_aside(attachment.file);
}

void Study::write_attachments() const {
  for (const Attachment& attachment : attachments_) {
    if (std::filesystem::exists(attachment.file)) continue;
    write_file_atomically(attachment.file, attachment.text());
  }
}

const std::vector<TimedEngine>& Study::timed_engines() {
  if (timed_) return *timed_;
  std::vector<TimedEngine> made;
  for (const std::string& name : options_.timed) {
    try {
      tries(name);
      made.push_back(options_.make_timed(name));
    } catch (const Refusal& refusal) {
      if (options_.timed.size() == 1) throw;
      note("not_timed", name, refusal.what());
    }
  }
  timed_ = std::move(made);
  return *timed_;
}

std::string Study::measured() {
  if (!present_) {
    present_ = static_cast<std::size_t>(std::count_if(
        steps_.begin(), steps_.end(), [this](const Step& step) { return step.is_in(writer_); }));
  }
  return fmt::format("{} of {} measurements", *present_, steps_.size());
}

const std::vector<Row>& Study::run() {
  set_aside();
  // What is measured side by side takes the longer the more there is of it.
  std::size_t done = 0, total = 0;
  for (const Step& step : steps_) total += step.variants.size();
  for (const Step& step : steps_) {
    current_ = step.text();
    if (options_.progress) options_.progress(done, total, current_);
    done += step.variants.size();
    if (step.is_in(writer_)) continue;
    std::vector<Row> rows;
    for (std::size_t v = 0; v < step.variants.size(); ++v) {
      for (Row& row : step.rows(v)) {
        row.experiment = options_.experiment;
        row.model = options_.model_name;
        row.task = evaluator_.options().task.name;
        row.variant = step.variants[v];
        row.parameter = step.parameter;
        row.value = step.value;
        row.seed = step.seed;
        rows.push_back(std::move(row));
      }
    }
    writer_.append(rows);
    if (present_ && !rows.empty()) ++*present_;
    if (options_.kept) options_.kept();
  }
  write_attachments();
  if (options_.progress) options_.progress(total, total, "done");
  return writer_.rows();
}

}  // namespace outlierlab
