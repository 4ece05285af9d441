#include <fmt/core.h>

#include "app/commands.h"
#include "app/session.h"
#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"

namespace outlierlab {

int command_eval(const std::vector<std::string>& arguments) {
  CommonOptions values;
  values.scheme = "w8a8";
  Options options(
      "eval", "Evaluates one scheme on one task and compares it with the float network.",
      "outlierlab eval --model demo-planted --scheme w8a8 --set activations.calibrator=percentile");
  add_common(options, values,
             {"model", "task", "data", "limit", "scheme", "set", "json", "threads", "batch-size",
              "calibration-size", "calibration-seed"});
  if (!options.parse(arguments)) return 0;
  const Scheme scheme = Scheme::load(values.scheme, resource_root() / "configs" / "schemes", values.set);
  Session session = open_session(values);
  Evaluator& evaluator = *session.evaluator;
  Provenance provenance = session_provenance(session, "eval", arguments);
  const Evaluation evaluation = evaluator.evaluate(scheme, values.calibration_seed);
  const Scores scores = evaluator.score(evaluation.logits);
  const double rate = static_cast<double>(scores.n) / evaluation.seconds;

  provenance.set_config(scheme.ini().to_string());
  add_evaluator_facts(provenance, evaluator);
  nlohmann::ordered_json result = {
      {"model", session.model.name},
      {"task", evaluator.options().task.name},
      {"scheme", scheme.name()},
      {"n", scores.n},
      {"accuracy", scores.accuracy},
      {"ci_low", scores.ci_low},
      {"ci_high", scores.ci_high},
      {"kl", scores.kl},
      {"agreement", scores.agreement},
      {"mcnemar_p", scores.mcnemar_p},
      {"weight_bytes", evaluation.weight_bytes},
      {"seconds", evaluation.seconds},
      {"examples_per_second", rate},
      {"provenance", provenance.to_json()},
  };
  fmt::print("{}{} on {}, scheme {}, {} examples\n", session.model.name,
             session.model.planted ? " (planted)" : "", evaluator.options().task.name, scheme.name(),
             scores.n);
  fmt::print("accuracy   {:.2f} % [{:.2f}, {:.2f}]\n", scores.accuracy, scores.ci_low, scores.ci_high);
  fmt::print("KL         {:.6g} nats from float\n", scores.kl);
  fmt::print("agreement  {:.2f} % with float, McNemar p = {:.3g}\n", scores.agreement, scores.mcnemar_p);
  fmt::print("weights    {:.2f} MB\n", static_cast<double>(evaluation.weight_bytes) / 1e6);
  fmt::print("speed      {:.1f} examples/s on {} threads\n", rate, threads());
  if (!values.json.empty()) write_file_atomically(values.json, result.dump(2) + "\n");
  return 0;
}

}  // namespace outlierlab
