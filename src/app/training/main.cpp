// outlierlab-train: what `outlierlab train` runs.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "app/guard.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/provenance.h"
#include "app/resources.h"
#include "core/error.h"
#include "model/training/train.h"

namespace outlierlab {

namespace {

/// One progress line per training: a configuration may run another one first.
class TrainingLines {
 public:
  void operator()(const TrainingProgress& p) {
    if (!line_ || p.run != run_) {
      if (line_) line_->finish();
      line_ = std::make_unique<Progress>(p.run, p.steps);
      run_ = p.run;
      accuracy_.clear();
    }
    if (p.accuracy) accuracy_ = fmt::format(", accuracy {:.2f} %", *p.accuracy);
    line_->update(p.step,
                  fmt::format("loss {:.4f}{}{}", p.loss, accuracy_, p.note.empty() ? "" : ", " + p.note));
  }

 private:
  std::unique_ptr<Progress> line_;
  std::string run_, accuracy_;
};

int run(const std::vector<std::string>& arguments) {
  std::string name;
  CommonOptions values;
  Options options(
      "train",
      "Trains a model as an INI file of configs/training/ states and writes it as a Hugging Face folder. A\n"
      "training that was killed goes on from its last state when it is started again.",
      "outlierlab train --config demo-planted --set optimizer.seed=3");
  options.add("config", "FILE", "a name in configs/training or an INI file", &name);
  add_common(options, values, {"set", "data", "threads"});
  if (!options.parse(arguments)) return 0;
  if (name.empty()) throw UsageError("train: expected --config FILE, found none");

  Ini ini = Ini::read(find_training(name));
  for (const std::string& assignment : values.set) ini.set(assignment);
  TrainingConfig config = TrainingConfig::read(ini, {resource_root(), values.data});
  if (values.threads > 0) config.threads = values.threads;
  config.program_version = version_text();
  if (reference_blas()) {
    std::cerr
        << "outlierlab: libtorch runs on the reference BLAS, which is many times slower than an optimized "
           "one (package libopenblas0-openmp)\n";
  }
  TrainingResult result;
  {
    TrainingLines lines;
    result = train(config, [&](const TrainingProgress& progress) { lines(progress); });
  }
  fmt::print("{}: {} steps, loss {:.4f}, accuracy {:.2f} %, {:.1f} s\n", config.output.string(), result.steps,
             result.loss, result.accuracy, result.seconds);
  return 0;
}

}  // namespace

}  // namespace outlierlab

int main(int count, char** arguments) {
  return outlierlab::guarded([&] { return outlierlab::run({arguments + 1, arguments + count}); });
}
