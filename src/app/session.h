#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/evaluator.h"
#include "app/options.h"
#include "app/provenance.h"
#include "app/resources.h"

namespace outlierlab {

/// What run, eval and capture have in common: the model and the task that the options name, loaded.
struct Session {
  ModelEntry model;
  std::unique_ptr<Evaluator> evaluator;
};

/// The task of --task, or else the model's own; none if neither names one.
std::optional<Task> task_of(const CommonOptions& options, const ModelEntry& model);

/// Resolves --model, --task, --data, --limit, --threads, --batch-size and --calibration-size.
/// `statistics_cache` keeps captured statistics below the given folder (none if empty).
Session open_session(const CommonOptions& options, const std::filesystem::path& statistics_cache = {});

/// Where the numbers come from: command, model, task, versions, machine, digests of what was read.
Provenance session_provenance(const Session& session, const std::string& command,
                              const std::vector<std::string>& arguments);

/// Adds the evaluator's sizes and digests; called when the work is done, since calibration data may be read
/// late.
void add_evaluator_facts(Provenance& provenance, const Evaluator& evaluator);

}  // namespace outlierlab
