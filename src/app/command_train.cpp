#include <dlfcn.h>

#include <filesystem>

#include "app/commands.h"
#include "core/error.h"

namespace outlierlab {

// Training is a module that is loaded when it is asked for: libtorch alone takes longer to load than most
// commands take to run.
int command_train(const std::vector<std::string>& arguments) {
#if defined(OUTLIERLAB_TRAINING)
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  std::filesystem::path module;
  for (const char* place : {".", "../lib/outlierlab"}) {
    module = program.parent_path() / place / "outlierlab_train.so";
    if (std::filesystem::exists(module)) break;
  }
  void* handle = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail_expected("train", "the module outlierlab_train.so that can be loaded", dlerror());
  const auto run =
      reinterpret_cast<int (*)(const std::vector<std::string>*)>(dlsym(handle, "outlierlab_train"));
  if (!run) fail_expected(module.string(), "a function outlierlab_train", "none");
  return run(&arguments);
#else
  (void)arguments;
  fail_expected("train", "a program built with training (OUTLIERLAB_TRAINING=ON, needs libtorch)",
                "one built without");
#endif
}

}  // namespace outlierlab
