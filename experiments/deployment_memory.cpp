// Memory is measured in a process that holds one method and nothing else: in this one, which holds them all,
// a method's share could not be told from what others have left in the heap.
#include <filesystem>
#include <sstream>

#include "app/subprocess.h"
#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/temporary_folder.h"
#include "experiments/deployment_methods.h"
#include "lower/packed_model.h"

namespace outlierlab {

std::vector<std::size_t> process_peaks(Networks& networks, const Method& method,
                                       const std::vector<std::string>& batches) {
  const TemporaryFolder folder;
  std::vector<std::string> arguments = {"pass-memory", "--threads=" + std::to_string(threads())};
  for (const std::string& batch : batches) arguments.push_back("--batch=" + batch);
  if (method.on_engine()) {
    const std::filesystem::path packed = folder / "packed.safetensors";
    write_packed_model(packed, *networks.model(method.scheme));
    arguments.push_back("--packed=" + packed.string());
    if (method.precision == engine::RealPrecision::bfloat16) arguments.push_back("--bfloat16");
  } else {
    arguments.push_back("--model-folder=" + networks.evaluator().options().model_folder.string());
  }
  if (method.kind == Method::Kind::simulated) {
    const std::filesystem::path scheme = folder / "scheme.ini";
    write_file_atomically(scheme, networks.scheme(method.scheme).ini().to_string());
    arguments.push_back("--scheme=" + scheme.string());
  }
  std::istringstream lines(run_self(arguments));
  std::vector<std::size_t> peaks;
  for (std::size_t bytes; lines >> bytes;) peaks.push_back(bytes);
  if (peaks.size() != batches.size())
    fail_expected("pass-memory of " + method.variant(), std::to_string(batches.size()) + " figures",
                  std::to_string(peaks.size()));
  return peaks;
}

}  // namespace outlierlab
