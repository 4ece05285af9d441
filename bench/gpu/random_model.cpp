#include "gpu/random_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/random.h"
#include "engine/cpu/cpu_executor.h"
#include "engine/model_parts.h"

namespace outlierlab::engine::bench {

namespace {

/// Close enough to normal: the sum of four uniform values.
float spread(Random& random, float deviation) {
  const double sum = random.uniform() + random.uniform() + random.uniform() + random.uniform() - 2.0;
  return deviation * static_cast<float>(sum * std::sqrt(3.0));
}

/// Fills the parts of a model in visit_parts' order.
struct Filler {
  Random random;
  void weight(const std::string&, Weight& part, std::size_t rows, std::size_t cols) {
    std::vector<float> values(rows * cols);
    for (float& v : values) v = spread(random, 0.04f);
    part = Weight();
    part.rows = rows;
    part.cols = cols;
    part.values = std::move(values);
  }
  void vector(const std::string& name, Array<float>& part, std::size_t size) {
    const bool gain = name.size() > 16 && name.find("LayerNorm.weight") != std::string::npos;
    std::vector<float> values(size);
    for (float& v : values) v = (gain ? 1.0f : 0.0f) + spread(random, 0.05f);
    if (name.find("output.dense.bias") != std::string::npos && name.find("attention") == std::string::npos) {
      for (std::size_t c = 7; c < size; c += size / 3 + 1) values[c] += 8.0f;
    }
    part = std::move(values);
  }
  void site(const std::string&, SiteFormat& part, std::size_t) { part = SiteFormat(); }
};

struct Dequantizer {
  void weight(const std::string&, Weight& part, std::size_t rows, std::size_t cols) {
    if (!part.is_integer()) return;
    std::vector<float> values(rows * cols);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < cols; ++c) values[r * cols + c] = part.value(r, c);
    }
    part = Weight();
    part.rows = rows;
    part.cols = cols;
    part.values = std::move(values);
  }
  void vector(const std::string&, Array<float>&, std::size_t) {}
  void site(const std::string&, SiteFormat& part, std::size_t) { part = SiteFormat(); }
};

class RangeObserver : public SiteObserver {
 public:
  RangeObserver(const Model& model, SiteRanges& ranges) : ranges_(ranges) {
    ranges.low.resize(model.site_count());
    ranges.high.resize(model.site_count());
  }
  void visit(std::size_t site, const float* values, std::size_t, std::size_t rows, std::size_t cols,
             std::size_t stride, int head) override {
    std::vector<float>&low = ranges_.low[site], &high = ranges_.high[site];
    const std::size_t channels = head < 0 ? cols : static_cast<std::size_t>(head) + 1;
    if (low.size() < channels) {
      low.resize(channels, 0.0f);
      high.resize(channels, 0.0f);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        const std::size_t channel = head < 0 ? c : static_cast<std::size_t>(head);
        low[channel] = std::min(low[channel], values[r * stride + c]);
        high[channel] = std::max(high[channel], values[r * stride + c]);
      }
    }
  }

 private:
  SiteRanges& ranges_;
};

void quantize(Weight& weight) {
  float largest = 0;
  for (const float v : weight.values) largest = std::max(largest, std::abs(v));
  const float scale = largest / 127.0f;
  std::vector<std::int8_t> codes(weight.values.size());
  for (std::size_t i = 0; i < codes.size(); ++i)
    codes[i] = static_cast<std::int8_t>(std::nearbyint(weight.values[i] / scale));
  weight.bits = 8;
  weight.codes = std::move(codes);
  weight.scales = std::vector<float>{scale};
  weight.values = Array<float>();
}

/// With a scale per output channel.
void quantize_by_row(Weight& weight) {
  std::vector<std::int8_t> codes(weight.values.size());
  std::vector<float> scales(weight.rows);
  for (std::size_t r = 0; r < weight.rows; ++r) {
    const float* row = weight.values.data() + r * weight.cols;
    float largest = 0;
    for (std::size_t c = 0; c < weight.cols; ++c) largest = std::max(largest, std::abs(row[c]));
    scales[r] = largest / 127.0f;
    for (std::size_t c = 0; c < weight.cols; ++c)
      codes[r * weight.cols + c] = static_cast<std::int8_t>(std::nearbyint(row[c] / scales[r]));
  }
  weight.bits = 8;
  weight.codes = std::move(codes);
  weight.scales = std::move(scales);
  weight.values = Array<float>();
}

void add_grid(SiteFormat& site, float low, float high, std::size_t count = 1) {
  const float scale = std::max(high - low, 1e-6f) / 255.0f;
  site.scale.insert(site.scale.end(), count, scale);
  site.zero.insert(site.zero.end(), count, static_cast<std::int32_t>(std::nearbyint(-low / scale)));
}

SiteFormat tensor_site(const std::vector<float>& low, const std::vector<float>& high) {
  SiteFormat site;
  site.kind = FormatKind::tensor;
  site.bits = 8;
  add_grid(site, *std::min_element(low.begin(), low.end()), *std::max_element(high.begin(), high.end()));
  return site;
}

SiteFormat rows_site() {
  SiteFormat site;
  site.kind = FormatKind::rows;
  site.bits = 8;
  return site;
}

/// LLM.int8()'s.
SiteFormat outlier_site() {
  SiteFormat site = rows_site();
  site.symmetric = true;
  site.outlier_threshold = 6.0f;
  return site;
}

/// Six groups of channels, sorted by range.
SiteFormat grouped_site(const std::vector<float>& low, const std::vector<float>& high) {
  constexpr std::size_t groups = 6;
  const std::size_t channels = low.size();
  std::vector<std::size_t> order(channels);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return high[a] - low[a] < high[b] - low[b]; });
  SiteFormat site;
  site.kind = FormatKind::columns;
  site.bits = 8;
  site.scale.resize(channels);
  site.zero.resize(channels);
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t begin = g * channels / groups, end = (g + 1) * channels / groups;
    float lo = 0, hi = 0;
    for (std::size_t i = begin; i < end; ++i) {
      lo = std::min(lo, low[order[i]]);
      hi = std::max(hi, high[order[i]]);
    }
    SiteFormat one;
    add_grid(one, lo, hi);
    for (std::size_t i = begin; i < end; ++i) {
      site.scale[order[i]] = one.scale[0];
      site.zero[order[i]] = one.zero[0];
    }
  }
  return site;
}

/// The 1 % of the channels with the largest magnitudes stay in float, the others share a grid.
SiteFormat kept_site(const std::vector<float>& low, const std::vector<float>& high) {
  const std::size_t channels = low.size();
  const auto kept =
      std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(0.01 * static_cast<double>(channels))));
  std::vector<std::size_t> order(channels);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::max(high[a], -low[a]) > std::max(high[b], -low[b]);
  });
  float lo = 0, hi = 0;
  for (std::size_t i = kept; i < channels; ++i) {
    lo = std::min(lo, low[order[i]]);
    hi = std::max(hi, high[order[i]]);
  }
  SiteFormat site;
  site.kind = FormatKind::columns;
  site.bits = 8;
  add_grid(site, lo, hi, channels);
  for (std::size_t i = 0; i < kept; ++i) {
    site.scale[order[i]] = -1.0f;
    site.zero[order[i]] = 0;
  }
  return site;
}

struct Quantizer {
  const SiteRanges& ranges;
  const std::string& scheme;
  std::size_t next = 0;  ///< visit_parts comes to the sites in the order of their numbers

  void weight(const std::string& name, Weight& part, std::size_t, std::size_t) {
    if (scheme != "llm-int8") return quantize(part);
    // Embeddings and classifier stay in float.
    if (name.find("embeddings") == std::string::npos && name.find("classifier") == std::string::npos)
      quantize_by_row(part);
  }
  void vector(const std::string&, Array<float>&, std::size_t) {}
  void site(const std::string& name, SiteFormat& part, std::size_t) {
    const std::vector<float>&low = ranges.low[next], &high = ranges.high[next];
    ++next;
    const auto ends_with = [&](const char* end) {
      const std::string text = end;
      return name.size() >= text.size() && name.compare(name.size() - text.size(), text.size(), text) == 0;
    };
    const bool xhy = ends_with(".ffn_input") || ends_with(".ffn_output") || ends_with(".ffn_residual");
    const bool attention = ends_with(".scores") || ends_with(".probs");
    if (scheme == "llm-int8") {
      const bool before_products = ends_with("embeddings.norm") || ends_with(".context") ||
                                   ends_with(".ffn_input") || ends_with(".ffn_hidden") ||
                                   ends_with(".output");
      part = before_products ? outlier_site() : SiteFormat();
    } else if (scheme == "w8a8-token") {
      part = rows_site();
    } else if (scheme == "peg-6-permuted" && xhy) {
      part = grouped_site(low, high);
    } else if (scheme == "mp-xhy" && xhy) {
      part = SiteFormat();
    } else if (scheme == "mp-channel-1" && !attention) {
      part = kept_site(low, high);
    } else {
      part = tensor_site(low, high);
    }
  }
};

}  // namespace

RandomTokens::RandomTokens(const Shape& shape, const std::vector<std::size_t>& lengths, std::uint64_t seed) {
  Random random(seed);
  for (const std::size_t length : lengths) {
    for (std::size_t t = 0; t < length; ++t) {
      ids.push_back(static_cast<std::int32_t>(random.below(shape.vocabulary)));
      positions.push_back(static_cast<std::int32_t>(t));
      types.push_back(static_cast<std::uint8_t>(t > length / 2 && shape.token_types > 1));
    }
    offsets.push_back(offsets.back() + length);
  }
}

Shape shape_named(const std::string& name) {
  Shape shape;
  shape.vocabulary = 30522;
  shape.labels = 2;
  if (name == "bert-base") {
    shape.hidden = 768;
    shape.layers = shape.heads = 12;
    shape.intermediate = 3072;
  } else if (name == "bert-large") {
    shape.hidden = 1024;
    shape.layers = 24;
    shape.heads = 16;
    shape.intermediate = 4096;
  } else if (name == "minilm") {
    shape.hidden = 384;
    shape.layers = 6;
    shape.heads = 12;
    shape.intermediate = 1536;
  } else {
    fail_unknown("shape", name, {"bert-base", "bert-large", "minilm"});
  }
  return shape;
}

std::shared_ptr<const Model> random_float_model(const Shape& shape, std::uint64_t seed) {
  auto model = std::make_shared<Model>();
  model->shape = shape;
  model->layers.resize(shape.layers);
  visit_parts(*model, Filler{Random(seed)});
  model->check();
  return model;
}

std::shared_ptr<const Model> without_codes(const Model& model) {
  auto floats = std::make_shared<Model>(model);
  visit_parts(*floats, Dequantizer());
  floats->check();
  return floats;
}

SiteRanges ranges_of(const std::shared_ptr<const Model>& floats, const Tokens& tokens) {
  SiteRanges ranges;
  RangeObserver observer(*floats, ranges);
  CpuOptions options;
  options.observer = &observer;
  options.threads = 1;
  CpuExecutor executor(floats, options);
  std::vector<float> logits(tokens.examples * floats->shape.labels);
  executor.logits(tokens, logits.data());
  return ranges;
}

const std::vector<std::string>& scheme_names() {
  static const std::vector<std::string> names = {"w8a8",   "w8a8-token",   "peg-6-permuted",
                                                 "mp-xhy", "mp-channel-1", "llm-int8"};
  return names;
}

std::shared_ptr<const Model> quantized(const Model& floats, const SiteRanges& ranges,
                                       const std::string& scheme) {
  const std::vector<std::string>& names = scheme_names();
  if (std::find(names.begin(), names.end(), scheme) == names.end()) fail_unknown("scheme", scheme, names);
  auto model = std::make_shared<Model>(floats);
  visit_parts(*model, Quantizer{ranges, scheme});
  model->facts["scheme"] = scheme;
  model->check();
  return model;
}

}  // namespace outlierlab::engine::bench
