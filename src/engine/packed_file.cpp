#include "engine/packed_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "engine/model_parts.h"
#include "engine/safetensors_header.h"

namespace outlierlab::engine {

namespace {

/// Sizes beyond this are damage; it also keeps products of two sizes far from overflow.
constexpr std::size_t largest_size = 1u << 24, most_layers = 1024;

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), map_(std::make_shared<const MappedFile>(path)) {
    if (map_->size() < 8) fail_expected(path, "a safetensors file", std::to_string(map_->size()) + " bytes");
    const auto* bytes = reinterpret_cast<const char*>(map_->data());
    const std::size_t most = map_->size() - 8;
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
    if (length > most)
      fail_expected(path_ + ": header", "at most " + std::to_string(most) + " bytes", std::to_string(length));
    header_ = parse_safetensors_header(path_ + ": header", bytes + 8, static_cast<std::size_t>(length));
    data_ = bytes + 8 + length;
    data_size_ = most - static_cast<std::size_t>(length);
  }

  std::shared_ptr<const Model> model() {
    require_metadata("format", packed_format);
    require_metadata("version", packed_version);
    require_whole_data();
    auto model = std::make_shared<Model>();
    visit_sizes(model->shape, [&](const char* name, std::size_t& size) {
      size = whole("shape." + std::string(name), largest_size);
    });
    Shape& shape = model->shape;
    if (shape.layers > most_layers)
      fail_expected(path_ + ": shape.layers", "at most " + std::to_string(most_layers),
                    std::to_string(shape.layers));
    const Array<float> epsilon = floats("epsilon", {1});
    shape.epsilon = epsilon[0];
    model->layers.resize(shape.layers);
    visit_parts(*model, *this);
    for (const auto& [key, value] : header_.metadata) {
      if (key.compare(0, 5, "fact.") == 0) {
        model->facts[key.substr(5)] = value;
      } else if (!read_.count(key)) {
        fail_expected(path_ + ": metadata", "only what this format has", "'" + key + "'");
      }
    }
    for (const auto& tensor : header_.tensors) {
      if (!used_.count(tensor.first))
        fail_expected(path_, "only tensors of this format", "'" + tensor.first + "'");
    }
    try {
      model->check();
    } catch (const Error& error) {
      throw Error(path_ + ": " + error.what());
    }
    return model;
  }

  // The visitor of visit_parts.
  void weight(const std::string& name, Weight& part, std::size_t rows, std::size_t cols) {
    part.rows = rows;
    part.cols = cols;
    if (entry(name).dtype == "F32") {
      part.values = floats(name, {rows, cols});
      return;
    }
    part.codes = values<std::int8_t>(name, "I8", {rows, cols});
    part.bits = static_cast<int>(whole("bits." + name, 8));
    const std::string scale = name + ".scale";
    const std::size_t scales = element_count(entry(scale));
    part.scales = floats(scale, {scales});
  }
  void vector(const std::string& name, Array<float>& part, std::size_t size) { part = floats(name, {size}); }
  void site(const std::string& name, SiteFormat& part, std::size_t channels) {
    parse_site(path_ + ": site " + name, metadata("site." + name), part);
    if (part.kind != FormatKind::tensor && part.kind != FormatKind::columns) return;
    const std::size_t grids = part.kind == FormatKind::tensor ? 1 : channels;
    const Array<float> scale = floats("sites." + name + ".scale", {grids});
    const Array<std::int32_t> zero = values<std::int32_t>("sites." + name + ".zero", "I32", {grids});
    part.scale.assign(scale.begin(), scale.end());
    part.zero.assign(zero.begin(), zero.end());
  }

 private:
  std::string metadata(const std::string& key) {
    read_.insert(key);
    const auto found = header_.metadata.find(key);
    if (found == header_.metadata.end()) fail_expected(path_ + ": metadata", "'" + key + "'", "none");
    return found->second;
  }
  void require_metadata(const std::string& key, const std::string& expected) {
    const std::string found = metadata(key);
    if (found != expected)
      fail_expected(path_ + ": metadata " + key, "'" + expected + "'", "'" + found + "'");
  }
  /// Tensors follow each other without gap or overlap up to the file's end, as safetensors demands: an offset
  /// that is damaged would else read another tensor's bytes.
  void require_whole_data() const {
    std::vector<std::pair<const HeaderTensor*, const std::string*>> tensors;
    for (const auto& [name, tensor] : header_.tensors) tensors.emplace_back(&tensor, &name);
    std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
    });
    std::size_t end = 0;
    for (const auto& [tensor, name] : tensors) {
      if (tensor->begin != end || tensor->end < end)
        fail_expected(path_ + ": tensor '" + *name + "'", "bytes from " + std::to_string(end) + " on",
                      "bytes " + std::to_string(tensor->begin) + " to " + std::to_string(tensor->end));
      end = tensor->end;
    }
    if (end != data_size_)
      fail_expected(path_, "tensors of " + std::to_string(data_size_) + " bytes, which are inside the file",
                    std::to_string(end));
  }
  std::size_t whole(const std::string& key, std::size_t limit) {
    const std::string text = metadata(key);
    std::size_t value = 0;
    bool good = !text.empty() && text.size() <= 9;
    for (const char c : text) {
      good = good && c >= '0' && c <= '9';
      if (good) value = value * 10 + static_cast<std::size_t>(c - '0');
    }
    if (!good || value > limit)
      fail_expected(path_ + ": metadata " + key, "a whole number up to " + std::to_string(limit),
                    "'" + text + "'");
    return value;
  }
  static void parse_site(const std::string& place, std::string text, SiteFormat& site) {
    if (text == "real") return;
    const std::string word = " outliers ";
    if (const std::size_t at = text.find(word); at != std::string::npos) {
      site.outlier_threshold = parse_threshold(place, text.substr(at + word.size()));
      text.resize(at);
    }
    for (const auto& [word, kind] :
         {std::pair{"tensor", FormatKind::tensor}, std::pair{"columns", FormatKind::columns},
          std::pair{"rows", FormatKind::rows}}) {
      for (int bits = 2; bits <= 16; ++bits) {
        for (const bool symmetric : {false, true}) {
          if (text != std::string(word) + " " + std::to_string(bits) + (symmetric ? " symmetric" : " affine"))
            continue;
          site.kind = kind;
          site.bits = bits;
          site.symmetric = symmetric;
          return;
        }
      }
    }
    fail_expected(place, "real, or tensor|columns|rows, 2 to 16 bits, affine|symmetric", "'" + text + "'");
  }
  static float parse_threshold(const std::string& place, const std::string& text) {
    float value = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end || !std::isfinite(value))
      fail_expected(place, "a number as outlier threshold", "'" + text + "'");
    return value;
  }
  const HeaderTensor& entry(const std::string& name) const {
    const auto found = header_.tensors.find(name);
    if (found == header_.tensors.end()) fail_expected(path_, "a tensor '" + name + "'", "none");
    return found->second;
  }
  std::size_t element_count(const HeaderTensor& tensor) const {
    std::size_t count = 1;
    for (const std::size_t size : tensor.shape) {
      if (__builtin_mul_overflow(count, size, &count)) return std::numeric_limits<std::size_t>::max();
    }
    return count;
  }
  static std::string shown(const std::vector<std::size_t>& shape) {
    std::string text = "[";
    for (const std::size_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
  }
  template <typename T>
  Array<T> values(const std::string& name, const char* dtype, const std::vector<std::size_t>& shape) {
    const HeaderTensor& tensor = entry(name);
    const std::string place = path_ + ": tensor '" + name + "'";
    used_.insert(name);
    if (tensor.dtype != dtype) fail_expected(place, std::string("dtype ") + dtype, tensor.dtype);
    if (tensor.shape != shape) fail_expected(place, "shape " + shown(shape), shown(tensor.shape));
    const std::size_t count = element_count(tensor);
    if (tensor.end < tensor.begin || tensor.end > data_size_ ||
        (tensor.end - tensor.begin) / sizeof(T) != count || (tensor.end - tensor.begin) % sizeof(T) != 0) {
      fail_expected(
          place, std::to_string(count) + " values inside the file's " + std::to_string(data_size_) + " bytes",
          "bytes " + std::to_string(tensor.begin) + " to " + std::to_string(tensor.end));
    }
    const char* data = data_ + tensor.begin;
    if (reinterpret_cast<std::uintptr_t>(data) % alignof(T) == 0)
      return Array<T>(map_, reinterpret_cast<const T*>(data), count);
    // Another writer need not align: then a copy.
    std::vector<T> copy(count);
    std::memcpy(copy.data(), data, count * sizeof(T));
    return Array<T>(std::move(copy));
  }
  Array<float> floats(const std::string& name, const std::vector<std::size_t>& shape) {
    return values<float>(name, "F32", shape);
  }

  std::string path_;
  std::shared_ptr<const MappedFile> map_;
  SafetensorsHeader header_;
  const char* data_ = nullptr;
  std::size_t data_size_ = 0;
  std::set<std::string> used_, read_;  ///< tensors; keys of the metadata
};

}  // namespace

std::shared_ptr<const Model> read_packed_model(const std::string& path) {
  return Reader(path).model();
}

}  // namespace outlierlab::engine
