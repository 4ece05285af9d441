#pragma once

#include <string>
#include <vector>

#include "report/measurement.h"
#include "report/table.h"

namespace outlierlab {

/// What the experiment `roofline` found: roofs, and the products below them.
struct Roofline {
  struct Peak {
    std::string kind;         ///< "fp32", "bf16", "int8"
    std::string instruction;  ///< "vpdpbusd zmm"
    int threads = 0;
    double gops = 0;
  };
  struct Bandwidth {
    int threads = 0;
    double gbytes = 0;
  };
  struct Product {
    std::string kind;     ///< as Peak::kind
    std::string network;  ///< "bert-base"
    std::string shape;    ///< rows x depth x columns: "128x768x3072"
    int threads = 0;
    double gops = 0, share_of_peak = 0, intensity = 0, share_of_roof = 0;
  };
  struct DevicePeak {
    std::string device, kind;  ///< "cuda", as Peak::kind or "fp16", "fp8"
    double gops = 0;
  };
  std::vector<Peak> peaks;
  std::vector<DevicePeak> device_peaks;
  std::vector<Bandwidth> bandwidths;
  std::vector<Product> products;

  int most_threads() const;  ///< 0 without products
  /// The fastest instruction of a kind on so many threads; null: none was measured.
  const Peak* best_peak(const std::string& kind, int threads) const;
  double bandwidth(int threads) const;  ///< GB/s; 0: not measured
  /// The median share of the peak of a kind's products on most_threads(), in percent; 0 without any.
  double median_share_of_peak(const std::string& kind) const;
};

Roofline roofline_of(const std::vector<Measurement>& all);

/// "float32", "float16", "float8", "bfloat16", "int8".
std::string arithmetic_label(const std::string& kind);

std::string read_roofline(const std::vector<Measurement>& all);
/// The roofs; then a line per network and product, on one thread and on all.
std::vector<Table> roofline_tables(const std::vector<Measurement>& all);

}  // namespace outlierlab
