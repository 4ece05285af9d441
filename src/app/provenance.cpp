#include "app/provenance.h"

#include <fmt/core.h>
#include <openssl/crypto.h>

#include <boost/version.hpp>
#include <ctime>
#include <fstream>
#include <sstream>

#include "app/machine.h"
#include "app/revision.h"
#include "core/files.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace outlierlab {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

/// The text after "key :" on the first line of a /proc file that starts with the key.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const auto colon = line.find(':');
    const auto start = line.find_first_not_of(" \t", colon + 1);
    if (colon != std::string::npos && start != std::string::npos) return line.substr(start);
  }
  return "";
}

std::string compiler() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#else
  return std::string("g++ ") + __VERSION__;
#endif
}

Json libraries() {
  Json versions = {
      {"boost",
       fmt::format("{}.{}.{}", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100)},
      {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                    NLOHMANN_JSON_VERSION_PATCH)},
      {"openssl", OpenSSL_version(OPENSSL_VERSION)}};
#if defined(OUTLIERLAB_HDF5_VERSION)
  versions["hdf5"] = OUTLIERLAB_HDF5_VERSION;
#endif
  return versions;
}

/// The last part of an absolute path ("--data=/home/me/qnli" gives "--data=qnli"); other arguments as they
/// are.
std::string without_folders(const std::string& argument) {
  const auto equals = argument.find('=');
  const std::size_t start = argument.rfind("--", 0) == 0 && equals != std::string::npos ? equals + 1 : 0;
  if (start >= argument.size() || argument[start] != '/') return argument;
  fs::path path = fs::path(argument.substr(start)).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return argument.substr(0, start) + path.filename().string();
}

std::string utc(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

Provenance::Provenance(const std::vector<std::string>& command)
    : machine_(machine_facts()),
      started_(std::chrono::system_clock::now()),
      clock_(std::chrono::steady_clock::now()) {
  for (const std::string& argument : command) command_.push_back(without_folders(argument));
}

void Provenance::add_file(const std::string& role, const fs::path& file) {
  files_[role] = {{"name", file.filename().string()}, {"sha256", sha256_file(file)}};
}

Json Provenance::to_json() const {
  std::string command = "outlierlab";
  for (const std::string& argument : command_) command += " " + argument;
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - clock_;
  Json json = {{"command", command},
               {"version", OUTLIERLAB_VERSION},
               {"revision", OUTLIERLAB_REVISION},
               {"compiler", compiler()},
               {"libraries", libraries()},
               {"cpu", proc_value("/proc/cpuinfo", "model name")},
               {"instructions", to_string(isa())},
               {"threads", threads()},
               {"config", config_},
               {"files", files_},
               {"started", utc(started_)},
               {"wall_seconds", wall.count()},
               {"peak_memory_bytes", peak_memory()},
               {"machine", {{"at_start", machine_}, {"at_end", machine_facts()}}}};
  json.update(further_);
  return json;
}

std::string version_text() {
  return fmt::format("{} ({}, {})", OUTLIERLAB_VERSION, OUTLIERLAB_REVISION, compiler());
}

std::size_t peak_memory() {
  std::size_t kibibytes = 0;
  std::istringstream(proc_value("/proc/self/status", "VmHWM")) >> kibibytes;
  return kibibytes * 1024;
}

bool reference_blas(const std::string& maps) {
  std::istringstream in(maps);
  for (std::string line; std::getline(in, line);) {
    const auto path = line.find('/');
    if (path == std::string::npos || line.find("/libblas.so", path) == std::string::npos) continue;
    bool optimized = false;
    for (const char* name : {"openblas", "atlas", "blis", "mkl"}) {
      optimized = optimized || line.find(name, path) != std::string::npos;
    }
    if (!optimized) return true;
  }
  return false;
}

bool reference_blas() {
  std::ifstream in("/proc/self/maps");
  std::ostringstream text;
  text << in.rdbuf();
  return reference_blas(text.str());
}

}  // namespace outlierlab
