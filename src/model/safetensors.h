#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/files.h"

namespace outlierlab {

/// A tensor in a safetensors file: where its bytes lie.
struct TensorEntry {
  std::string name;
  std::string dtype;  ///< as in the file: F32, F16, BF16, I8, U8, I64, ...
  std::vector<std::size_t> shape;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
  std::string file;

  std::size_t count() const;
  /// Converts F32, F16 or BF16 to float. Another dtype is an Error naming file and tensor.
  std::vector<float> to_float() const;
  /// As above into out[count()].
  void to_float(float* out) const;
};

/// A read-only, memory-mapped safetensors file (format: 8-byte little-endian header length, JSON header,
/// data). Everything is validated on opening: the header's length and JSON, each dtype, shape x dtype size =
/// bytes, offsets inside the file, no overlap, no gap. Each violation is an Error that names file and tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorEntry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// The tensor, or an Error naming file and tensor.
  const TensorEntry& at(const std::string& name) const;

 private:
  MappedFile file_;
  std::map<std::string, TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to be written.
struct TensorData {
  std::string name, dtype;
  std::vector<std::size_t> shape;
  std::string bytes;
};

/// Writes atomically; tensors in the order given, data aligned to 64 bytes.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorData>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace outlierlab
