#include "experiments/calibrations.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/ini.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

const std::vector<Calibration>& of_the_paper() {
  static const std::vector<Calibration> all = {
      {"minmax", "", "", true},
      {"percentile", "percentile", "99", true},
      {"percentile", "percentile", "99.9", true},
      {"percentile", "percentile", "99.99", true},
      {"percentile", "percentile", "99.999", true},
      {"clip", "sigmas", "3"},
      {"clip", "sigmas", "6"},
      {"clip", "sigmas", "12"},
      {"clip", "sigmas", "24"},
      {"clip", "bound", "5"},
      {"clip", "bound", "10"},
      {"clip", "bound", "20"},
      {"clip", "bound", "50"},
      {"mse", "", "", true},
      {"kl", "", "", true},
      {"running_minmax", "", ""},
  };
  return all;
}

bool contains(const std::vector<std::string>& all, const std::string& text) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

std::string joined(const std::string& text, const std::string& next) {
  return text.empty() ? next : text + "+" + next;
}

std::vector<std::string> parts(const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    all.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return all;
}

const CalibratorEntry* find(const std::vector<CalibratorEntry>& registered, const std::string& name) {
  for (const CalibratorEntry& entry : registered) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

/// Whether a scheme says nothing but `base = w8a8` and [activations].
bool changes_only_activations(const Ini& ini) {
  for (const IniSection& section : ini.sections()) {
    if (section.name.empty() ? section.text("base") != "w8a8" : section.name != "activations") return false;
  }
  return ini.find("") && ini.find("activations");
}

/// None if the scheme changes more than the calibrator and its keys.
std::optional<Calibration> calibration_of(const Ini& ini, const std::vector<CalibratorEntry>& registered) {
  if (!changes_only_activations(ini)) return std::nullopt;
  const IniSection& activations = *ini.find("activations");
  const CalibratorEntry* entry = find(registered, activations.text("calibrator").value_or(""));
  if (!entry) return std::nullopt;
  Calibration made{entry->name, "", "", true};
  for (const IniEntry& line : activations.entries) {
    if (line.key == "calibrator") continue;
    if (!contains(entry->keys, line.key)) return std::nullopt;
    made.key = joined(made.key, line.key);
    made.value = joined(made.value, line.value);
  }
  return made;
}

bool has_defaults(const CalibratorEntry& entry) {
  try {
    entry.make(IniSection());
    return true;
  } catch (const UsageError&) {
    return false;
  }
}

std::vector<fs::path> sorted_ini_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".ini") files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::vector<std::string> Calibration::overrides() const {
  std::vector<std::string> all = {"activations.calibrator=" + calibrator};
  const std::vector<std::string> keys = parts(key), values = parts(value);
  for (std::size_t i = 0; i < keys.size(); ++i) all.push_back("activations." + keys[i] + "=" + values.at(i));
  return all;
}

std::vector<Calibration> calibrations(const fs::path& scheme_folder,
                                      const std::vector<CalibratorEntry>& registered) {
  std::vector<Calibration> all = of_the_paper();
  for (const fs::path& file : sorted_ini_files(scheme_folder)) {
    const auto found = calibration_of(Ini::read(file), registered);
    const bool known = found && std::any_of(all.begin(), all.end(), [&](const Calibration& c) {
                         return c.overrides() == found->overrides();
                       });
    if (found && !known) all.push_back(*found);
  }
  for (const CalibratorEntry& entry : registered) {
    const bool named =
        std::any_of(all.begin(), all.end(), [&](const Calibration& c) { return c.calibrator == entry.name; });
    if (!named && has_defaults(entry)) all.push_back({entry.name, "", "", true});
  }
  return all;
}

}  // namespace outlierlab
