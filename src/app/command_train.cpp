#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/commands.h"
#include "core/error.h"

namespace outlierlab {

namespace fs = std::filesystem;

// Training is a program of its own, which takes this process over: only it is linked to libtorch, whose
// loading alone takes longer than most commands run.
int command_train(const std::vector<std::string>& arguments) {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path() / "outlierlab-train";
  if (!fs::exists(program)) {
    fail_expected("train", "the program outlierlab-train beside this one (built with OUTLIERLAB_TRAINING=ON)",
                  "none");
  }
  std::vector<std::string> words = arguments;
  words.insert(words.begin(), program.string());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  fail_expected(program.string(), "a program that can be run", std::strerror(errno));
}

}  // namespace outlierlab
