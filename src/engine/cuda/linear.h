#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/cuda/int8_gemm.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/values.h"
#include "engine/model.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// A site whose rows are kept: its grids on the device, and the forms that the products after it need.
struct SiteLayout {
  Format format;
  Operand::Codes codes_as = Operand::Codes::none;
  bool eight = false;  ///< beside the reals, e4m3 of them
  bool real = false;   ///< also, or only, as reals
  RealType type = RealType::float32;
  int cols = 0;
  int stride = 0, high = 0;          ///< of codes, as in Operand
  std::vector<std::int32_t> source;  ///< channel at each place of a row of codes; -1: none
  std::vector<int> kept;             ///< segments: float channels
  std::vector<Segment> segments;     ///< of a product's depth
  DeviceArray<float> column_grids;
  DeviceArray<int> place;

  SiteLayout() = default;
  /// For products with `weights`; without any (attention's sites), the grids alone.
  SiteLayout(const SiteFormat& site, std::size_t cols, RealType type, bool with_eight,
             const std::vector<const Weight*>& weights);
};

/// The grids of columns that belong to sites: of each site `order.size()` columns, column j of which is the
/// site's channel order[j] (-1: none). As Format::column_grids has them; scale < 0 where a site is not
/// quantized.
std::vector<float> grids_of_columns(const std::vector<const SiteFormat*>& sites,
                                    const std::vector<int>& order);

/// 0 to count - 1, and -1 up to the next multiple of 16.
std::vector<int> natural_order(std::size_t count);

/// Rows of a site in device memory.
class OperandRows {
 public:
  OperandRows() = default;
  OperandRows(const SiteLayout& layout, int rows);
  const Operand& view() const { return view_; }

 private:
  Operand view_;
  DeviceArray<std::int8_t> codes_;
  DeviceArray<float> kept_, row_scale_;
  DeviceArray<std::int32_t> row_zero_, outlier_count_;
  DeviceArray<std::uint16_t> outlier_channels_;
  DeviceArray<float> outlier_values_;
  DeviceArray<unsigned char> real_;
  DeviceArray<std::uint8_t> eight_;
};

/// Weights [out, in] with biases for one form of their left side; or several of the same shape below each
/// other, as one product of `parts` times as many columns. Columns of a part are padded to a multiple of 16.
class DeviceLinear {
 public:
  DeviceLinear() = default;
  DeviceLinear(const std::vector<const Linear*>& linears, const SiteLayout& left, RealType type);
  /// An integer product whose columns are the weight's rows in this order (-1: none); a multiple of 16.
  DeviceLinear(const Linear& linear, const SiteLayout& left, const std::vector<int>& order);
  bool integer() const { return integer_; }
  int part() const { return part_; }        ///< padded columns of one part
  int columns() const { return columns_; }  ///< of all parts
  int depth() const { return depth_; }

 private:
  friend class Products;
  void add_integer(const std::vector<const Linear*>& linears, const SiteLayout& left,
                   const std::vector<int>& order);
  void add_real(const std::vector<const Linear*>& linears);
  void add_eight(const std::vector<const Linear*>& linears);

  bool integer_ = false;
  RealType type_ = RealType::float32;
  int part_ = 0, columns_ = 0, depth_ = 0, kept_count_ = 0;
  std::vector<Segment> segments_;
  DeviceArray<Segment> device_segments_;
  DeviceArray<std::int8_t> codes_;
  DeviceArray<std::int32_t> column_sums_;
  DeviceArray<float> column_scale_, column_rest_, bias_, kept_weights_;  ///< kept: [kept_count, columns]
  bool keeps_outliers_ = false;
  DeviceArray<std::int8_t> codes_by_channel_;  ///< [channels, columns], where the left side keeps outliers
  DeviceArray<unsigned char> real_, real_bias_;
  bool eight_ = false;  ///< real_ is e4m3
  DeviceArray<float> eight_scale_;
};

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
