#include "engine/cpu/site_rows.h"

#include "engine/two_floats.h"

namespace outlierlab::engine {

SiteRows::SiteRows(const SiteFormat& site) {
  format_.kind = site.kind;
  format_.bits = site.bits;
  format_.symmetric = site.symmetric;
  format_.outlier_threshold = site.outlier_threshold;
  if (site.scale.empty()) return;
  const std::size_t padded = round_up(site.scale.size(), 16);
  for (AlignedVector<float>* values : {&inverse_, &rest_, &scale_, &low_, &high_, &offset_})
    values->assign(padded, 0.0f);
  for (std::size_t i = 0; i < site.scale.size(); ++i) {
    scale_[i] = site.scale[i];
    const TwoFloats inverse(site.scale[i] > 0 ? 1.0 / static_cast<double>(site.scale[i]) : 0.0);
    inverse_[i] = inverse.value;
    rest_[i] = inverse.rest;
    low_[i] = site.scale[i] * static_cast<float>(site.qmin() - site.zero[i]);
    high_[i] = site.scale[i] * static_cast<float>(site.qmax() - site.zero[i]);
    offset_[i] = static_cast<float>(site.zero[i] + site.shift());
  }
  format_.inverse = inverse_[0];
  format_.rest = rest_[0];
  format_.scale = scale_[0];
  format_.low = low_[0];
  format_.high = high_[0];
  format_.offset = offset_[0];
  format_.col_inverse = inverse_.data();
  format_.col_rest = rest_.data();
  format_.col_scale = scale_.data();
  format_.col_low = low_.data();
  format_.col_high = high_.data();
  format_.col_offset = offset_.data();
}

RowFormat SiteRows::of_head(std::size_t head) const {
  if (format_.kind != SiteFormat::Kind::columns) return format_;
  RowFormat format = format_;
  format.kind = scale_[head] < 0 ? SiteFormat::Kind::real : SiteFormat::Kind::tensor;
  format.inverse = inverse_[head];
  format.rest = rest_[head];
  format.scale = scale_[head];
  format.low = low_[head];
  format.high = high_[head];
  format.offset = offset_[head];
  return format;
}

}  // namespace outlierlab::engine
