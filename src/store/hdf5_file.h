#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace outlierlab {

/// What HDF5 calls a native type, for the element types that the stores use.
template <typename T>
hid_t hdf5_type();

/// A member of a compound element.
struct Hdf5Field {
  const char* name;
  std::size_t offset;
  hid_t type;
};

/// An open HDF5 file. Every failure of the library becomes an Error that names the file and the HDF5 path;
/// HDF5 itself prints nothing while such an object lives. Paths are absolute within the file. Objects must
/// not be used from several threads at once (the library's serial builds do not lock).
class Hdf5File {
 public:
  /// `shown_name` is what errors call the file (when it is written under a temporary name).
  static Hdf5File create(const std::filesystem::path& path, const std::filesystem::path& shown_name);
  /// Throws Error if the file cannot be read, is not HDF5, or is truncated.
  static Hdf5File open(const std::filesystem::path& path);
  ~Hdf5File();
  Hdf5File(Hdf5File&& other) noexcept;
  Hdf5File& operator=(Hdf5File&&) = delete;

  /// Closes and reports what could not be written. The destructor closes silently.
  void close();

  void create_group(const std::string& group);
  std::vector<std::string> attribute_names(const std::string& object) const;
  void write_attribute(const std::string& object, const std::string& name, const std::string& text);
  void write_attribute(const std::string& object, const std::string& name, std::uint64_t value);
  std::string read_text_attribute(const std::string& object, const std::string& name) const;
  std::uint64_t read_number_attribute(const std::string& object, const std::string& name) const;

  /// A dataset of numbers, with checksums; large ones are deflated. `values` holds the product of `shape`.
  template <typename T>
  void write(const std::string& dataset, const std::vector<std::size_t>& shape, const T* values) {
    write_raw(dataset, shape, values, hdf5_type<T>(), sizeof(T));
  }
  void write_texts(const std::string& dataset, const std::vector<std::string>& texts);
  /// A list of structures, or (with `scalar`) a single one.
  void write_compound(const std::string& dataset, std::size_t count, std::size_t element_size,
                      const std::vector<Hdf5Field>& fields, const void* values, bool scalar = false);

  /// The dataset's shape; Error if there is none of that name.
  std::vector<std::size_t> shape(const std::string& dataset) const;
  /// Reads a dataset of exactly this shape and of this type (on disk: the same class and width).
  template <typename T>
  std::vector<T> read(const std::string& dataset, const std::vector<std::size_t>& expected_shape) const {
    std::vector<T> values(checked_count(dataset, expected_shape));
    read_raw(dataset, values.data(), hdf5_type<T>());
    return values;
  }
  std::vector<std::string> read_texts(const std::string& dataset, std::size_t most) const;
  void read_compound(const std::string& dataset, std::size_t count, std::size_t element_size,
                     const std::vector<Hdf5Field>& fields, void* values, bool scalar = false) const;

  /// "FILE: PATH"
  std::string place(const std::string& object) const { return name_ + ": " + object; }

 private:
  Hdf5File(std::string name);
  void write_raw(const std::string& dataset, const std::vector<std::size_t>& shape, const void* values,
                 hid_t type, std::size_t element_size);
  std::size_t checked_count(const std::string& dataset, const std::vector<std::size_t>& expected) const;
  void read_raw(const std::string& dataset, void* values, hid_t type) const;
  hid_t check(hid_t status, const std::string& object, const char* expected) const;

  std::string name_;
  hid_t file_ = H5I_INVALID_HID;
  H5E_auto2_t printer_ = nullptr;
  void* printer_data_ = nullptr;
  bool silenced_ = false;
};

template <>
inline hid_t hdf5_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
inline hid_t hdf5_type<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
inline hid_t hdf5_type<std::uint32_t>() {
  return H5T_NATIVE_UINT32;
}
template <>
inline hid_t hdf5_type<std::uint64_t>() {
  return H5T_NATIVE_UINT64;
}

}  // namespace outlierlab
