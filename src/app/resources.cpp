#include "app/resources.h"

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "core/error.h"
#include "core/ini.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

bool holds_resources(const fs::path& folder) {
  return fs::is_directory(folder / "configs");
}

/// The nearest folder at or above `start` that holds resources, or an empty path.
fs::path search_upwards(fs::path start) {
  while (true) {
    for (const fs::path& folder : {start, start / "share" / "outlierlab"}) {
      if (holds_resources(folder)) return folder;
    }
    if (!start.has_relative_path()) return {};
    start = start.parent_path();
  }
}

fs::path config_folder(const std::string& kind) {
  return resource_root() / "configs" / kind;
}

std::string description_of(const fs::path& file) {
  const Ini ini = Ini::read(file);
  for (const IniSection& section : ini.sections()) {
    if (const auto text = section.text("description")) return *text;
  }
  return "";
}

fs::path find_config(const std::string& kind, const std::string& folder, const std::string& name) {
  if (name.find('/') != std::string::npos || fs::path(name).extension() == ".ini") {
    if (!fs::is_regular_file(name))
      throw UsageError(name + ": expected the INI file of a " + kind + ", found none");
    return name;
  }
  const fs::path file = config_folder(folder) / (name + ".ini");
  if (fs::is_regular_file(file)) return file;
  std::vector<std::string> known;
  for (const Listing& listing : list_configs(folder)) known.push_back(listing.name);
  fail_unknown(kind, name, known);
}

fs::path data_root(const std::string& who) {
  const char* root = std::getenv("OUTLIERLAB_DATA");
  if (!root || !*root) {
    fail_expected(who, "OUTLIERLAB_DATA, the folder of the data and models", "it unset");
  }
  return root;
}

ModelEntry read_model(const std::string& name, const fs::path& file) {
  const Ini ini = Ini::read(file);
  const IniSection* section = ini.find("model");
  if (!section) throw UsageError(file.string() + ": expected a section [model], found none");
  ModelEntry entry;
  entry.name = name;
  entry.description = section->text("description").value_or("");
  entry.task = section->required("task");
  entry.planted = section->boolean("planted").value_or(false);
  const auto path = section->text("path"), data = section->text("data");
  ini.require_all_used();
  if (path.has_value() == data.has_value()) {
    throw UsageError(section->place + ": expected one of the keys 'path' and 'data', found " +
                     (path ? "both" : "neither"));
  }
  entry.folder = path ? resource_root() / *path : data_root("model " + name) / *data;
  return entry;
}

}  // namespace

fs::path resource_root() {
  if (const char* root = std::getenv("OUTLIERLAB_ROOT"); root && *root) {
    if (!holds_resources(root))
      fail_expected("OUTLIERLAB_ROOT", "a folder with configs/", std::string("'") + root + "'");
    return root;
  }
  std::error_code error;
  for (const fs::path& start :
       {fs::read_symlink("/proc/self/exe", error).parent_path(), fs::current_path()}) {
    if (const fs::path root = search_upwards(start); !root.empty()) return root;
  }
  fail_expected("configs/", "it at or above the program or the current folder, or OUTLIERLAB_ROOT",
                "neither");
}

ModelEntry find_model(const std::string& name_or_folder) {
  if (fs::is_regular_file(fs::path(name_or_folder) / "config.json")) {
    const fs::path folder = fs::canonical(name_or_folder);
    ModelEntry entry;
    entry.name = folder.filename().string();
    entry.folder = folder;
    return entry;
  }
  if (fs::is_directory(name_or_folder)) {
    fail_expected(name_or_folder, "a Hugging Face folder with config.json", "none");
  }
  if (name_or_folder.find('/') != std::string::npos) {
    throw UsageError("--model: expected a name or a folder, found '" + name_or_folder + "'");
  }
  const ModelEntry entry = read_model(name_or_folder, find_config("model", "models", name_or_folder));
  if (!fs::is_regular_file(entry.folder / "config.json")) {
    fail_expected("model " + entry.name, "its files in " + entry.folder.string(), "no config.json there");
  }
  return entry;
}

/// Calls `read` with a section of configs/<kind>/<name>.ini if there is one.
static void with_section(const std::string& kind, const std::string& name, const std::string& section,
                         const std::function<void(const IniSection&)>& read) {
  const fs::path file = config_folder(kind) / (name + ".ini");
  if (!fs::is_regular_file(file)) return;
  const Ini ini = Ini::read(file);
  if (const IniSection* found = ini.find(section)) read(*found);
}

bool is_planted(const std::string& model) {
  bool planted = false;
  with_section("models", model, "model",
               [&](const IniSection& section) { planted = section.boolean("planted").value_or(false); });
  return planted;
}

double chance_of(const std::string& task) {
  double chance = 50;
  with_section("tasks", task, "task",
               [&](const IniSection& section) { chance = section.number("chance").value_or(chance); });
  return chance;
}

fs::path find_task(const std::string& name_or_file) {
  return find_config("task", "tasks", name_or_file);
}

fs::path find_scheme(const std::string& name_or_file) {
  return find_config("scheme", "schemes", name_or_file);
}

fs::path find_training(const std::string& name_or_file) {
  return find_config("training", "training", name_or_file);
}

fs::path data_folder(const std::string& task, const fs::path& given) {
  if (!given.empty()) {
    if (!fs::is_directory(given)) fail_expected("--data", "a folder", "'" + given.string() + "'");
    return given;
  }
  const char* root = std::getenv("OUTLIERLAB_DATA");
  const fs::path folder = root && *root ? fs::path(root) / task : fs::path();
  if (!folder.empty() && fs::is_directory(folder)) return folder;
  fail_expected("task " + task, "its files in the folder --data or in $OUTLIERLAB_DATA/" + task,
                folder.empty() ? "neither option nor variable" : "no folder " + folder.string());
}

std::vector<Listing> list_configs(const std::string& kind) {
  std::vector<Listing> all;
  const fs::path folder = config_folder(kind);
  if (!fs::is_directory(folder)) return all;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".ini") continue;
    all.push_back({entry.path().stem().string(), description_of(entry.path())});
  }
  std::sort(all.begin(), all.end(), [](const Listing& a, const Listing& b) { return a.name < b.name; });
  return all;
}

}  // namespace outlierlab
