#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace outlierlab {

/// The options of one command, declared line by line:
///
///     Options options("compare", "Tells which rows agree.", "outlierlab compare results out");
///     options.add("tolerance", "X", "relative, for metrics without an interval", &tolerance, 0, 1);
///     options.positional("PATH", "the two folders or files", &paths, 2, 2);
///     if (!options.parse(arguments)) return 0;  // --help was asked for, and printed
///
/// Options are given as `--name value` or `--name=value`; names are never guessed from a prefix. An unknown
/// option (with the nearest one), a missing, ill-typed or out-of-range value, and an option given twice throw
/// UsageError.
class Options {
 public:
  Options(std::string command, std::string description, std::string example);
  ~Options();

  /// The help text ends with the target's current value, unless that is empty, as the default.
  void add(const std::string& name, const std::string& value, const std::string& help, std::string* target);
  void add(const std::string& name, const std::string& value, const std::string& help,
           std::filesystem::path* target);
  void add(const std::string& name, const std::string& value, const std::string& help, std::uint64_t* target,
           std::uint64_t minimum = 0, std::uint64_t maximum = 1'000'000'000);
  void add(const std::string& name, const std::string& value, const std::string& help, int* target,
           int minimum, int maximum);
  void add(const std::string& name, const std::string& value, const std::string& help, double* target,
           double minimum, double maximum);
  /// May be given several times.
  void add(const std::string& name, const std::string& value, const std::string& help,
           std::vector<std::string>* target);
  void flag(const std::string& name, const std::string& help, bool* target);
  /// Arguments without a name.
  void positional(const std::string& name, const std::string& help, std::vector<std::string>* target,
                  std::size_t minimum, std::size_t maximum);

  /// Fills the targets. False if --help was given: the help is then on stdout.
  bool parse(const std::vector<std::string>& arguments) const;
  /// Whether the arguments had the option, be it with its default.
  bool given(const std::string& name) const;
  std::string help() const;

 private:
  struct Impl;
  void add_value(const std::string& name, const std::string& value, const std::string& help,
                 const std::string& shown_default, bool repeatable,
                 std::function<void(const std::string&)> assign);
  std::unique_ptr<Impl> impl_;
};

/// What several commands share; a command declares those it has with `add_common`.
struct CommonOptions {
  std::string model = "demo-planted";
  std::string task;            ///< empty: the model's own
  std::filesystem::path data;  ///< empty: $OUTLIERLAB_DATA/<task>
  std::uint64_t limit = 0;     ///< 0: the whole split
  int threads = 0;             ///< 0: all cores
  std::filesystem::path out;
  bool resume = false;
  std::uint64_t seeds = 0;  ///< draws of the calibration set beside the first N examples
  std::string scheme;
  std::vector<std::string> set;  ///< "section.key=value"
  std::filesystem::path json;
  std::uint64_t batch_size = 32;
  std::uint64_t calibration_size = 256;
  std::uint64_t calibration_seed = 0;  ///< 0: the first examples of the training split
};

/// Declares the named common options, e.g. {"model", "task", "data", "limit", "threads"}. Set another default
/// in `values` before.
void add_common(Options& options, CommonOptions& values, const std::vector<std::string>& names);

}  // namespace outlierlab
