#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/ini.h"
#include "core/matrix.h"
#include "quant/grid.h"
#include "stats/statistics.h"

namespace outlierlab {

struct WeightContext {
  int bits = 8;
  Granularity granularity = Granularity::tensor;  ///< tensor, channel (output row) or block
  std::size_t block = 0;
  const SiteStatistics* input = nullptr;  ///< statistics of the input site, where there is one
  std::string name;                       ///< of the weight, for messages
};

struct QuantizedWeight {
  Matrix values;                 ///< dequantized, same shape
  std::vector<float> scales;     ///< one per tensor, row or block (row-major)
  std::size_t stored_bytes = 0;  ///< codes and scales as a file would hold them
};

/// Tensor -> quantized tensor. Symmetric grids. One file each in src/quant/weights/, one line in
/// registry.cpp.
class WeightQuantizer {
 public:
  virtual ~WeightQuantizer() = default;
  virtual QuantizedWeight quantize(const Matrix& weight, const WeightContext& context) const = 0;
};

struct WeightQuantizerEntry {
  std::string name, summary;
  std::vector<std::string> keys;
  std::function<std::unique_ptr<WeightQuantizer>(const IniSection&)> make;
};

const std::vector<WeightQuantizerEntry>& weight_quantizers();
std::unique_ptr<WeightQuantizer> make_weight_quantizer(const std::string& name, const IniSection& options);

}  // namespace outlierlab
