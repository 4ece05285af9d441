#include <fmt/core.h>

#include "app/commands.h"
#include "app/session.h"
#include "core/error.h"
#include "core/files.h"
#include "engine/packed_file.h"
#include "lower/lower.h"
#include "lower/packed_model.h"
#include "model/safetensors.h"

namespace outlierlab {

namespace {

/// Only what pack wrote may it write again: least of all the checkpoint or the scheme that it reads.
void require_no_other_file(const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file)) return;
  try {
    const auto metadata = SafetensorsFile(file).metadata();
    const auto format = metadata.find("format");
    if (format != metadata.end() && format->second == engine::packed_format) return;
  } catch (const Error&) {
  }
  fail_expected(file.string(), "no file yet, or one that pack wrote", "another file");
}

}  // namespace

int command_pack(const std::vector<std::string>& arguments) {
  CommonOptions values;
  values.scheme = "w8a8";
  values.out.clear();
  std::filesystem::path file;
  Options options(
      "pack",
      "Calibrates a scheme and writes the quantized model as one file that the integer engine maps. Every "
      "code of a\nweight takes a byte there, of fewer than 8 bits too.",
      "outlierlab pack --model demo-planted --scheme w8a8-token --out planted-int8.safetensors");
  add_common(options, values,
             {"model", "task", "data", "scheme", "set", "threads", "batch-size", "calibration-size",
              "calibration-seed"});
  options.add("out", "FILE", "the safetensors file to write", &file);
  if (!options.parse(arguments)) return 0;
  if (file.empty()) throw UsageError("--out: expected the file to write, found none");
  const Scheme scheme = Scheme::load(values.scheme, resource_root() / "configs" / "schemes", values.set);
  values.limit = 1;  // nothing is evaluated
  require_no_other_file(file);
  require_writable(file);
  Session session = open_session(values);
  Evaluator& evaluator = *session.evaluator;
  Provenance provenance = session_provenance(session, "pack", arguments);
  engine::Model model = *evaluator.lowered(scheme, values.calibration_seed);
  provenance.set_config(scheme.ini().to_string());
  add_evaluator_facts(provenance, evaluator);
  nlohmann::ordered_json facts = provenance.to_json();
  for (const char* of_evaluation : {"split", "examples", "data_file", "data_sha256"})
    facts.erase(of_evaluation);
  model.facts["provenance"] = facts.dump();
  const std::size_t bytes = write_packed_model(file, model);
  const std::size_t float_bytes = evaluator.parameter_count() * sizeof(float);
  fmt::print("{}, scheme {}: {} of {} products in integers\n", session.model.name, scheme.name(),
             model.integer_products(), 8 * model.shape.layers);
  fmt::print("{}: {:.2f} MB, {:.1f} % of {:.2f} MB in float32\n", file.string(),
             static_cast<double>(bytes) / 1e6,
             100.0 * static_cast<double>(bytes) / static_cast<double>(float_bytes),
             static_cast<double>(float_bytes) / 1e6);
  fmt::print("sha256 {}\n", sha256_file(file));
  return 0;
}

}  // namespace outlierlab
