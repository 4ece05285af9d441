#include "core/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "catch.h"
#include "paths.h"

using namespace outlierlab;
namespace fs = std::filesystem;

TEST_CASE("SHA-256 of known inputs", "[files]") {
  REQUIRE(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  REQUIRE(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto folder = test::scratch("sha");
  write_file_atomically(folder / "f", "abc");
  REQUIRE(sha256_file(folder / "f") == sha256("abc"));
  write_file_atomically(folder / "empty", "");
  REQUIRE(sha256_file(folder / "empty") == sha256(""));
}

TEST_CASE("A failed write leaves the old file and no temporary one", "[files]") {
  const auto folder = test::scratch("atomic");
  write_file_atomically(folder / "sub" / "f", "old");
  REQUIRE_THROWS(write_atomically(folder / "sub" / "f", [](const fs::path& temporary) {
    std::ofstream(temporary) << "half";
    throw Error("interrupted");
  }));
  REQUIRE(read_file(folder / "sub" / "f") == "old");
  REQUIRE(std::distance(fs::directory_iterator(folder / "sub"), fs::directory_iterator()) == 1);
  write_file_atomically(folder / "sub" / "f", "new");
  REQUIRE(read_file(folder / "sub" / "f") == "new");
}

TEST_CASE("What killed processes left behind is removed, and nothing else", "[files]") {
  const auto folder = test::scratch("orphans");
  // Process ids end at 2^22, so that this one cannot be alive.
  std::ofstream(folder / "f.csv.tmp99999999") << "half";
  std::ofstream(folder / ("f.csv.tmp" + std::to_string(::getppid()))) << "of a living process";
  std::ofstream(folder / "f.csv.tmpx") << "not ours";
  write_file_atomically(folder / "f.csv", "whole");
  REQUIRE_FALSE(fs::exists(folder / "f.csv.tmp99999999"));
  REQUIRE(fs::exists(folder / ("f.csv.tmp" + std::to_string(::getppid()))));
  REQUIRE(fs::exists(folder / "f.csv.tmpx"));
}

TEST_CASE("Unreadable and unwritable paths are named", "[files]") {
  const auto folder = test::scratch("unwritable");
  REQUIRE_ERROR(read_file(folder / "missing"), "missing", "readable file");
  REQUIRE_ERROR(read_file(folder), "a file", "a folder");
  REQUIRE_ERROR(MappedFile(folder), "regular file");
  write_file_atomically(folder / "plain", "x");
  // A file stands where a folder would have to be: fails for root, too.
  REQUIRE_ERROR(write_file_atomically(folder / "plain" / "result.csv", "y"), "plain");
  REQUIRE_ERROR(write_file_atomically(folder, "y"), folder.filename().string());
  REQUIRE_ERROR(require_writable(folder / "plain" / "result.csv"), "plain");
  REQUIRE_ERROR(require_writable(folder), folder.filename().string(), "a folder");
  require_writable(folder / "plain");
  REQUIRE(read_file(folder / "plain") == "x");
  require_writable(folder / "new");
  REQUIRE_FALSE(fs::exists(folder / "new"));
  const fs::path pipe = folder / "pipe";
  fs::remove(pipe);
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  REQUIRE_ERROR(write_file_atomically(pipe, "y"), "pipe", "regular file");
  REQUIRE(fs::is_fifo(pipe));
  REQUIRE_ERROR(MappedFile(pipe), "pipe", "regular file");
}
