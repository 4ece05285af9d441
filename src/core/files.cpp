#include "core/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/error.h"

namespace outlierlab {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) fail_expected(path.string(), "a file", "a folder");
  std::ifstream in(path, std::ios::binary);
  if (!in) fail_expected(path.string(), "a readable file", std::strerror(errno));
  std::ostringstream bytes;
  bytes << in.rdbuf();
  if (in.bad()) fail_expected(path.string(), "a readable file", "a read error");
  return std::move(bytes).str();
}

/// Removes the temporary files of `path` that killed processes left behind.
static void remove_orphans(const fs::path& path) {
  const std::string prefix = path.filename().string() + ".tmp";
  std::error_code ignored;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(path.has_parent_path() ? path.parent_path() : ".", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string owner = name.substr(prefix.size());
    const bool is_pid =
        !owner.empty() && owner.size() < 10 && owner.find_first_not_of("0123456789") == std::string::npos;
    if (is_pid && ::kill(std::stoi(owner), 0) != 0 && errno == ESRCH) fs::remove(entry.path(), ignored);
  }
}

/// The file that becomes `path` when it is whole, for which its folder is there.
fs::path temporary_of(const fs::path& path) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (error) fail_expected(path.parent_path().string(), "a folder that can be created", error.message());
  // A rename would put a file in the place of a device or a pipe.
  if (const fs::file_status there = fs::status(path, error); fs::exists(there) && fs::is_other(there))
    fail_expected(path.string(), "a regular file, or none yet", "a device or pipe");
  remove_orphans(path);
  return path.string() + ".tmp" + std::to_string(::getpid());
}

void write_contents(const fs::path& path, const fs::path& temporary, const std::string& contents) {
  std::ofstream out(temporary, std::ios::binary);
  out.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  out.close();
  if (!out) fail_expected(path.string(), "a writable file", std::strerror(errno));
}

void write_atomically(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  std::error_code error;
  const fs::path temporary = temporary_of(path);
  try {
    write(temporary);
    const int fd = ::open(temporary.c_str(), O_RDONLY);
    if (fd < 0) fail_expected(path.string(), "a writable file", std::strerror(errno));
    const int synced = ::fsync(fd);
    ::close(fd);
    if (synced != 0) fail_expected(path.string(), "a file that can be flushed", std::strerror(errno));
    fs::rename(temporary, path, error);
    if (error) fail_expected(path.string(), "a writable file", error.message());
  } catch (...) {
    fs::remove(temporary, error);
    throw;
  }
}

void write_file_atomically(const fs::path& path, const std::string& contents) {
  write_atomically(path, [&](const fs::path& temporary) { write_contents(path, temporary, contents); });
}

void require_writable(const fs::path& path) {
  if (fs::is_directory(path)) fail_expected(path.string(), "a writable file", "a folder");
  const fs::path temporary = temporary_of(path);
  write_contents(path, temporary, "");
  fs::remove(temporary);
}

void set_aside(const fs::path& path) {
  if (!fs::exists(path)) return;
  std::error_code error;
  fs::rename(path, path.string() + ".previous", error);
  if (error) fail_expected(path.string(), "a file that can be renamed", error.message());
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  // A pipe would wait for its other end.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_expected(path.string(), "a readable file", std::strerror(errno));
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    fail_expected(path.string(), "a regular file", "something else");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
      const int code = errno;
      ::close(fd);
      fail_expected(path.string(), "a file that can be mapped", std::strerror(code));
    }
    data_ = static_cast<const std::byte*>(mapped);
  }
  ::close(fd);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(other.data_), size_(other.size_) {
  other.data_ = nullptr;
  other.size_ = 0;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace outlierlab
