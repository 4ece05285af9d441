#pragma once

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace outlierlab {

/// Where a result comes from; written beside it (docs/design.md, section 7). Names of files are kept, folders
/// and the host's name are not, so that a committed result tells nothing about the machine but what it can
/// do.
class Provenance {
 public:
  /// Starts the clock. `command` is the command line without the program: {"run", "baseline", "--limit",
  /// "100"}.
  explicit Provenance(const std::vector<std::string>& command);

  /// The effective configuration (scheme, task, ...) as text.
  void set_config(const std::string& text) { config_ = text; }
  /// A file that was read, by role: "data", "checkpoint"; its name and SHA-256 are kept.
  void add_file(const std::string& role, const std::filesystem::path& file);
  /// Any further member.
  void set(const std::string& key, nlohmann::ordered_json value) { further_[key] = std::move(value); }
  void erase(const std::string& key) { further_.erase(key); }

  /// The object; wall time and peak memory are those of the moment, "machine" says what machine_facts() did
  /// at the start and does now.
  nlohmann::ordered_json to_json() const;

 private:
  std::vector<std::string> command_;
  std::string config_;
  nlohmann::ordered_json files_ = nlohmann::ordered_json::object();
  nlohmann::ordered_json further_ = nlohmann::ordered_json::object();
  nlohmann::ordered_json machine_;  ///< when the clock was started
  std::chrono::system_clock::time_point started_;
  std::chrono::steady_clock::time_point clock_;
};

/// "0.1.0 (4f2a9c1d, g++ 12.2.0)": what --version prints.
std::string version_text();

/// The most memory that the process held, in bytes (VmHWM); 0 where the system does not say.
std::size_t peak_memory();

/// True if this process runs on the reference BLAS, which is slower than an optimized one by a factor of
/// about 50.
bool reference_blas();
/// The same, from the text of /proc/<pid>/maps.
bool reference_blas(const std::string& maps);

}  // namespace outlierlab
