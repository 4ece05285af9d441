#include "model/safetensors.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/parallel.h"
#include "model/half.h"

namespace outlierlab {

namespace {

using Json = nlohmann::json;

constexpr std::uint64_t header_limit = 100'000'000;  // the format's own limit
constexpr std::size_t alignment = 64;

const std::map<std::string, std::size_t>& dtype_sizes() {
  static const std::map<std::string, std::size_t> sizes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2}, {"I16", 2}, {"F16", 2},
      {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8}};
  return sizes;
}

std::string tensor_place(const std::string& file, const std::string& name) {
  return file + ": tensor '" + name + "'";
}

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

bool multiply(std::size_t a, std::size_t b, std::size_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

std::size_t whole_number(const Json& value, const std::string& place, const std::string& what) {
  const bool fits =
      value.is_number_unsigned() && value.get<std::uint64_t>() <= std::numeric_limits<std::size_t>::max();
  if (!fits) fail_expected(place, what + " as a whole number", shown(value));
  return value.get<std::size_t>();
}

/// The header as JSON. The standard leaves repeated keys open; here they are errors, since either reading
/// loses a tensor.
Json parse_header(const char* begin, const char* end, const std::string& file) {
  std::set<std::string> names;
  std::string repeated;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key && !names.insert(parsed.get<std::string>()).second) {
      repeated = parsed.get<std::string>();
    }
    return true;
  };
  Json header;
  try {
    header = Json::parse(begin, end, watch);
  } catch (const Json::exception& error) {
    std::string reason = error.what();
    if (reason.size() > 160) reason = reason.substr(0, 157) + "...";
    fail_expected(file + ": header", "JSON", reason);
  }
  if (!header.is_object()) fail_expected(file + ": header", "a JSON object", shown(header));
  if (!repeated.empty()) fail_expected(file + ": header", "each name once", "'" + repeated + "' again");
  return header;
}

struct DataSection {
  const std::byte* begin;
  std::size_t size;
};

TensorEntry read_entry(const std::string& name, const Json& json, const DataSection& data,
                       const std::string& file) {
  const std::string place = tensor_place(file, name);
  if (!json.is_object()) fail_expected(place, "an object", shown(json));
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!json.contains(key)) fail_expected(place, std::string("a key '") + key + "'", shown(json));
  }
  const Json& dtype = json["dtype"];
  if (!dtype.is_string() || dtype_sizes().count(dtype.get<std::string>()) == 0) {
    std::string known;
    for (const auto& [known_name, size] : dtype_sizes()) known += (known.empty() ? "" : ", ") + known_name;
    fail_expected(place, "a dtype of " + known, shown(dtype));
  }
  TensorEntry entry;
  entry.name = name;
  entry.dtype = dtype.get<std::string>();
  entry.file = file;

  const Json& shape = json["shape"];
  if (!shape.is_array()) fail_expected(place, "a shape as an array", shown(shape));
  std::size_t bytes = dtype_sizes().at(entry.dtype);
  for (const Json& extent : shape) {
    entry.shape.push_back(whole_number(extent, place, "each extent of the shape"));
    if (!multiply(bytes, entry.shape.back(), bytes)) {
      fail_expected(place, "a shape whose size can be represented", shown(shape));
    }
  }

  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) {
    fail_expected(place, "data_offsets as [begin, end]", shown(offsets));
  }
  const std::size_t begin = whole_number(offsets[0], place, "data_offsets");
  const std::size_t end = whole_number(offsets[1], place, "data_offsets");
  if (begin > end) fail_expected(place, "data_offsets with begin <= end", shown(offsets));
  if (end > data.size) {
    fail_expected(place, "data_offsets within the " + std::to_string(data.size) + " bytes of data",
                  shown(offsets));
  }
  if (end - begin != bytes) {
    fail_expected(place, std::to_string(bytes) + " bytes for shape " + shown(shape) + " of " + entry.dtype,
                  std::to_string(end - begin));
  }
  entry.data = data.begin + begin;
  entry.bytes = bytes;
  return entry;
}

/// The tensors tile the data section: no overlap, no hole, nothing left over.
void check_layout(const std::map<std::string, TensorEntry>& tensors, const DataSection& data,
                  const std::string& file) {
  std::vector<const TensorEntry*> order;
  for (const auto& [name, entry] : tensors) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return std::pair(a->data, a->bytes) < std::pair(b->data, b->bytes);
  });
  std::size_t covered = 0;
  for (const TensorEntry* entry : order) {
    const auto begin = static_cast<std::size_t>(entry->data - data.begin);
    if (begin != covered) {
      fail_expected(tensor_place(file, entry->name), "data at offset " + std::to_string(covered),
                    "offset " + std::to_string(begin) + (begin < covered ? " (an overlap)" : " (a hole)"));
    }
    covered = begin + entry->bytes;
  }
  if (covered != data.size) {
    fail_expected(file, std::to_string(covered) + " bytes of data", std::to_string(data.size));
  }
}

std::map<std::string, std::string> read_metadata(const Json& json, const std::string& file) {
  const std::string place = file + ": __metadata__";
  if (!json.is_object()) fail_expected(place, "an object of strings", shown(json));
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) fail_expected(place + ": '" + key + "'", "a string", shown(value));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// out[i] = convert(bits of element i); the data need not be aligned.
template <typename Bits, typename Convert>
void convert(const std::byte* data, std::size_t begin, std::size_t end, float* out, Convert convert_one) {
  for (std::size_t i = begin; i < end; ++i) {
    Bits bits;
    std::memcpy(&bits, data + i * sizeof(Bits), sizeof(Bits));
    out[i] = convert_one(bits);
  }
}

}  // namespace

std::size_t TensorEntry::count() const {
  std::size_t product = 1;
  for (const std::size_t extent : shape) product *= extent;
  return product;
}

void TensorEntry::to_float(float* out) const {
  const bool known = dtype == "F32" || dtype == "F16" || dtype == "BF16";
  if (!known) fail_expected(tensor_place(file, name), "a dtype of F32, F16 or BF16", dtype);
  parallel_chunks(count(), 1 << 18, [&](std::size_t begin, std::size_t end, int) {
    if (dtype == "F32") {
      std::memcpy(out + begin, data + begin * sizeof(float), (end - begin) * sizeof(float));
    } else if (dtype == "F16") {
      convert<std::uint16_t>(data, begin, end, out, f16_to_float);
    } else {
      convert<std::uint16_t>(data, begin, end, out, bf16_to_float);
    }
  });
}

std::vector<float> TensorEntry::to_float() const {
  std::vector<float> values(count());
  to_float(values.data());
  return values;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string name = path.string();
  if (file_.size() < 8) {
    fail_expected(name, "a safetensors file (8 bytes of header length first)",
                  std::to_string(file_.size()) + " bytes in all");
  }
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<std::uint64_t>(file_.data()[i]);
  if (length > header_limit || length > file_.size() - 8) {
    fail_expected(
        name + ": header length",
        "at most " + std::to_string(std::min<std::uint64_t>(header_limit, file_.size() - 8)) + " bytes",
        std::to_string(length));
  }
  const char* text = reinterpret_cast<const char*>(file_.data() + 8);
  const Json header = parse_header(text, text + length, name);
  const DataSection data{file_.data() + 8 + length, file_.size() - 8 - static_cast<std::size_t>(length)};
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      metadata_ = read_metadata(value, name);
    } else {
      tensors_.emplace(key, read_entry(key, value, data, name));
    }
  }
  check_layout(tensors_, data, name);
}

const TensorEntry& SafetensorsFile::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [key, entry] : tensors_) names.push_back(key);
  const std::string near = nearest(name, names);
  fail_expected(file_.path().string(), "a tensor '" + name + "'",
                near.empty() ? "none of that name" : "none; the nearest name is '" + near + "'");
}

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorData>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t offset = 0;
  for (const TensorData& tensor : tensors) {
    const auto size = dtype_sizes().find(tensor.dtype);
    if (size == dtype_sizes().end())
      throw Error("tensor '" + tensor.name + "': unknown dtype '" + tensor.dtype + "'");
    std::size_t bytes = size->second;
    for (const std::size_t extent : tensor.shape) bytes *= extent;
    const std::string place = tensor_place(path.string(), tensor.name);
    if (bytes != tensor.bytes.size()) {
      fail_expected(place, std::to_string(bytes) + " bytes", std::to_string(tensor.bytes.size()));
    }
    if (header.contains(tensor.name)) fail_expected(place, "each name once", "it again");
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 8 + alignment - 1) / alignment * alignment - 8, ' ');
  std::string length(8, '\0');
  for (int i = 0; i < 8; ++i) length[static_cast<std::size_t>(i)] = static_cast<char>(text.size() >> (8 * i));

  write_atomically(path, [&](const std::filesystem::path& temporary) {
    std::ofstream out(temporary, std::ios::binary);
    const auto put = [&](const std::string& bytes) {
      out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    };
    put(length);
    put(text);
    for (const TensorData& tensor : tensors) put(tensor.bytes);
    out.close();
    if (!out) fail_expected(path.string(), "a writable file", std::strerror(errno));
  });
}

}  // namespace outlierlab
