#include "store/hdf5_file.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "core/error.h"

namespace outlierlab {

namespace {

/// Owns an HDF5 identifier.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// The innermost message of the library's error stack: what went wrong rather than which call noticed.
std::string innermost_message() {
  std::string message;
  const auto keep_first = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
    auto& text = *static_cast<std::string*>(out);
    if (text.empty() && error->desc) text = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &message);
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  return message.empty() ? "an HDF5 error" : "an HDF5 error (" + message + ")";
}

std::string to_text(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string to_text(H5T_class_t type, std::size_t size) {
  const std::string bits = std::to_string(8 * size) + "-bit ";
  switch (type) {
    case H5T_INTEGER:
      return bits + "integers";
    case H5T_FLOAT:
      return bits + "floats";
    case H5T_STRING:
      return "strings";
    case H5T_COMPOUND:
      return "structures";
    default:
      return "another type";
  }
}

std::vector<hsize_t> to_dimensions(const std::vector<std::size_t>& shape) {
  return {shape.begin(), shape.end()};
}

/// Chunks of about 64 KiB, cut along the first dimension.
std::vector<hsize_t> chunk_of(const std::vector<std::size_t>& shape, std::size_t element_size) {
  std::vector<hsize_t> chunk = to_dimensions(shape);
  std::size_t row = element_size;
  for (std::size_t i = 1; i < shape.size(); ++i) row *= shape[i];
  chunk[0] = std::clamp<hsize_t>(65536 / row, 1, shape[0]);
  return chunk;
}

constexpr std::size_t deflate_from_bytes = 4096;

/// UTF-8 of a fixed length, padded with NUL. (Strings of variable length lie in a heap without checksums,
/// whose damage some versions of the library do not survive.)
hid_t text_type(std::size_t length) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, std::max<std::size_t>(length, 1));
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

bool is_fixed_text(hid_t type) {
  return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
}

std::string without_padding(const char* text, std::size_t length) {
  return std::string(text, std::find(text, text + length, '\0'));
}

}  // namespace

Hdf5File::Hdf5File(std::string name) : name_(std::move(name)) {
  // A damaged chunk leaves the library with memory that its clean-up at exit would complain about. Everything
  // is closed explicitly, so nothing is lost without it.
  static const herr_t no_clean_up = H5dont_atexit();
  static_cast<void>(no_clean_up);
  H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  silenced_ = true;
}

Hdf5File::Hdf5File(Hdf5File&& other) noexcept
    : name_(std::move(other.name_)),
      file_(std::exchange(other.file_, H5I_INVALID_HID)),
      printer_(other.printer_),
      printer_data_(other.printer_data_),
      silenced_(std::exchange(other.silenced_, false)) {}

Hdf5File::~Hdf5File() {
  if (file_ >= 0) H5Fclose(file_);
  if (silenced_) H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_);
}

/// The one place where a status of the library becomes an Error.
hid_t Hdf5File::check(hid_t status, const std::string& object, const char* expected) const {
  if (status < 0) fail_expected(place(object), expected, innermost_message());
  return status;
}

Hdf5File Hdf5File::create(const std::filesystem::path& path, const std::filesystem::path& shown_name) {
  Hdf5File file(shown_name.string());
  // The format of HDF5 1.8 carries checksums in its metadata, so that damage is noticed before it is
  // followed.
  const Handle access(file.check(H5Pcreate(H5P_FILE_ACCESS), "/", "file access settings"), H5Pclose);
  file.check(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "/", "the format of HDF5 1.8");
  file.file_ =
      file.check(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), "/", "a writable file");
  return file;
}

Hdf5File Hdf5File::open(const std::filesystem::path& path) {
  constexpr std::array<char, 8> signature = {'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
  std::array<char, 8> start{};
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path)) fail_expected(path.string(), "a readable file", "none");
  in.read(start.data(), start.size());
  if (start != signature) fail_expected(path.string(), "an HDF5 file", "a file of another kind");

  Hdf5File file(path.string());
  file.file_ = file.check(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), "/", "a complete HDF5 file");
  return file;
}

void Hdf5File::close() {
  check(H5Fclose(std::exchange(file_, H5I_INVALID_HID)), "/", "a file that can be closed");
}

void Hdf5File::create_group(const std::string& group) {
  const Handle created(
      check(H5Gcreate2(file_, group.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), group, "a new group"),
      H5Gclose);
}

std::vector<std::string> Hdf5File::attribute_names(const std::string& object) const {
  const Handle opened(check(H5Oopen(file_, object.c_str(), H5P_DEFAULT), object, "a group or dataset"),
                      H5Oclose);
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->push_back(name);
    return 0;
  };
  check(H5Aiterate2(opened, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), object,
        "readable attributes");
  return names;
}

static std::string attribute_place(const std::string& object, const std::string& name) {
  return object + "@" + name;
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, const std::string& text) {
  const std::string where = attribute_place(object, name);
  const Handle type(check(text_type(text.size()), where, "a string type"), H5Tclose);
  const Handle space(check(H5Screate(H5S_SCALAR), where, "a scalar"), H5Sclose);
  const Handle attribute(check(H5Acreate_by_name(file_, object.c_str(), name.c_str(), type, space,
                                                 H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                               where, "a new attribute"),
                         H5Aclose);
  check(H5Awrite(attribute, type, text.c_str()), where, "a writable attribute");
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, std::uint64_t value) {
  const std::string where = attribute_place(object, name);
  const Handle space(check(H5Screate(H5S_SCALAR), where, "a scalar"), H5Sclose);
  const Handle attribute(check(H5Acreate_by_name(file_, object.c_str(), name.c_str(), H5T_STD_U64LE, space,
                                                 H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                               where, "a new attribute"),
                         H5Aclose);
  check(H5Awrite(attribute, H5T_NATIVE_UINT64, &value), where, "a writable attribute");
}

std::string Hdf5File::read_text_attribute(const std::string& object, const std::string& name) const {
  const std::string where = attribute_place(object, name);
  const Handle attribute(check(H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                               where, "an attribute"),
                         H5Aclose);
  const Handle type(check(H5Aget_type(attribute), where, "a type"), H5Tclose);
  const Handle space(check(H5Aget_space(attribute), where, "a shape"), H5Sclose);
  if (!is_fixed_text(type) || H5Sget_simple_extent_type(space) != H5S_SCALAR) {
    fail_expected(place(where), "one string of fixed length", to_text(H5Tget_class(type), H5Tget_size(type)));
  }
  std::vector<char> text(H5Tget_size(type));
  check(H5Aread(attribute, type, text.data()), where, "a readable attribute");
  return without_padding(text.data(), text.size());
}

std::uint64_t Hdf5File::read_number_attribute(const std::string& object, const std::string& name) const {
  const std::string where = attribute_place(object, name);
  const Handle attribute(check(H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                               where, "an attribute"),
                         H5Aclose);
  const Handle type(check(H5Aget_type(attribute), where, "a type"), H5Tclose);
  const Handle space(check(H5Aget_space(attribute), where, "a shape"), H5Sclose);
  if (H5Tget_class(type) != H5T_INTEGER || H5Sget_simple_extent_npoints(space) != 1) {
    fail_expected(place(where), "one integer", to_text(H5Tget_class(type), H5Tget_size(type)));
  }
  std::uint64_t value = 0;
  check(H5Aread(attribute, H5T_NATIVE_UINT64, &value), where, "a readable attribute");
  return value;
}

void Hdf5File::write_raw(const std::string& dataset, const std::vector<std::size_t>& shape,
                         const void* values, hid_t type, std::size_t element_size) {
  const std::vector<hsize_t> dimensions = to_dimensions(shape);
  const Handle space(
      check(H5Screate_simple(static_cast<int>(shape.size()), dimensions.data(), nullptr), dataset, "a shape"),
      H5Sclose);
  const Handle layout(check(H5Pcreate(H5P_DATASET_CREATE), dataset, "a layout"), H5Pclose);
  std::size_t count = 1;
  for (const std::size_t extent : shape) count *= extent;
  if (!shape.empty() && count > 0) {
    const std::vector<hsize_t> chunk = chunk_of(shape, element_size);
    check(H5Pset_chunk(layout, static_cast<int>(chunk.size()), chunk.data()), dataset, "a chunked layout");
    if (count * element_size >= deflate_from_bytes) {
      check(H5Pset_shuffle(layout), dataset, "the shuffle filter");
      check(H5Pset_deflate(layout, 4), dataset, "the deflate filter");
    }
    check(H5Pset_fletcher32(layout), dataset, "the checksum filter");
  }
  const Handle created(
      check(H5Dcreate2(file_, dataset.c_str(), type, space, H5P_DEFAULT, layout, H5P_DEFAULT), dataset,
            "a new dataset"),
      H5Dclose);
  if (count > 0)
    check(H5Dwrite(created, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), dataset, "room to write");
}

std::vector<std::size_t> Hdf5File::shape(const std::string& dataset) const {
  const Handle opened(check(H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT), dataset, "a dataset"), H5Dclose);
  const Handle space(check(H5Dget_space(opened), dataset, "a shape"), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> dimensions(static_cast<std::size_t>(std::max(rank, 0)));
  check(H5Sget_simple_extent_dims(space, dimensions.data(), nullptr), dataset, "a shape");
  return {dimensions.begin(), dimensions.end()};
}

std::size_t Hdf5File::checked_count(const std::string& dataset,
                                    const std::vector<std::size_t>& expected) const {
  const std::vector<std::size_t> found = shape(dataset);
  if (found != expected) fail_expected(place(dataset), "shape " + to_text(expected), to_text(found));
  std::size_t count = 1;
  for (const std::size_t extent : expected) count *= extent;
  return count;
}

void Hdf5File::read_raw(const std::string& dataset, void* values, hid_t type) const {
  const Handle opened(check(H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT), dataset, "a dataset"), H5Dclose);
  const Handle stored(check(H5Dget_type(opened), dataset, "a type"), H5Tclose);
  if (H5Tget_class(stored) != H5Tget_class(type) || H5Tget_size(stored) != H5Tget_size(type)) {
    fail_expected(place(dataset), to_text(H5Tget_class(type), H5Tget_size(type)),
                  to_text(H5Tget_class(stored), H5Tget_size(stored)));
  }
  check(H5Dread(opened, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), dataset, "readable values");
}

void Hdf5File::write_texts(const std::string& dataset, const std::vector<std::string>& texts) {
  std::size_t longest = 1;
  for (const std::string& text : texts) longest = std::max(longest, text.size());
  std::string padded;
  for (const std::string& text : texts) padded += text + std::string(longest - text.size(), '\0');
  const Handle type(check(text_type(longest), dataset, "a string type"), H5Tclose);
  write_raw(dataset, {texts.size()}, padded.data(), type, longest);
}

std::vector<std::string> Hdf5File::read_texts(const std::string& dataset, std::size_t most) const {
  const std::vector<std::size_t> extent = shape(dataset);
  const Handle opened(check(H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT), dataset, "a dataset"), H5Dclose);
  const Handle type(check(H5Dget_type(opened), dataset, "a type"), H5Tclose);
  const std::size_t length = H5Tget_size(type);
  constexpr std::size_t longest = 1024;
  if (extent.size() != 1 || extent[0] > most || !is_fixed_text(type) || length > longest) {
    fail_expected(place(dataset),
                  "a list of at most " + std::to_string(most) + " strings of fixed length, at most " +
                      std::to_string(longest),
                  to_text(H5Tget_class(type), length) + " in shape " + to_text(extent));
  }
  std::vector<char> padded(extent[0] * length);
  if (!padded.empty()) read_raw(dataset, padded.data(), type);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < extent[0]; ++i) texts.push_back(without_padding(&padded[i * length], length));
  return texts;
}

static hid_t compound_type(std::size_t element_size, const std::vector<Hdf5Field>& fields) {
  const hid_t type = H5Tcreate(H5T_COMPOUND, element_size);
  for (const Hdf5Field& field : fields) H5Tinsert(type, field.name, field.offset, field.type);
  return type;
}

void Hdf5File::write_compound(const std::string& dataset, std::size_t count, std::size_t element_size,
                              const std::vector<Hdf5Field>& fields, const void* values, bool scalar) {
  const Handle type(check(compound_type(element_size, fields), dataset, "a structure"), H5Tclose);
  write_raw(dataset, scalar ? std::vector<std::size_t>{} : std::vector<std::size_t>{count}, values, type,
            element_size);
}

void Hdf5File::read_compound(const std::string& dataset, std::size_t count, std::size_t element_size,
                             const std::vector<Hdf5Field>& fields, void* values, bool scalar) const {
  checked_count(dataset, scalar ? std::vector<std::size_t>{} : std::vector<std::size_t>{count});
  const Handle type(check(compound_type(element_size, fields), dataset, "a structure"), H5Tclose);
  const Handle opened(check(H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT), dataset, "a dataset"), H5Dclose);
  const Handle stored(check(H5Dget_type(opened), dataset, "a type"), H5Tclose);
  for (const Hdf5Field& field : fields) {
    const int member = H5Tget_class(stored) == H5T_COMPOUND ? H5Tget_member_index(stored, field.name) : -1;
    if (member < 0) fail_expected(place(dataset), std::string("a field ") + field.name, "none");
    const Handle member_type(H5Tget_member_type(stored, static_cast<unsigned>(member)), H5Tclose);
    if (H5Tget_class(member_type) != H5Tget_class(field.type) ||
        H5Tget_size(member_type) != H5Tget_size(field.type)) {
      fail_expected(place(dataset),
                    field.name + (" of " + to_text(H5Tget_class(field.type), H5Tget_size(field.type))),
                    to_text(H5Tget_class(member_type), H5Tget_size(member_type)));
    }
  }
  if (count == 0) return;
  check(H5Dread(opened, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), dataset, "readable values");
}

}  // namespace outlierlab
