#include "lower/packed_model.h"

#include <fmt/format.h>

#include "engine/model_parts.h"
#include "engine/packed_file.h"
#include "model/safetensors.h"

namespace outlierlab {

namespace {

using engine::FormatKind;

template <typename Values>
std::string bytes_of(const Values& values) {
  const auto* data = values.data();
  return {reinterpret_cast<const char*>(data), values.size() * sizeof(*data)};
}

struct Writer {
  std::vector<TensorData> tensors;
  std::map<std::string, std::string> metadata;

  template <typename Values>
  void add(const std::string& name, const char* dtype, std::vector<std::size_t> shape, const Values& values) {
    tensors.push_back({name, dtype, std::move(shape), bytes_of(values)});
  }
  // The visitor of visit_parts.
  void weight(const std::string& name, const engine::Weight& part, std::size_t rows, std::size_t cols) {
    if (!part.is_integer()) return add(name, "F32", {rows, cols}, part.values);
    add(name, "I8", {rows, cols}, part.codes);
    add(name + ".scale", "F32", {part.scales.size()}, part.scales);
    metadata["bits." + name] = std::to_string(part.bits);
  }
  void vector(const std::string& name, const engine::Array<float>& part, std::size_t size) {
    add(name, "F32", {size}, part);
  }
  void site(const std::string& name, const engine::SiteFormat& part, std::size_t) {
    std::string& text = metadata["site." + name];
    if (part.kind == FormatKind::real) {
      text = "real";
      return;
    }
    text = part.kind == FormatKind::tensor    ? "tensor "
           : part.kind == FormatKind::columns ? "columns "
                                              : "rows ";
    text += std::to_string(part.bits) + (part.symmetric ? " symmetric" : " affine");
    if (part.keeps_outliers()) text += " outliers " + fmt::format("{}", part.outlier_threshold);
    if (part.scale.empty()) return;
    add("sites." + name + ".scale", "F32", {part.scale.size()}, part.scale);
    add("sites." + name + ".zero", "I32", {part.zero.size()}, part.zero);
  }
};

}  // namespace

std::size_t write_packed_model(const std::filesystem::path& path, const engine::Model& model) {
  model.check();
  Writer writer;
  writer.metadata["format"] = engine::packed_format;
  writer.metadata["version"] = engine::packed_version;
  engine::visit_sizes(model.shape, [&](const char* name, std::size_t size) {
    writer.metadata["shape." + std::string(name)] = std::to_string(size);
  });
  writer.add("epsilon", "F32", {1}, std::vector<float>{model.shape.epsilon});
  for (const auto& [key, value] : model.facts) writer.metadata["fact." + key] = value;
  engine::visit_parts(model, writer);
  write_safetensors(path, writer.tensors, writer.metadata);
  return std::filesystem::file_size(path);
}

}  // namespace outlierlab
