#include "engine/cuda/linear.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "engine/two_floats.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

using Kind = SiteFormat::Kind;

int padded(std::size_t n) {
  return round_up(static_cast<int>(n), 16);
}

Grid grid_of(const SiteFormat& site, std::size_t i) {
  const float scale = site.scale[i];
  const TwoFloats inverse(scale > 0 ? 1.0 / static_cast<double>(scale) : 0.0);
  return {inverse.value,
          inverse.rest,
          scale,
          scale * static_cast<float>(site.qmin() - site.zero[i]),
          scale * static_cast<float>(site.qmax() - site.zero[i]),
          static_cast<float>(site.zero[i] + site.shift())};
}

Operand::Codes form_of(const SiteFormat& site, const std::vector<const Weight*>& weights) {
  const bool integer = std::any_of(weights.begin(), weights.end(),
                                   [&](const Weight* w) { return multiplies_codes(site, *w); });
  if (!integer) return Operand::Codes::none;
  if (site.kind == Kind::columns) return Operand::Codes::segments;
  return site.bits <= 8 ? Operand::Codes::plane : Operand::Codes::planes;
}

}  // namespace

std::vector<int> natural_order(std::size_t count) {
  std::vector<int> order(static_cast<std::size_t>(padded(count)), -1);
  std::iota(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), 0);
  return order;
}

std::vector<float> grids_of_columns(const std::vector<const SiteFormat*>& sites,
                                    const std::vector<int>& order) {
  const std::size_t columns = sites.size() * order.size();
  std::vector<float> members(grid_members * columns, 0.0f);
  for (std::size_t s = 0; s < sites.size(); ++s) {
    const SiteFormat& site = *sites[s];
    for (std::size_t j = 0; j < order.size(); ++j) {
      if (order[j] < 0) continue;
      Grid g;
      g.scale = -1.0f;
      if (site.kind == Kind::tensor) g = grid_of(site, 0);
      if (site.kind == Kind::columns) g = grid_of(site, static_cast<std::size_t>(order[j]));
      const float in_order[grid_members] = {g.inverse, g.rest, g.scale, g.low, g.high, g.offset};
      for (std::size_t m = 0; m < grid_members; ++m)
        members[m * columns + s * order.size() + j] = in_order[m];
    }
  }
  return members;
}

SiteLayout::SiteLayout(const SiteFormat& site, std::size_t count, RealType real_type, bool with_eight,
                       const std::vector<const Weight*>& weights)
    : codes_as(form_of(site, weights)), type(real_type), cols(static_cast<int>(count)) {
  const bool some_real =
      std::any_of(weights.begin(), weights.end(), [](const Weight* w) { return !w->is_integer(); });
  real = codes_as == Operand::Codes::none || some_real;
  eight = with_eight && real && !weights.empty();
  format.kind = site.kind;
  format.bits = site.bits;
  format.symmetric = site.symmetric;
  format.outlier_threshold = site.outlier_threshold;
  if (site.kind == Kind::tensor) format.grid = grid_of(site, 0);
  if (site.kind == Kind::columns) {
    column_grids = grids_of_columns({&site}, natural_order(site.scale.size()));
    format.column_grids = column_grids.data();
    format.column_stride = padded(site.scale.size());
  }
  if (codes_as == Operand::Codes::none) return;

  const int width = round_up(cols, depth_unit);
  const std::int32_t zero = site.kind == Kind::tensor ? site.zero[0] + site.shift() : 0;
  const float scale = site.kind == Kind::tensor ? site.scale[0] : 1.0f;
  using Zero = Segment::Zero;
  const bool of_rows = site.kind == Kind::rows;
  const auto natural = [&] {
    for (int i = 0; i < width; ++i) source.push_back(i < cols ? i : -1);
  };
  switch (codes_as) {
    case Operand::Codes::plane:
      natural();
      segments.push_back(
          {width / depth_unit, scale, zero - code_shift, of_rows ? Zero::of_row : Zero::fixed});
      break;
    case Operand::Codes::planes:
      natural();
      natural();
      high = width;
      segments.push_back(
          {width / depth_unit, scale, zero % 256 - code_shift, of_rows ? Zero::low_of_row : Zero::fixed});
      segments.push_back({2 * width / depth_unit, 256.0f * scale, zero / 256 - code_shift,
                          of_rows ? Zero::high_of_row : Zero::fixed});
      break;
    case Operand::Codes::segments: {
      std::map<std::pair<float, std::int32_t>, std::vector<int>> sets;
      std::vector<int> places(static_cast<std::size_t>(padded(count)), 0);
      for (int c = 0; c < cols; ++c) {
        const auto i = static_cast<std::size_t>(c);
        if (site.scale[i] < 0) {
          places[i] = ~static_cast<int>(kept.size());
          kept.push_back(c);
        } else {
          sets[{site.scale[i], site.zero[i] + site.shift()}].push_back(c);
        }
      }
      for (const auto& [grid, channels] : sets) {
        for (const int c : channels) {
          places[static_cast<std::size_t>(c)] = static_cast<int>(source.size());
          source.push_back(c);
        }
        source.resize(static_cast<std::size_t>(round_up(static_cast<int>(source.size()), depth_unit)), -1);
        segments.push_back({static_cast<int>(source.size()) / depth_unit, grid.first,
                            grid.second - code_shift, Zero::fixed});
      }
      place = places;
      break;
    }
    case Operand::Codes::none:
      break;
  }
  stride = static_cast<int>(source.size());
}

OperandRows::OperandRows(const SiteLayout& layout, int rows) {
  const auto count = static_cast<std::size_t>(rows);
  view_.codes_as = layout.codes_as;
  view_.stride = layout.stride;
  view_.high = layout.high;
  view_.place = layout.place.data();
  view_.type = layout.type;
  if (layout.codes_as != Operand::Codes::none) {
    codes_.reset(std::max<std::size_t>(count * static_cast<std::size_t>(layout.stride), 16));
    view_.codes = codes_.data();
  }
  if (!layout.kept.empty()) {
    view_.kept_count = static_cast<int>(layout.kept.size());
    kept_.reset(count * layout.kept.size());
    view_.kept = kept_.data();
  }
  if (layout.format.kind == FormatKind::rows) {
    row_scale_.reset(count);
    row_zero_.reset(count);
    view_.row_scale = row_scale_.data();
    view_.row_zero = row_zero_.data();
  }
  if (layout.codes_as != Operand::Codes::none && layout.format.keeps_outliers()) {
    Outliers& outliers = view_.outliers;
    outliers.stride = round_up(layout.cols, warp_size);
    outlier_count_.reset(count);
    outlier_channels_.reset(count * static_cast<std::size_t>(outliers.stride));
    outlier_values_.reset(count * static_cast<std::size_t>(outliers.stride));
    outliers.count = outlier_count_.data();
    outliers.channels = outlier_channels_.data();
    outliers.values = outlier_values_.data();
  }
  if (layout.real) {
    view_.real_stride = round_up(layout.cols, 16);
    real_.reset(count * static_cast<std::size_t>(view_.real_stride * bytes_of(layout.type)));
    view_.real = real_.data();
    if (layout.eight) {
      eight_.reset(count * static_cast<std::size_t>(view_.real_stride));
      view_.eight = eight_.data();
    }
  }
}

DeviceLinear::DeviceLinear(const std::vector<const Linear*>& linears, const SiteLayout& left, RealType type)
    : type_(type) {
  part_ = padded(linears[0]->weight.rows);
  columns_ = part_ * static_cast<int>(linears.size());
  std::vector<float> bias(static_cast<std::size_t>(columns_), 0.0f);
  for (std::size_t p = 0; p < linears.size(); ++p) {
    std::copy(linears[p]->bias.begin(), linears[p]->bias.end(),
              bias.begin() + static_cast<std::ptrdiff_t>(p) * part_);
  }
  bias_ = bias;
  integer_ = left.codes_as != Operand::Codes::none && linears[0]->weight.is_integer();
  if (integer_) {
    add_integer(linears, left, natural_order(linears[0]->weight.rows));
  } else {
    add_real(linears);
    if (left.eight) add_eight(linears);
  }
}

DeviceLinear::DeviceLinear(const Linear& linear, const SiteLayout& left, const std::vector<int>& order)
    : integer_(true), part_(static_cast<int>(order.size())), columns_(part_) {
  std::vector<float> bias(order.size(), 0.0f);
  for (std::size_t j = 0; j < order.size(); ++j) {
    if (order[j] >= 0) bias[j] = linear.bias[static_cast<std::size_t>(order[j])];
  }
  bias_ = bias;
  add_integer({&linear}, left, order);
}

void DeviceLinear::add_integer(const std::vector<const Linear*>& linears, const SiteLayout& left,
                               const std::vector<int>& order) {
  depth_ = left.stride;
  segments_ = left.segments;
  kept_count_ = static_cast<int>(left.kept.size());
  keeps_outliers_ = left.format.keeps_outliers();
  const auto columns = static_cast<std::size_t>(columns_), depth = static_cast<std::size_t>(depth_);
  std::vector<std::int8_t> codes(std::max<std::size_t>(columns * depth, 16), 0);
  std::vector<std::int32_t> sums(std::max<std::size_t>(segments_.size(), 1) * columns, 0);
  std::vector<float> scale(columns, 0.0f), kept(columns * left.kept.size(), 0.0f);
  std::vector<std::int8_t> by_channel(keeps_outliers_ ? columns * static_cast<std::size_t>(left.cols) : 0, 0);
  for (std::size_t p = 0; p < linears.size(); ++p) {
    const Weight& weight = linears[p]->weight;
    for (std::size_t j = 0; j < order.size(); ++j) {
      if (order[j] < 0) continue;
      const auto r = static_cast<std::size_t>(order[j]);
      const std::size_t column = p * order.size() + j;
      scale[column] = weight.scale(r);
      std::size_t segment = 0;
      for (std::size_t k = 0; k < depth; ++k) {
        if (k == static_cast<std::size_t>(segments_[segment].end * depth_unit)) ++segment;
        if (left.source[k] < 0) continue;
        const std::int8_t code = weight.codes[r * weight.cols + static_cast<std::size_t>(left.source[k])];
        codes[column * depth + k] = code;
        sums[segment * columns + column] += code;
      }
      for (std::size_t i = 0; i < left.kept.size(); ++i)
        kept[i * columns + column] = weight.value(r, static_cast<std::size_t>(left.kept[i]));
      for (std::size_t c = 0; c < by_channel.size() / columns; ++c)
        by_channel[c * columns + column] = weight.codes[r * weight.cols + c];
    }
  }
  codes_ = codes;
  const ColumnTerms terms = column_terms(segments_, sums, scale);
  column_sums_ = terms.sums;
  column_scale_ = terms.scale;
  column_rest_ = terms.rest;
  kept_weights_ = kept;
  codes_by_channel_ = by_channel;
  device_segments_ = segments_;
}

void DeviceLinear::add_real(const std::vector<const Linear*>& linears) {
  const auto size = static_cast<std::size_t>(bytes_of(type_)), columns = static_cast<std::size_t>(columns_);
  depth_ = padded(linears[0]->weight.cols);
  std::vector<unsigned char> values(columns * static_cast<std::size_t>(depth_) * size, 0),
      bias(columns * size, 0);
  const auto put = [&](std::vector<unsigned char>& to, std::size_t at, float v) {
    if (type_ == RealType::float32) {
      std::memcpy(to.data() + at * size, &v, size);
    } else {
      const std::uint16_t bits = to_bits(v, type_);
      std::memcpy(to.data() + at * size, &bits, size);
    }
  };
  for (std::size_t p = 0; p < linears.size(); ++p) {
    const Linear& linear = *linears[p];
    for (std::size_t r = 0; r < linear.weight.rows; ++r) {
      const std::size_t column = p * static_cast<std::size_t>(part_) + r;
      put(bias, column, linear.bias[r]);
      for (std::size_t c = 0; c < linear.weight.cols; ++c)
        put(values, column * static_cast<std::size_t>(depth_) + c, linear.weight.value(r, c));
    }
  }
  real_ = values;
  real_bias_ = bias;
}

/// Weights as e4m3 with one scale, so that the largest is the largest that e4m3 has.
void DeviceLinear::add_eight(const std::vector<const Linear*>& linears) {
  constexpr float most = 448.0f;
  float largest = 0.0f;
  const auto each = [&](auto body) {
    for (std::size_t p = 0; p < linears.size(); ++p) {
      const Weight& weight = linears[p]->weight;
      for (std::size_t r = 0; r < weight.rows; ++r) {
        const std::size_t column = p * static_cast<std::size_t>(part_) + r;
        for (std::size_t c = 0; c < weight.cols; ++c)
          body(column * static_cast<std::size_t>(depth_) + c, weight.value(r, c));
      }
    }
  };
  each([&](std::size_t, float v) { largest = std::max(largest, std::abs(v)); });
  const float scale = largest > 0 ? largest / most : 1.0f;
  std::vector<unsigned char> values(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(depth_), 0);
  each([&](std::size_t at, float v) { values[at] = float_to_e4m3(v / scale); });
  real_ = values;
  eight_scale_ = std::vector<float>{scale};
  eight_ = true;
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
