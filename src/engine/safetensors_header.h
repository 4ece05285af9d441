#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace outlierlab::engine {

/// A tensor as a safetensors header describes it.
struct HeaderTensor {
  std::string dtype;
  std::vector<std::size_t> shape;
  std::size_t begin = 0, end = 0;  ///< bytes after the header
};

struct SafetensorsHeader {
  std::map<std::string, HeaderTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads the JSON of a safetensors header: an object of tensors, with "__metadata__" an object of strings.
/// The engine builds where no JSON library is, and this is all the JSON that it needs. Anything else is an
/// Error that starts with `place` and names the byte.
SafetensorsHeader parse_safetensors_header(const std::string& place, const char* begin, std::size_t size);

}  // namespace outlierlab::engine
