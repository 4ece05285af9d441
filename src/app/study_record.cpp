#include "app/study_record.h"

#include <algorithm>
#include <set>

#include "app/machine.h"
#include "core/error.h"
#include "core/files.h"

namespace outlierlab {

using Json = nlohmann::ordered_json;

namespace {

/// What studies note of the methods that made rows, by method or cell (Study::note()).
const std::set<std::string> kept_notes = {"executors", "agreement", "device_state", "clock_ghz",
                                          "disturbed", "wide",      "not_executed"};
constexpr const char* left_out = "not_timed";

/// The record beside rows that a resumed run finds; empty: none.
Json record_before(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return Json::object();
  Json before = Json::parse(read_file(file), nullptr, false);
  return before.is_object() ? before : Json::object();
}

/// What a record says of the rows that are there already.
Json member_of(const Json& record, const std::string& name) {
  const bool known = record.contains(name) && record[name].is_object();
  return known ? record[name] : Json::object();
}

/// A text within an object; empty where it is not there.
std::string text_of(const Json& object, const std::string& name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

/// The runs that have made the rows that are there already, oldest first.
Json runs_of(const Json& record) {
  Json runs = Json::array(), last;
  if (record.contains("earlier_runs") && record["earlier_runs"].is_array()) runs = record["earlier_runs"];
  for (const char* key : {"command", "version", "revision", "cpu", "instructions", "devices", "threads",
                          "started", "wall_seconds"}) {
    if (record.contains(key)) last[key] = record[key];
  }
  if (!last.empty()) runs.push_back(last);
  return runs;
}

[[noreturn]] void refuse_resume(const std::filesystem::path& file, const std::string& key,
                                const std::string& expected, const std::string& found) {
  throw UsageError(file.string() + ": --resume: expected " + key + " = '" + expected +
                   "' as in the rows there, found '" + found +
                   "' (run without --resume, or into another --out)");
}

}  // namespace

StudyRecord::StudyRecord(Study& study, Provenance& provenance, const Json& settings)
    : study_(study),
      provenance_(provenance),
      settings_(settings),
      before_(Json::object()),
      devices_(Json::object()),
      file_(std::filesystem::path(study.file()).replace_extension(".json")) {}

void StudyRecord::begin() {
  provenance_.set("settings", settings_);
  if (study_.options().resume) {
    before_ = record_before(file_);
    require_same_settings();
    require_same_devices();
    // A device that this run lacks, or leaves out, has made rows all the same.
    devices_ = member_of(before_, "devices");
    if (study_.times()) {
      for (const TimedEngine& engine : study_.timed_engines()) devices_.erase(engine.name);
    }
    if (const Json runs = runs_of(before_); !runs.empty()) provenance_.set("earlier_runs", runs);
  } else {
    study_.set_aside();
    set_aside(file_);
  }
  add_devices("at_start");
  write();
}

void StudyRecord::require_same_settings() const {
  if (!before_.contains("settings")) return;
  const Json expected = member_of(before_, "settings");
  for (const auto& [key, value] : settings_.items()) {
    const std::string found = value.get<std::string>();
    if (text_of(expected, key) != found) refuse_resume(file_, key, text_of(expected, key), found);
  }
  // Simulated studies name no engine, as files from before there was a choice.
  if (!settings_.contains("engine") && expected.contains("engine"))
    refuse_resume(file_, "engine", text_of(expected, "engine"), "simulated");
}

void StudyRecord::require_same_devices() const {
  if (!study_.times()) return;
  const Json before = member_of(before_, "devices");
  for (const TimedEngine& engine : study_.timed_engines()) {
    const std::string expected = text_of(member_of(before, engine.name), "device");
    const auto on_it = [&](const Row& row) { return row.variant.rfind(engine.name + " ", 0) == 0; };
    const bool has_rows = std::any_of(study_.rows().begin(), study_.rows().end(), on_it);
    if (has_rows && !expected.empty() && expected != engine.device)
      refuse_resume(file_, "device of " + engine.name, expected, engine.device);
  }
}

void StudyRecord::add_devices(const char* moment) {
  if (!study_.times()) return;
  for (const TimedEngine& engine : study_.timed_engines()) {
    if (!engine.is_device) continue;
    Json& device = devices_[engine.name];
    device["device"] = engine.device;
    if (engine.monitor) device[moment] = device_facts(*engine.monitor);
  }
}

std::map<std::string, std::string> StudyRecord::not_timed() const {
  std::map<std::string, std::string> all;
  const Json before = member_of(before_, left_out);
  for (const auto& [of, reason] : before.items()) {
    if (reason.is_string() && study_.tried().count(of) == 0) all[of] = reason.get<std::string>();
  }
  const auto now = study_.notes().find(left_out);
  if (now == study_.notes().end()) return all;
  for (const auto& [of, reason] : now->second) all[of] = reason;
  return all;
}

void StudyRecord::write() {
  const bool simulated = study_.options().engine == StudyEngine::simulated;
  Json engines = member_of(before_, "engines");
  for (const auto& [measurement, engine] : study_.engines()) engines[measurement] = engine;
  if (!simulated) provenance_.set("engines", engines);
  std::set<std::string> names = kept_notes;
  for (const auto& [name, notes] : study_.notes()) names.insert(name);
  names.erase(left_out);
  for (const std::string& name : names) {
    Json all = member_of(before_, name);
    if (const auto now = study_.notes().find(name); now != study_.notes().end()) {
      for (const auto& [of, text] : now->second) {
        if (text.empty()) {
          all.erase(of);
        } else {
          all[of] = text;
        }
      }
    }
    if (!all.empty() || member_of(before_, name).size() > 0) provenance_.set(name, all);
  }
  // Also when nothing is left of what was left out before.
  if (const auto reasons = not_timed(); !reasons.empty() || before_.contains(left_out))
    provenance_.set(left_out, reasons.empty() ? Json::object() : Json(reasons));
  if (!devices_.empty()) provenance_.set("devices", devices_);
  // Measurements that are refused leave no rows: a study that has come to its end lacks nothing.
  provenance_.erase("unfinished");
  if (!ended_) provenance_.set("unfinished", study_.measured());
  write_file_atomically(file_, provenance_.to_json().dump(2) + "\n");
}

void StudyRecord::end() {
  add_devices("at_end");
  ended_ = true;
  write();
}

}  // namespace outlierlab
