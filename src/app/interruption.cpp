#include "app/interruption.h"

#include <unistd.h>

#include <csignal>

namespace outlierlab {

namespace {

constexpr int signals[] = {SIGINT, SIGTERM};

std::string& line() {
  static std::string text;
  return text;
}

// Nothing but what a signal handler may call.
void say_and_end(int signal) {
  const std::string& text = line();
  const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(written);
  ::raise(signal);  // SA_RESETHAND: ends the program as the signal does by itself, once this returns
}

}  // namespace

InterruptionNotice::InterruptionNotice(const std::string& text) {
  line() = "\noutlierlab: interrupted: " + text + "\n";
  struct sigaction action = {};
  action.sa_handler = say_and_end;
  action.sa_flags = SA_RESETHAND;
  for (const int signal : signals) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);  // nohup's stays
  }
}

InterruptionNotice::~InterruptionNotice() {
  for (const int signal : signals) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler == say_and_end) std::signal(signal, SIG_DFL);
  }
}

}  // namespace outlierlab
