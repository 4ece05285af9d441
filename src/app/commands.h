#pragma once

#include <string>
#include <vector>

namespace outlierlab {

/// A subcommand of `outlierlab`. `run` gets the arguments after its name and returns the exit code; it may
/// throw Error (exit code 1) and UsageError (exit code 2).
struct Command {
  const char* name;
  const char* summary;
  int (*run)(const std::vector<std::string>& arguments);
};

int command_list(const std::vector<std::string>& arguments);
int command_run(const std::vector<std::string>& arguments);
int command_eval(const std::vector<std::string>& arguments);
int command_classify(const std::vector<std::string>& arguments);
int command_pack(const std::vector<std::string>& arguments);
int command_bench(const std::vector<std::string>& arguments);
int command_capture(const std::vector<std::string>& arguments);
int command_train(const std::vector<std::string>& arguments);
int command_report(const std::vector<std::string>& arguments);
int command_compare(const std::vector<std::string>& arguments);
int command_pass_memory(const std::vector<std::string>& arguments);

}  // namespace outlierlab
