#include <fmt/core.h>
#include <malloc.h>
#include <sys/mman.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "app/commands.h"
#include "app/machine.h"
#include "app/options.h"
#include "app/provenance.h"
#include "app/resources.h"
#include "core/error.h"
#include "core/parallel.h"
#include "engine/cpu/cpu_executor.h"
#include "engine/packed_file.h"
#include "experiments/deployment_batch.h"
#include "lower/tokens.h"
#include "quant/scheme.h"

namespace outlierlab {

namespace {

struct PassOptions {
  std::filesystem::path model_folder, scheme, packed;
  bool bfloat16 = false;
  int threads = 0;
  std::uint64_t examples = 32, length = 128;
};

using Pass = std::function<void()>;

Batch batch_of(const PassOptions& options, std::size_t vocabulary) {
  BertConfig config;
  config.vocab_size = vocabulary;
  return random_batch(config, options.examples, options.length);
}

/// Gives the resident pages of a mapped file back to the system.
void drop_mapped_pages(const std::filesystem::path& file) {
  const std::string path = std::filesystem::canonical(file).string();
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    if (line.size() < path.size() || line.compare(line.size() - path.size(), path.size(), path) != 0)
      continue;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2)
      ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

Pass engine_pass(const PassOptions& options) {
  const auto model = engine::read_packed_model(options.packed.string());
  engine::CpuOptions how;
  how.threads = options.threads;
  if (options.bfloat16) how.real = engine::RealPrecision::bfloat16;
  const auto executor = std::make_shared<engine::CpuExecutor>(model, how);
  // Products have their own packed form; what else is read of the file comes back page by page.
  drop_mapped_pages(options.packed);
  const auto batch = std::make_shared<Batch>(batch_of(options, model->shape.vocabulary));
  return [=] {
    Matrix logits(batch->size(), executor->shape().labels);
    executor->logits(tokens_of(*batch), logits.data());
  };
}

/// Weights as loaded and statistics are gone when this returns: a deployed network needs neither. Grids come
/// from the random tokens: which ranges they have changes no memory.
Pass float_pass(const PassOptions& options) {
  BertWeights weights = BertWeights::load(options.model_folder);
  const auto batch = std::make_shared<Batch>(batch_of(options, weights.config.vocab_size));
  std::shared_ptr<ActivationQuantizer> hook;
  if (!options.scheme.empty()) {
    const Scheme scheme = Scheme::load(options.scheme.string(), resource_root() / "configs" / "schemes");
    const BertRunner in_float(weights);
    StatisticsCollector collector(in_float.sites());
    in_float.logits(*batch, &collector);
    const NetworkStatistics statistics = collector.finish();
    weights = quantize_weights(weights, scheme, &statistics);
    hook = std::make_shared<ActivationQuantizer>(scheme, SiteTable(weights.config), &statistics);
  }
  const auto runner = std::make_shared<BertRunner>(weights);
  return [=] { runner->logits(*batch, hook.get()); };
}

}  // namespace

int command_pass_memory(const std::vector<std::string>& arguments) {
  PassOptions values;
  Options options(
      "pass-memory",
      "Sets one network up, sets the process's peak of memory back, makes two passes over random "
      "tokens and prints the\npeak in bytes (0: the system does not tell). `run deployment` starts "
      "it once per method.",
      "outlierlab pass-memory --model-folder models/demo/planted --examples 32 --length 64");
  options.add("model-folder", "DIR", "a Hugging Face folder: the float network", &values.model_folder);
  options.add("scheme", "NAME", "simulated on it, with grids from the random tokens", &values.scheme);
  options.add("packed", "FILE",
              "what `outlierlab pack` wrote: the integer engine, in place of --model-folder", &values.packed);
  options.flag("bfloat16", "with --packed: products of floats in bfloat16", &values.bfloat16);
  options.add("threads", "N", "0: all cores", &values.threads, 0, 4096);
  options.add("examples", "N", "of the batch", &values.examples, 1, 4096);
  options.add("length", "N", "tokens of each", &values.length, 1, 4096);
  if (!options.parse(arguments)) return 0;
  if (values.packed.empty() == values.model_folder.empty())
    throw UsageError("pass-memory: expected either --packed or --model-folder, found both or none");
  if (!values.scheme.empty() && values.model_folder.empty())
    throw UsageError("pass-memory: expected --model-folder beside --scheme, found --packed");
  if (values.bfloat16 && values.packed.empty())
    throw UsageError("pass-memory: expected --packed beside --bfloat16, found --model-folder");
  set_threads(values.threads);
  const Pass pass = values.packed.empty() ? float_pass(values) : engine_pass(values);
  ::malloc_trim(0);
  const bool told = reset_peak_memory();
  pass();
  pass();
  fmt::print("{}\n", told ? peak_memory() : 0);
  return 0;
}

}  // namespace outlierlab
