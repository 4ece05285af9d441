#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/guard.h"
#include "app/provenance.h"
#include "core/error.h"

namespace outlierlab {

static const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"list", "experiments, calibrators, weights, transforms, schemes, models, tasks, figures",
       command_list},
      {"run", "run experiments: their rows go to result files", command_run},
      {"eval", "evaluate one scheme on one model and task", command_eval},
      {"classify", "label texts from the command line or standard input", command_classify},
      {"pack", "write a quantized model for the integer engine", command_pack},
      {"bench", "time float, simulated, integer and capturing passes against each other", command_bench},
      {"capture", "write the statistics of all activations as HDF5", command_capture},
      {"train", "train a model from a configuration file", command_train},
      {"report", "tables and verdicts from result files", command_report},
      {"compare", "which rows of two result folders agree", command_compare},
      {"pass-memory", "peak memory of one network's passes, in a process of its own", command_pass_memory},
  };
  return all;
}

static void print_help(std::ostream& out) {
  out << "Usage: outlierlab COMMAND [options]\n\n"
         "Why activations of transformers break under 8-bit quantization, what repairs it, and what the "
         "repair\n"
         "costs: reruns the experiments of arXiv 2603.04308 and takes new methods beside them.\n\n"
         "Commands (each has --help with an example):\n";
  for (const Command& command : commands()) {
    out << "  " << command.name << std::string(12 - std::string(command.name).size(), ' ') << command.summary
        << "\n";
  }
  out << "\nExample:\n  outlierlab eval --model demo-planted --scheme w8a8\n";
}

static int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    print_help(std::cerr);
    return 2;
  }
  const std::string& name = arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(std::cout);
    return 0;
  }
  if (name == "--version") {
    std::cout << "outlierlab " << version_text() << "\n";
    return 0;
  }
  std::vector<std::string> known;
  for (const Command& command : commands()) {
    if (name == command.name) return command.run({arguments.begin() + 1, arguments.end()});
    known.push_back(command.name);
  }
  fail_unknown("command", name, known);
}

}  // namespace outlierlab

int main(int count, char** arguments) {
  return outlierlab::guarded([&] {
    return outlierlab::run({arguments + std::min(1, count), arguments + count});
  });
}
