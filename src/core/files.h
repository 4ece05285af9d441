#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

namespace outlierlab {

/// The whole file as bytes. Throws Error naming the file if it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Writes through a temporary file in the same folder, flushed to disk, then renamed over `path`: a reader
/// sees the old file or the new one, never a part. Creates the folder. Throws Error naming the path, and
/// leaves alone what is there and no file (a device, a pipe).
void write_file_atomically(const std::filesystem::path& path, const std::string& contents);
/// Throws what write_file_atomically() would, as far as that can be told before long work whose result is to
/// be written there. Creates the folder.
void require_writable(const std::filesystem::path& path);

/// As above for writers that need a path (HDF5, safetensors): `write(temporary_path)` fills the temporary
/// file.
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(const std::filesystem::path& temporary)>& write);

/// Renames a file that is there to `<path>.previous`, over an older one. Throws Error naming the path.
void set_aside(const std::filesystem::path& path);

/// Lower-case hexadecimal SHA-256 of a file's contents or of a string.
std::string sha256_file(const std::filesystem::path& path);
std::string sha256(const std::string& bytes);

/// A read-only memory map of a whole file. Movable, not copyable.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace outlierlab
