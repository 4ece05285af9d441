#pragma once

#include <string>

namespace outlierlab {

/// While it lives, SIGINT (Ctrl-C) and SIGTERM still end the program, and leave one line more on stderr: what
/// has been kept, and how to go on. One at a time.
class InterruptionNotice {
 public:
  explicit InterruptionNotice(const std::string& text);
  ~InterruptionNotice();
  InterruptionNotice(const InterruptionNotice&) = delete;
  InterruptionNotice& operator=(const InterruptionNotice&) = delete;
};

}  // namespace outlierlab
