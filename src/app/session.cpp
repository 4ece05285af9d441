#include "app/session.h"

#include <cstdio>

#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"

namespace outlierlab {

std::optional<Task> task_of(const CommonOptions& options, const ModelEntry& model) {
  const std::string& name = options.task.empty() ? model.task : options.task;
  if (name.empty()) return std::nullopt;
  return Task::read(find_task(name));
}

Session open_session(const CommonOptions& options, const std::filesystem::path& statistics_cache) {
  set_threads(options.threads);
  if (!options.json.empty()) require_writable(options.json);
  Session session;
  session.model = find_model(options.model);
  const std::optional<Task> task = task_of(options, session.model);
  if (!task) throw UsageError("--task: expected a task, since '" + options.model + "' names none");
  EvaluatorOptions made;
  made.model_folder = session.model.folder;
  made.task = *task;
  if (!made.task.corpus) made.data_folder = data_folder(made.task.name, options.data);
  made.limit = options.limit;
  made.batch_size = options.batch_size;
  made.calibration_size = options.calibration_size;
  if (!statistics_cache.empty())
    made.statistics_cache = statistics_cache / (session.model.name + "-" + made.task.name);
  session.evaluator = std::make_unique<Evaluator>(std::move(made));
  return session;
}

Provenance session_provenance(const Session& session, const std::string& command,
                              const std::vector<std::string>& arguments) {
  std::vector<std::string> line = {command};
  line.insert(line.end(), arguments.begin(), arguments.end());
  Provenance provenance(line);
  provenance.set("model", session.model.name);
  provenance.set("planted", session.model.planted);
  return provenance;
}

void add_evaluator_facts(Provenance& provenance, const Evaluator& evaluator) {
  for (const auto& [key, value] : evaluator.provenance()) provenance.set(key, value);
}

}  // namespace outlierlab
