#include "app/subprocess.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

extern char** environ;

namespace outlierlab {

namespace {

std::string read_all(int pipe, const std::function<void(const std::string&)>& wrote) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::read(pipe, buffer, sizeof buffer);
    if (count > 0) {
      text.append(buffer, static_cast<std::size_t>(count));
      if (wrote) wrote(text);
    }
    if (count == 0 || (count < 0 && errno != EINTR)) return text;
  }
}

}  // namespace

std::string run_self(const std::vector<std::string>& arguments,
                     const std::function<void(const std::string&)>& wrote) {
  // The file itself, even where another build has taken its name meanwhile.
  const char* const program = "/proc/self/exe";
  std::vector<std::string> words = arguments;
  words.insert(words.begin(), "outlierlab");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const std::string place = "outlierlab " + (arguments.empty() ? std::string() : arguments[0]);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_expected(place, "a pipe to its output", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int started = ::posix_spawn(&child, program, &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  const std::string text = started == 0 ? read_all(ends[0], wrote) : "";
  ::close(ends[0]);
  if (started != 0) fail_expected(place, "a process of its own", std::strerror(started));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fail_expected(place, "exit code 0",
                  WIFEXITED(status) ? std::to_string(WEXITSTATUS(status))
                                    : "signal " + std::to_string(WTERMSIG(status)));
  }
  return text;
}

}  // namespace outlierlab
