#include <fmt/core.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
};

using Pass = std::function<void(const Batch&)>;

BatchSize batch_size(const std::string& text) {
  const auto size = BatchSize::read(text);
  if (!size)
    throw UsageError("--batch: expected examples x tokens such as 32x128, each from 1 to " +
                     std::to_string(BatchSize::most) + ", found '" + text + "'");
  return *size;
}

/// A network, and how many token ids and positions it has.
struct Network {
  Pass pass;
  std::size_t vocabulary = 0, positions = 0;
};

Batch batch_of(const Network& network, const BatchSize& size) {
  BertConfig config;
  config.vocab_size = network.vocabulary;
  return random_batch(config, size.examples, size.length);
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

Network engine_network(const PassOptions& options) {
  const auto model = engine::read_packed_model(options.packed.string());
  engine::CpuOptions how;
  how.threads = options.threads;
  if (options.bfloat16) how.real = engine::RealPrecision::bfloat16;
  const auto executor = std::make_shared<engine::CpuExecutor>(model, how);
  // Products have their own packed form; what else is read of the file comes back page by page.
  drop_mapped_pages(options.packed);
  const auto pass = [executor](const Batch& batch) {
    Matrix logits(batch.size(), executor->shape().labels);
    executor->logits(tokens_of(batch), logits.data());
  };
  return {pass, model->shape.vocabulary, model->shape.positions};
}

constexpr std::size_t calibration_length = 16;

/// Weights as loaded and statistics are gone when this returns: a deployed network needs neither. Grids come
/// from the random tokens: which ranges they have changes no memory.
Network float_network(const PassOptions& options) {
  BertWeights weights = BertWeights::load(options.model_folder);
  Network network;
  network.vocabulary = weights.config.vocab_size;
  network.positions = weights.config.max_positions;
  std::shared_ptr<ActivationQuantizer> hook;
  if (!options.scheme.empty()) {
    const Scheme scheme = Scheme::load(options.scheme.string(), resource_root() / "configs" / "schemes");
    const BertRunner in_float(weights);
    StatisticsCollector collector(in_float.sites());
    in_float.logits(batch_of(network, {1, std::min(calibration_length, network.positions)}), &collector);
    const NetworkStatistics statistics = collector.finish();
    weights = quantize_weights(weights, scheme, &statistics);
    hook = std::make_shared<ActivationQuantizer>(scheme, SiteTable(weights.config), &statistics);
  }
  const auto runner = std::make_shared<BertRunner>(weights);
  network.pass = [=](const Batch& batch) { runner->logits(batch, hook.get()); };
  return network;
}

}  // namespace

int command_pass_memory(const std::vector<std::string>& arguments) {
  PassOptions values;
  std::vector<std::string> batches;
  Options options(
      "pass-memory",
      "Sets one network up and runs batches of random tokens. Before each it sets the process's peak of "
      "memory back, and\nafter it prints the peak in bytes (0: the system does not tell). Buffers grow to "
      "what the "
      "largest batch needs and stay:\ngive small ones first. `run deployment` starts it once per method.",
      "outlierlab pass-memory --model-folder models/demo/planted --batch 1x16 --batch 32x64");
  options.add("model-folder", "DIR", "a Hugging Face folder: the float network", &values.model_folder);
  options.add("scheme", "NAME", "simulated on it, with grids from the random tokens", &values.scheme);
  options.add("packed", "FILE",
              "what `outlierlab pack` wrote: the integer engine, in place of --model-folder", &values.packed);
  options.flag("bfloat16", "with --packed: products of floats in bfloat16", &values.bfloat16);
  options.add("threads", "N", "0: all cores", &values.threads, 0, 4096);
  options.add("batch", "ExT",
              "E examples of T tokens; repeatable, run in this order (default: 32 of 128, or as many as the "
              "model has positions)",
              &batches);
  if (!options.parse(arguments)) return 0;
  if (values.packed.empty() == values.model_folder.empty())
    throw UsageError("pass-memory: expected either --packed or --model-folder, found both or none");
  if (!values.scheme.empty() && values.model_folder.empty())
    throw UsageError("pass-memory: expected --model-folder beside --scheme, found --packed");
  if (values.bfloat16 && values.packed.empty())
    throw UsageError("pass-memory: expected --packed beside --bfloat16, found --model-folder");
  std::vector<BatchSize> sizes;
  for (const std::string& batch : batches) sizes.push_back(batch_size(batch));
  set_threads(values.threads);
  const Network network = values.packed.empty() ? float_network(values) : engine_network(values);
  if (sizes.empty()) sizes = {{32, std::min<std::size_t>(128, network.positions)}};
  for (const BatchSize& size : sizes) {
    if (size.length > network.positions)
      throw UsageError("--batch: expected at most " + std::to_string(network.positions) +
                       " tokens, as many as the model has positions, found " + std::to_string(size.length));
  }
  for (const BatchSize& size : sizes) {
    const Batch batch = batch_of(network, size);
    ::malloc_trim(0);
    const bool told = reset_peak_memory();
    network.pass(batch);
    fmt::print("{}\n", told ? peak_memory() : 0);
  }
  return 0;
}

}  // namespace outlierlab
