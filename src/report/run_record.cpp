#include "report/run_record.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"

namespace outlierlab {

using Json = nlohmann::ordered_json;

namespace {

/// Members of a JSON object; a wrong type is an error that names the file and the key.
class Members {
 public:
  Members(const Json& object, std::string place) : object_(object), place_(std::move(place)) {
    if (!object.is_object()) fail_expected(place_, "a JSON object", object.type_name());
  }

  std::string text(const char* key) const {
    return get<std::string>(key, "a text", [](const Json& v) { return v.is_string(); });
  }
  double number(const char* key) const {
    return get<double>(key, "a number", [](const Json& v) { return v.is_number(); });
  }
  std::uint64_t count(const char* key) const {
    return get<std::uint64_t>(key, "a whole number", [](const Json& v) { return v.is_number_unsigned(); });
  }
  /// Evaluators write counts as texts, scripts as numbers.
  std::uint64_t count_in_text(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end() || !found->is_string()) return count(key);
    const std::string digits = found->get<std::string>();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size())
      fail_expected(place_ + ": " + key, "a whole number", "'" + digits + "'");
    return value;
  }
  std::string text_or_count(const char* key) const {
    const auto found = object_.find(key);
    return found != object_.end() && found->is_number_unsigned() ? std::to_string(count(key)) : text(key);
  }

 private:
  template <typename Value, typename Check>
  Value get(const char* key, const char* expected, Check check) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return Value{};
    if (!check(*found)) fail_expected(place_ + ": " + key, expected, found->dump());
    return found->template get<Value>();
  }

  const Json& object_;
  std::string place_;
};

/// The value of --limit within a command; 0 without one.
std::uint64_t limit_of(const std::string& command) {
  const std::string option = " --limit";
  const std::size_t at = command.find(option);
  if (at == std::string::npos) return 0;
  const std::size_t digits = at + option.size() + 1;  // after a blank or '='
  std::uint64_t limit = 0;
  if (digits < command.size())
    std::from_chars(command.data() + digits, command.data() + command.size(), limit);
  return limit;
}

/// What follows each --set of a command.
std::vector<std::string> overrides_of(const std::string& command) {
  std::vector<std::string> all;
  const std::string option = " --set";
  for (std::size_t at = command.find(option); at != std::string::npos; at = command.find(option, at)) {
    at += option.size() + 1;  // after a blank or '='
    if (at < command.size()) all.push_back(command.substr(at, command.find(' ', at) - at));
  }
  return all;
}

/// The unit behind a name of kernels: "AVX-512 VNNI" of "avx512-vnni".
std::string unit_name(std::string name) {
  const std::pair<const char*, const char*> spelled[] = {
      {"avx512", "AVX-512"}, {"avx2", "AVX2"},   {"amx", "AMX"},
      {"-vnni", " VNNI"},    {"-bf16", " BF16"}, {"portable", "portable code"}};
  for (const auto& [from, to] : spelled) {
    if (const std::size_t at = name.find(from); at != std::string::npos)
      name.replace(at, std::string(from).size(), to);
  }
  return name;
}

void add_unit(std::vector<std::string>& units, const std::string& kernels) {
  const std::string name = unit_name(kernels);
  if (std::find(units.begin(), units.end(), name) == units.end()) units.push_back(name);
}

std::string joined(const std::vector<std::string>& parts, const std::string& between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

/// What a device is, and its driver.
std::string device_text(const Json& entry, const std::string& place) {
  std::string text = Members(entry, place).text("device");
  if (const auto start = entry.find("at_start"); start != entry.end()) {
    const std::string driver = Members(*start, place + ".at_start").text("driver");
    if (!driver.empty()) text += ", driver " + driver;
  }
  return text;
}

}  // namespace

std::string execution_text(const RunRecord& record) {
  const std::string processor = "cpu ";
  std::vector<std::string> integer, bfloat16, parts;
  bool on_processor = record.executors.empty();
  for (const auto& [variant, description] : record.executors) {
    // Other devices describe themselves otherwise.
    if (description.rfind(processor, 0) != 0) continue;
    on_processor = true;
    const std::size_t comma = description.find(", ");
    const bool is_integer = variant.find("integer:") != std::string::npos;
    if (is_integer) add_unit(integer, description.substr(processor.size(), comma - processor.size()));
    if (comma != std::string::npos) add_unit(bfloat16, description.substr(comma + 2));
  }
  if (!on_processor) return "";
  if (!integer.empty()) parts.push_back("integer products with " + joined(integer, " and "));
  if (!bfloat16.empty()) parts.push_back("bfloat16 products with " + joined(bfloat16, " and "));
  if (!record.instructions.empty()) parts.push_back("float32 with " + unit_name(record.instructions));
  return joined(parts, ", ");
}

RunRecord read_run_record(const std::filesystem::path& file) {
  const Json json = Json::parse(read_file(file), nullptr, false);
  if (json.is_discarded()) fail_expected(file.string(), "JSON", "something else");
  const Members members(json, file.string());
  RunRecord record;
  record.command = members.text("command");
  record.version = members.text("version");
  record.revision = members.text("revision");
  record.compiler = members.text("compiler");
  record.cpu = members.text("cpu");
  record.instructions = members.text("instructions");
  record.started = members.text("started");
  record.calibration_size = members.text("calibration_size");
  record.max_length = members.text_or_count("max_length");
  record.threads = members.count("threads");
  record.peak_memory_bytes = members.count("peak_memory_bytes");
  record.wall_seconds = members.number("wall_seconds");
  if (const auto devices = json.find("devices"); devices != json.end() && devices->is_object()) {
    for (const auto& [engine, entry] : devices->items())
      record.device +=
          (record.device.empty() ? "" : "; ") + device_text(entry, file.string() + ": devices." + engine);
  }
  record.examples = members.count_in_text("examples");
  record.split_examples = members.count_in_text("split_examples");
  record.limit = limit_of(record.command);
  record.overrides = overrides_of(record.command);
  record.unfinished = members.text("unfinished");
  if (const auto executors = json.find("executors"); executors != json.end()) {
    const Members named(*executors, file.string() + ": executors");
    for (const auto& entry : executors->items())
      record.executors[entry.key()] = named.text(entry.key().c_str());
  }
  // Files that the rows were made from stand flat: <role>_file and <role>_sha256.
  for (const char* role : {"model", "data", "calibration"}) {
    const std::string sha256 = members.text((std::string(role) + "_sha256").c_str()),
                      name = members.text((std::string(role) + "_file").c_str());
    if (!sha256.empty()) record.files.push_back({role, name.empty() ? members.text(role) : name, sha256});
  }
  if (const auto files = json.find("files"); files != json.end() && files->is_object()) {
    for (const auto& [role, entry] : files->items()) {
      const Members described(entry, file.string() + ": files." + role);
      record.files.push_back({role, described.text("name"), described.text("sha256")});
    }
  }
  return record;
}

std::map<std::string, RunRecord> read_run_records(const std::filesystem::path& folder) {
  std::map<std::string, RunRecord> records;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    records[entry.path().stem().string()] = read_run_record(entry.path());
  }
  return records;
}

}  // namespace outlierlab
