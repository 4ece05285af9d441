#pragma once

#include "engine/cpu/packed_linear.h"

namespace outlierlab::engine {

/// The values of one site for a group of rows, as the products that follow read them.
class LeftBuffer {
 public:
  /// Room for `rows` rows of a site that products take in `form`, and for the marks of its outliers. `order`
  /// must outlive the buffer's use.
  void reserve(std::size_t rows, std::size_t cols, Form form, const SegmentOrder& order,
               bool keeps_outliers = false) {
    cols_ = cols;
    form_ = form;
    order_ = &order;
    stride_ = form == Form::segments ? order.width : round_up(cols, 4);
    // The last row may be read in whole vectors and words.
    constexpr std::size_t slack = 64;
    if (form != Form::real) low_.resize(rows * stride_ + slack);
    if (form == Form::wide) high_.resize(rows * stride_ + slack);
    if (form == Form::segments) natural_size_ = cols + slack;
    row_scale_.resize(rows);
    row_zero_.resize(rows);
    outliers_.resize(keeps_outliers ? rows * outlier_words(cols) : 0);
  }

  /// Rounds `count` rows of values, from row `first` on, to the site's grids, and keeps their codes. Values
  /// are [rows, cols].
  void encode(const RowFormat& site, float* values, std::size_t first, std::size_t count) {
    float* from = values + first * cols_;
    if (form_ == Form::real) return row_kernels().round_trip(site, from, count, cols_, cols_);
    if (form_ == Form::segments) return encode_segments(site, from, first, count);
    row_kernels().encode(site, from, count, cols_, cols_, codes(first));
  }

  LeftRows rows(const float* values) const {
    return {low_.data(),         high_.data(), stride_, row_scale_.data(),
            row_zero_.data(),    values,       cols_,   outliers_.empty() ? nullptr : outliers_.data(),
            outlier_words(cols_)};
  }
  std::uint8_t* low() { return low_.data(); }
  std::size_t stride() const { return stride_; }

  /// Copies one row with all its forms.
  void copy_row(const LeftBuffer& from, std::size_t source, std::size_t target) {
    const auto copy = [&](const AlignedVector<std::uint8_t>& a, AlignedVector<std::uint8_t>& b) {
      if (!a.empty()) std::copy_n(a.data() + source * stride_, stride_, b.data() + target * stride_);
    };
    // A buffer that served another form before still has its planes.
    if (form_ != Form::real) copy(from.low_, low_);
    if (form_ == Form::wide) copy(from.high_, high_);
    if (!outliers_.empty()) {
      const std::size_t words = outlier_words(cols_);
      std::copy_n(from.outliers_.data() + source * words, words, outliers_.data() + target * words);
    }
    row_scale_[target] = from.row_scale_[source];
    row_zero_[target] = from.row_zero_[source];
  }
  std::size_t bytes() const {
    return low_.size() + high_.size() + outliers_.size() * sizeof(std::uint16_t) +
           row_scale_.size() * sizeof(float) + row_zero_.size() * sizeof(std::int32_t);
  }

 private:
  CodeRows codes(std::size_t first) {
    return {low_.data() + first * stride_,
            form_ == Form::wide ? high_.data() + first * stride_ : nullptr,
            stride_,
            row_scale_.data() + first,
            row_zero_.data() + first,
            outliers_.empty() ? nullptr : outliers_.data() + first * outlier_words(cols_)};
  }
  void encode_segments(const RowFormat& site, float* from, std::size_t first, std::size_t count) {
    thread_local AlignedVector<std::uint8_t> natural;
    natural.resize(natural_size_);
    for (std::size_t r = 0; r < count; ++r) {
      row_kernels().encode(site, from + r * cols_, 1, cols_, cols_,
                           {natural.data(), nullptr, 0, nullptr, nullptr});
      std::uint8_t* to = low_.data() + (first + r) * stride_;
      const std::uint32_t* source = order_->gather.data();
      for (std::size_t i = 0; i < stride_; ++i) to[i] = natural[source[i]];
    }
  }

  std::size_t cols_ = 0, stride_ = 0;
  Form form_ = Form::real;
  const SegmentOrder* order_ = nullptr;
  std::size_t natural_size_ = 0;  ///< of a row in the order of the channels
  AlignedVector<std::uint8_t> low_, high_;
  AlignedVector<std::uint16_t> outliers_;
  AlignedVector<float> row_scale_;
  AlignedVector<std::int32_t> row_zero_;
};

}  // namespace outlierlab::engine
