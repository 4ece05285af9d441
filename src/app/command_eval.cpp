#include <fmt/core.h>

#include <algorithm>

#include "app/agreement.h"
#include "app/commands.h"
#include "app/engines.h"
#include "app/packed.h"
#include "app/session.h"
#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "lower/lower.h"

namespace outlierlab {

namespace {

/// What `bytes` of weights are kept in, `held`, is as packed for the processor; the simulation's are floats,
/// whatever the scheme's bits would save in a file.
std::string weights_text(std::size_t bytes, std::size_t held, bool integer) {
  return fmt::format(integer
                         ? "{:.2f} MB as codes and floats; packed for the processor, {:.2f} MB"
                         : "{:.2f} MB if stored with the scheme's bits; simulated with {:.2f} MB of float32",
                     static_cast<double>(bytes) / 1e6, static_cast<double>(held) / 1e6);
}

}  // namespace

int command_eval(const std::vector<std::string>& arguments) {
  CommonOptions values;
  values.scheme = "w8a8";
  std::string engine_name = "simulated";
  std::string precision;
  std::filesystem::path packed;
  bool check = false, no_reference = false;
  Options options(
      "eval", "Evaluates one scheme on one task and compares it with the float network.",
      "outlierlab eval --model demo-planted --scheme w8a8 --set activations.calibrator=percentile");
  add_common(options, values,
             {"model", "task", "data", "limit", "scheme", "set", "json", "threads", "batch-size",
              "calibration-size", "calibration-seed"});
  options.add(
      "engine", "NAME",
      "simulated (float arithmetic on rounded values), int8 (integer execution), or cuda (the same on a GPU)",
      &engine_name);
  options.add("packed", "FILE",
              "with --engine int8 or cuda: a model that `outlierlab pack` wrote, instead of --scheme",
              &packed);
  options.add(
      "precision", "NAME",
      "with --engine int8 or cuda: how products with a weight run whose sides are not both codes: float32, "
      "bfloat16, and on a GPU, attention included, float16 (its default) or float8",
      &precision);
  options.flag("check",
               "with --engine int8 or cuda: also compare with the scheme simulated in double precision; exit "
               "1 if they differ too much",
               &check);
  options.flag(
      "no-reference",
      "leaves out the float network, and with it KL, agreement and McNemar's p: accuracy and speed only",
      &no_reference);
  if (!options.parse(arguments)) return 0;
  std::vector<std::string> engines = engine_names();
  engines.insert(engines.begin(), "simulated");
  if (std::find(engines.begin(), engines.end(), engine_name) == engines.end())
    fail_unknown("engine", engine_name, engines);
  const bool integer = engine_name != "simulated";
  if (!integer && (check || !packed.empty() || !precision.empty()))
    throw UsageError(std::string(check             ? "--check"
                                 : !packed.empty() ? "--packed"
                                                   : "--precision") +
                     ": expected --engine int8 or cuda beside it, found --engine simulated");
  if (check && !packed.empty()) throw UsageError("--check: expected a scheme to simulate, found --packed");
  refuse_beside_packed(options, packed);
  std::optional<engine::RealPrecision> real;
  if (!precision.empty()) real = precision_named(precision);
  const Scheme scheme = Scheme::load(values.scheme, resource_root() / "configs" / "schemes", values.set);
  Session session = open_session(values);
  Evaluator& evaluator = *session.evaluator;
  Provenance provenance = session_provenance(session, "eval", arguments);
  Evaluation evaluation;
  Agreement agreement;
  std::string products, untimed;  // empty: may be timed
  std::size_t held = evaluator.parameter_count() * sizeof(float);
  std::string scheme_name = scheme.name(), scheme_text = scheme.ini().to_string(),
              engine_description = "simulated";
  if (integer) {
    const auto model = packed.empty() ? evaluator.lowered(scheme, values.calibration_seed)
                                      : read_packed_model_of(packed, evaluator.config());
    if (!packed.empty()) {
      require_packed_from(packed, *model, session.model.name, [&] { return evaluator.model_sha256(); });
      provenance.add_file("packed", packed);
      scheme_name = packed_scheme(*model);
      scheme_text = packed_scheme_text(*model);
    }
    const std::unique_ptr<engine::Executor> executor = make_executor(engine_name, model, {real});
    engine_description = executor->description();
    held = executor->bytes();  // before any batch
    evaluation = evaluator.evaluate(*executor, model->weight_bytes());
    products = fmt::format("{} of {} in integers", model->integer_products(), 8 * model->shape.layers);
    if (!packed.empty()) {
      untimed = "--packed has no simulation to agree with first";
    } else {
      Simulation simulation(evaluator, scheme, values.calibration_seed, check ? 0 : agreement_examples);
      agreement = engine_agreement(simulation, *executor, check);
      if (!agreement.holds())
        untimed = "it does not agree with the scheme in double precision: " + agreement.text();
    }
  } else {
    evaluation = evaluator.evaluate(scheme, values.calibration_seed);
  }
  std::optional<Scores> compared;
  if (!no_reference) compared = evaluator.score(evaluation.logits);
  const LabelScores scores = compared ? *compared : evaluator.label_scores(evaluation.logits);
  const double rate = static_cast<double>(scores.n) / evaluation.seconds;

  provenance.set_config(scheme_text);
  add_evaluator_facts(provenance, evaluator);
  nlohmann::ordered_json facts = provenance.to_json();
  if (!packed.empty()) facts.erase("calibration_size");  // nothing was calibrated
  nlohmann::ordered_json result = {
      {"model", session.model.name},
      {"task", evaluator.options().task.name},
      {"scheme", scheme_name},
      {"engine", engine_description},
      {"n", scores.n},
      {"accuracy", scores.accuracy},
      {"ci_low", scores.ci_low},
      {"ci_high", scores.ci_high},
  };
  fmt::print("{}{} on {}, scheme {}, {} examples, {}\n", session.model.name,
             session.model.planted ? " (planted)" : "", evaluator.options().task.name, scheme_name, scores.n,
             engine_description);
  fmt::print("accuracy   {:.2f} % [{:.2f}, {:.2f}]\n", scores.accuracy, scores.ci_low, scores.ci_high);
  if (compared) {
    result["kl"] = compared->kl;
    result["agreement"] = compared->agreement;
    result["mcnemar_p"] = compared->mcnemar_p;
    fmt::print("KL         {:.6g} nats from float\n", compared->kl);
    fmt::print("agreement  {:.2f} % with float, McNemar p = {:.3g}\n", compared->agreement,
               compared->mcnemar_p);
  }
  result["weight_bytes"] = evaluation.weight_bytes;
  if (untimed.empty()) {
    result["seconds"] = evaluation.seconds;
    result["examples_per_second"] = rate;
  }
  fmt::print("weights    {}\n", weights_text(evaluation.weight_bytes, held, integer));
  if (integer) fmt::print("products   {}\n", products);
  if (untimed.empty()) {
    fmt::print("speed      {:.1f} examples/s on {} threads\n", rate, threads());
  } else {
    fmt::print("speed      not told: {}\n", untimed);
  }
  if (check) {
    fmt::print("engine     {}\n", agreement.text());
    result["engine_agreement"] = agreement.to_json();
  }
  result["provenance"] = facts;
  if (!values.json.empty()) write_file_atomically(values.json, result.dump(2) + "\n");
  return check && !agreement.holds() ? 1 : 0;
}

}  // namespace outlierlab
