#include "engine/cpu/packed_linear.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "engine/cpu/bf16_gemm.h"
#include "engine/two_floats.h"
#include "kernels/kernels.h"

namespace outlierlab::engine {

namespace {

using Kind = SiteFormat::Kind;
constexpr std::size_t lane_count = 16;
/// Columns whose terms are summed together, so that the sum stays in the first-level cache.
constexpr std::size_t columns_at_once = 64;

template <typename T>
T* grown(AlignedVector<T>& buffer, std::size_t count) {
  if (buffer.size() < count) buffer.resize(count);
  return buffer.data();
}

/// Puts a copy of what a vector holds behind it.
template <typename T>
void twice(AlignedVector<T>& values) {
  const std::size_t size = values.size();
  values.resize(2 * size);
  std::copy_n(values.begin(), size, values.begin() + static_cast<std::ptrdiff_t>(size));
}

/// Per-thread memory of apply().
struct ApplyScratch {
  AlignedVector<float> scale, kept, partial;
  AlignedVector<std::int32_t> zero, sums;
  AlignedVector<std::uint16_t> bf16;
};

ApplyScratch& apply_scratch() {
  thread_local ApplyScratch memory;
  return memory;
}

}  // namespace

Form form_of(const SiteFormat& site, const Weight& weight) {
  if (!multiplies_codes(site, weight)) return Form::real;
  if (site.kind == Kind::columns) return Form::segments;
  return site.bits <= 8 ? Form::codes : Form::wide;
}

bool can_fuse(const SiteFormat& site, const Weight& weight) {
  return form_of(site, weight) != Form::real && !site.keeps_outliers();
}

SegmentOrder::SegmentOrder(const SiteFormat& site) {
  std::map<std::pair<float, std::int32_t>, std::vector<std::int32_t>> sets;
  for (std::size_t c = 0; c < site.scale.size(); ++c) {
    if (site.scale[c] < 0) {
      kept.push_back(c);
    } else {
      sets[{site.scale[c], site.zero[c] + site.shift()}].push_back(static_cast<std::int32_t>(c));
    }
  }
  for (const auto& [grid, channels] : sets) {
    const std::size_t depth = round_up(channels.size(), 4);
    segments.push_back({width, depth, grid.first, grid.second});
    source.insert(source.end(), channels.begin(), channels.end());
    width += depth;
    source.resize(width, -1);
  }
  for (const std::int32_t channel : source)
    gather.push_back(channel < 0 ? 0u : static_cast<std::uint32_t>(channel));
}

PackedLinear::PackedLinear(const Linear& linear, const SiteFormat& left_site, RealPrecision precision,
                           const Result& result)
    : form_(form_of(left_site, linear.weight)),
      precision_(precision),
      result_(result),
      in_(linear.weight.cols),
      out_(linear.weight.rows) {
  const Weight& weight = linear.weight;
  bias_.assign(round_up(out_, lane_count), 0.0f);
  std::copy(linear.bias.begin(), linear.bias.end(), bias_.begin());
  const auto real_values = [&](const std::vector<std::size_t>& channels) {
    AlignedVector<float> values(out_ * channels.size());
    for (std::size_t r = 0; r < out_; ++r) {
      for (std::size_t i = 0; i < channels.size(); ++i)
        values[r * channels.size() + i] = weight.value(r, channels[i]);
    }
    return values;
  };
  if (form_ == Form::real) {
    std::vector<std::size_t> all(in_);
    std::iota(all.begin(), all.end(), std::size_t{0});
    const AlignedVector<float> values = real_values(all);
    if (precision_ == RealPrecision::float32) {
      real_panels_.resize(packed_size(out_, in_));
      pack_transposed(values.data(), in_, out_, in_, real_panels_.data());
    } else {
      bf16_panels_.resize(bf16_kernels().packed_bytes(in_, out_) / 2);
      bf16_kernels().pack_transposed(values.data(), in_, out_, in_, bf16_panels_.data());
    }
    return;
  }
  if (left_site.keeps_outliers()) {
    outlier_codes_.resize(in_ * out_);
    for (std::size_t c = 0; c < in_; ++c) {
      for (std::size_t r = 0; r < out_; ++r)
        outlier_codes_[c * out_ + r] = static_cast<std::uint8_t>(weight.codes[r * in_ + c] + 128);
    }
  }
  std::vector<std::int32_t> all(round_up(in_, 4), -1);
  std::iota(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(in_), 0);
  Term term;
  term.depth = all.size();
  const bool fixed = left_site.kind == Kind::tensor;
  const float scale = fixed ? left_site.scale[0] : 0.0f;
  const std::int32_t zero = fixed ? left_site.zero[0] + left_site.shift() : 0;
  switch (form_) {
    case Form::codes:
      add_term(weight, all, term);
      if (!fixed) break;
      fix(terms_[0], scale, zero);
      break;
    case Form::wide:
      add_term(weight, all, term);
      terms_.push_back(terms_[0]);  // the same panels
      terms_[1].high = true;
      if (!fixed) break;
      terms_[1].columns = col_sums_.size();
      twice(col_sums_);
      twice(col_scale_);
      twice(col_rest_);
      fix(terms_[0], scale, zero % 256);
      fix(terms_[1], 256.0f * scale, zero / 256);
      break;
    case Form::segments: {
      const SegmentOrder order(left_site);
      for (const SegmentOrder::Segment& segment : order.segments) {
        Term part;
        part.offset = segment.offset;
        part.depth = segment.depth;
        const auto from = order.source.begin() + static_cast<std::ptrdiff_t>(segment.offset);
        add_term(weight, {from, from + static_cast<std::ptrdiff_t>(segment.depth)}, part);
        fix(terms_.back(), segment.scale, segment.zero);
      }
      kept_ = order.kept;
      if (!kept_.empty()) {
        real_panels_.resize(packed_size(out_, kept_.size()));
        pack_transposed(real_values(kept_).data(), kept_.size(), out_, kept_.size(), real_panels_.data());
      }
      break;
    }
    case Form::real:
      break;
  }
  panels_.shrink_to_fit();
  // A term alone needs no float before the codes.
  if (result_.finish != Finish::codes || terms_.size() != 1 || !terms_[0].fixed || !kept_.empty()) return;
  col_factor_.assign(bias_.size(), 0.0);
  col_addend_.assign(bias_.size(), 0.0);
  const double steps = result_.grid->steps_per_unit();
  for (std::size_t r = 0; r < out_; ++r) {
    col_factor_[r] = static_cast<double>(terms_[0].scale) * weight.scale(r) * steps;
    col_addend_[r] = bias_[r] * steps;
  }
}

void PackedLinear::add_term(const Weight& weight, const std::vector<std::int32_t>& channels, Term term) {
  AlignedVector<std::int8_t> gathered(out_ * term.depth);
  term.columns = col_sums_.size();
  col_sums_.resize(term.columns + round_up(out_, lane_count), 0);
  col_scale_.resize(col_sums_.size(), 0.0f);
  col_rest_.resize(col_sums_.size(), 0.0f);
  for (std::size_t r = 0; r < out_; ++r) {
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < term.depth; ++k) {
      const std::int8_t code =
          channels[k] < 0 ? std::int8_t{0} : weight.codes[r * in_ + static_cast<std::size_t>(channels[k])];
      gathered[r * term.depth + k] = code;
      sum += code;
    }
    col_sums_[term.columns + r] = sum;
    col_scale_[term.columns + r] = weight.scale(r);
  }
  term.panels = panels_.size();
  panels_.resize(term.panels + int8_kernels().weight_bytes(term.depth, out_));
  char* const packed = panels_.data() + term.panels;
  const std::size_t used =
      int8_kernels().pack_weight(gathered.data(), term.depth, out_, term.depth, 0, packed);
  term.panel = int8_kernels().weight_panel(packed, term.depth);
  panels_.resize(term.panels + used);
  terms_.push_back(term);
}

void PackedLinear::fix(Term& term, float scale, std::int32_t zero) {
  term.fixed = true;
  term.scale = scale;
  for (std::size_t j = term.columns; j < term.columns + out_; ++j) {
    const TwoFloats factor(static_cast<double>(scale) * col_scale_[j]);
    col_scale_[j] = factor.value;
    col_rest_[j] = factor.rest;
    col_sums_[j] *= -zero;
  }
}

std::size_t PackedLinear::bytes() const {
  return panels_.size() + outlier_codes_.size() + bf16_panels_.size() * 2 +
         (col_factor_.size() + col_addend_.size()) * sizeof(double) +
         (col_sums_.size() + col_scale_.size() + col_rest_.size() + bias_.size() + real_panels_.size()) *
             sizeof(float);
}

void PackedLinear::apply_real(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end,
                              float* c, std::size_t stride) const {
  if (precision_ == RealPrecision::float32) {
    model_kernels().gemm(left.values, left.value_stride, rows, in_, real_panels_.data() + begin * in_,
                         end - begin, bias_.data() + begin, 1.0f, c + begin, stride);
    return;
  }
  const char* panels =
      reinterpret_cast<const char*>(bf16_panels_.data()) + bf16_kernels().packed_bytes(in_, begin);
  bf16_kernels().multiply(left.values, left.value_stride, rows, in_, panels, end - begin,
                          bias_.data() + begin, c + begin, stride,
                          grown(apply_scratch().bf16, bf16_kernels().scratch_size(rows, in_)));
}

void PackedLinear::apply(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end,
                         const Target& target) const {
  if (rows == 0 || begin >= end) return;
  if (form_ == Form::real)
    return apply_real(left, rows, begin, end, static_cast<float*>(target.data), target.stride);
  apply_integers(left, rows, begin, end, target, result_.finish);
}

void PackedLinear::apply_bare(const LeftRows& left, std::size_t rows, std::size_t begin,
                              std::size_t end) const {
  if (rows == 0 || begin >= end) return;
  // All rows are stored over each other.
  apply_integers(left, rows, begin, end, {grown(apply_scratch().sums, end), 0}, Finish::sums);
}

void PackedLinear::apply_integers(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end,
                                  const Target& target, Finish finish) const {
  const float* kept = nullptr;
  if (!kept_.empty()) {
    const std::size_t n = kept_.size();
    float* gathered = grown(apply_scratch().kept, rows * n);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < n; ++i) gathered[r * n + i] = left.values[r * left.value_stride + kept_[i]];
    }
    kept = gathered;
  }
  const std::size_t columns = terms_.size() + (kept ? 1 : 0) > 1 ? columns_at_once : end - begin;
  for (std::size_t j = begin; j < end; j += columns)
    apply_terms(left, kept, rows, j, std::min(end, j + columns), target, finish);
}

void PackedLinear::apply_terms(const LeftRows& left, const float* kept, std::size_t rows, std::size_t begin,
                               std::size_t end, const Target& target, Finish finish) const {
  // What is summed so far; the last term makes of it what is wanted.
  const std::size_t stride = finish == Finish::real ? target.stride : end - begin;
  float* real = nullptr;
  if (finish == Finish::real) {
    real = static_cast<float*>(target.data) + begin;
  } else if (finish == Finish::sums || kept || terms_.size() > 1) {
    real = grown(apply_scratch().partial, rows * stride);
  }
  const float* partial = nullptr;
  if (kept) {
    const std::size_t n = kept_.size();
    model_kernels().gemm(kept, n, rows, n, real_panels_.data() + begin * n, end - begin, bias_.data() + begin,
                         1.0f, real, stride);
    partial = real;
  }
  for (const Term& term : terms_) {
    Int8Product p;
    p.a = (term.high ? left.high : left.low) + term.offset;
    p.lda = left.stride;
    p.rows = rows;
    p.depth = term.depth;
    p.cols = end - begin;
    p.b = panels_.data() + term.panels + begin / lane_count * term.panel;
    p.col_scale = col_scale_.data() + term.columns + begin;
    const std::int32_t* col_sums = col_sums_.data() + term.columns + begin;
    if (term.fixed) {
      p.col_shift = col_sums;
      p.col_rest = col_rest_.data() + term.columns + begin;
      if (!col_factor_.empty()) p.col_factor = col_factor_.data() + begin;
      if (!col_addend_.empty()) p.col_addend = col_addend_.data() + begin;
    } else if (form_ == Form::codes) {
      p.col_sum = col_sums;
      p.row_scale = left.row_scale;
      p.row_zero = left.row_zero;
    } else {
      float* scale = grown(apply_scratch().scale, rows);
      std::int32_t* zero = grown(apply_scratch().zero, rows);
      for (std::size_t r = 0; r < rows; ++r) {
        scale[r] = left.row_scale[r] * (term.high ? 256.0f : 1.0f);
        zero[r] = term.high ? left.row_zero[r] / 256 : left.row_zero[r] % 256;
      }
      p.col_sum = col_sums;
      p.row_scale = scale;
      p.row_zero = zero;
    }
    p.bias = bias_.data() + begin;
    p.partial = partial;
    p.partial_stride = stride;
    p.finish = finish == Finish::sums || &term == &terms_.back() ? finish : Finish::real;
    switch (p.finish) {
      case Finish::sums:
        p.c = static_cast<std::int32_t*>(target.data) + begin;
        p.ldc = target.stride;
        break;
      case Finish::real:
        p.c = real;
        p.ldc = stride;
        partial = real;
        break;
      case Finish::codes:
      case Finish::gelu_codes:
        p.c = static_cast<std::uint8_t*>(target.data) + begin;
        p.ldc = target.stride;
        set_grid(p, *result_.grid);
        break;
    }
    int8_kernels().multiply_weight(p);
  }
  if (!outlier_codes_.empty() && left.outliers) add_outliers(left, rows, begin, end, real, stride);
}

void PackedLinear::add_outliers(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end,
                                float* c, std::size_t stride) const {
  for (std::size_t r = 0; r < rows; ++r) {
    const std::uint16_t* words = left.outliers + r * left.outlier_stride;
    const float* values = left.values + r * left.value_stride;
    for (std::size_t w = 0; w < left.outlier_stride; ++w) {
      for (unsigned marks = words[w]; marks != 0; marks &= marks - 1) {
        const std::size_t channel = 16 * w + static_cast<std::size_t>(__builtin_ctz(marks));
        row_kernels().add_column(c + r * stride, outlier_codes_.data() + channel * out_ + begin,
                                 col_scale_.data() + begin, values[channel], end - begin);
      }
    }
  }
}

}  // namespace outlierlab::engine
