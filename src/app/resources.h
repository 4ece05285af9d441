#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace outlierlab {

/// The folder that holds configs/, models/ and results/: $OUTLIERLAB_ROOT, else the nearest one at or above
/// the executable's own folder (or its share/outlierlab), else at or above the current one. Throws Error if
/// there is none.
std::filesystem::path resource_root();

/// A model of configs/models/NAME.ini:
///
///     [model]
///     description = ...
///     path = models/demo/planted    # a Hugging Face folder below the resource root
///     data = minilm-qnli            # or one below $OUTLIERLAB_DATA
///     task = qnli                   # its default task
///     planted = false               # outliers were put there on purpose
struct ModelEntry {
  std::string name, description;
  std::filesystem::path folder;
  std::string task;  ///< empty for a folder given by path
  bool planted = false;
};

/// By name, or a folder with config.json. Unknown names throw UsageError with the nearest one; a model whose
/// files are absent throws Error saying where they were expected.
ModelEntry find_model(const std::string& name_or_folder);

/// Whether configs/models says that the model's outliers were planted; false for a model that is not listed
/// there.
bool is_planted(const std::string& model);

/// The accuracy without any knowledge that configs/tasks states for the task, in percent; 50 for an unlisted
/// task.
double chance_of(const std::string& task);

/// The INI file of a task, a scheme or a training, by name or by path. Unknown names throw UsageError with
/// the nearest one.
std::filesystem::path find_task(const std::string& name_or_file);
std::filesystem::path find_scheme(const std::string& name_or_file);
std::filesystem::path find_training(const std::string& name_or_file);

/// The task's data: `given` if not empty, else $OUTLIERLAB_DATA/<task>. Throws Error naming both ways.
std::filesystem::path data_folder(const std::string& task, const std::filesystem::path& given);

/// A name and its one-line description.
struct Listing {
  std::string name, summary;
};
/// The INI files of configs/<kind>/ with their `description`, sorted by name; none if the folder is absent.
std::vector<Listing> list_configs(const std::string& kind);

}  // namespace outlierlab
