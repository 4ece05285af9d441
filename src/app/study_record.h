#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "app/provenance.h"
#include "app/study.h"

namespace outlierlab {

/// The record beside a study's rows, <experiment>.json: what made them. A resumed study's record goes on with
/// what is there: its rows are made by several runs.
class StudyRecord {
 public:
  /// `settings` is what the rows of one file must have in common. Both arguments must outlive the record.
  StudyRecord(Study& study, Provenance& provenance, const nlohmann::ordered_json& settings);

  /// Writes the first record, with the devices as they are before the study; what is there of an earlier run
  /// is set aside before, its record too, unless the study is resumed. Throws UsageError, with both
  /// values, where a resumed study finds rows that were made with other settings or on another device;
  /// nothing is written then.
  void begin();
  /// Writes what the study has noted so far.
  void write();
  /// Writes the record with the devices as they are after the study.
  void end();

  /// What no rows are there of, and why, by method; that of earlier runs, too, as far as this one has not
  /// tried it again.
  std::map<std::string, std::string> not_timed() const;

 private:
  void require_same_settings() const;
  void require_same_devices() const;
  void add_devices(const char* moment);

  Study& study_;
  Provenance& provenance_;
  nlohmann::ordered_json settings_, before_, devices_;
  std::filesystem::path file_;
  bool ended_ = false;
};

}  // namespace outlierlab
