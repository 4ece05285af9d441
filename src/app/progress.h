#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>

namespace outlierlab {

/// "baseline: 120/512 (23 %), 41.2/s, 9 s left": what a progress line says after `seconds` of work.
std::string progress_line(const std::string& label, std::size_t done, std::size_t total, double seconds);

/// Shows on stderr how far a piece of work is: on a terminal as one line that is refreshed, elsewhere as
/// plain lines, at most one every ten seconds and one at the end. Nothing is ever written to stdout. May be
/// called from several threads.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  Progress(std::string label, std::size_t total);
  /// For tests: where lines go, whether that is a terminal, and what time it is.
  Progress(std::string label, std::size_t total, bool terminal, std::function<void(const std::string&)> write,
           std::function<Clock::time_point()> now);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::size_t count = 1);
  /// `done` in all; `what` is being worked on and stands at the line's end.
  void update(std::size_t done, const std::string& what = "");
  /// Shows the last line; nothing more is written afterwards. The destructor does so too, unless an exception
  /// is on its way: then a half-done line is only ended.
  void finish();

 private:
  void show_if_due();
  void show(bool last);

  std::string label_, what_;
  std::size_t total_, done_ = 0;
  bool terminal_, finished_ = false, shown_ = false;
  int exceptions_;
  std::function<void(const std::string&)> write_;
  std::function<Clock::time_point()> now_;
  Clock::time_point start_, last_;
  std::mutex mutex_;
};

}  // namespace outlierlab
