#include "app/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace outlierlab {

namespace {
std::string duration(double seconds) {
  const long whole = static_cast<long>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole % 3600 / 60);
}

void write_to_stderr(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

double seconds_between(Progress::Clock::time_point a, Progress::Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}
}  // namespace

std::string progress_line(const std::string& label, std::size_t done, std::size_t total, double seconds) {
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1;
  std::string line = fmt::format("{}: {}/{} ({:.0f} %)", label, done, total, 100 * share);
  if (done == 0 || seconds <= 0) return line;
  const double rate = static_cast<double>(done) / seconds;
  line += fmt::format(", {:.3g}/s", rate);
  if (done >= total) return line + ", " + duration(seconds);
  return line + ", " + duration(static_cast<double>(total - done) / rate) + " left";
}

Progress::Progress(std::string label, std::size_t total)
    : Progress(std::move(label), total, ::isatty(STDERR_FILENO) == 1, write_to_stderr, Clock::now) {}

Progress::Progress(std::string label, std::size_t total, bool terminal,
                   std::function<void(const std::string&)> write, std::function<Clock::time_point()> now)
    : label_(std::move(label)),
      total_(total),
      terminal_(terminal),
      exceptions_(std::uncaught_exceptions()),
      write_(std::move(write)),
      now_(std::move(now)),
      start_(now_()),
      last_(start_) {}

Progress::~Progress() {
  if (std::uncaught_exceptions() == exceptions_) {
    finish();
  } else if (terminal_ && shown_ && !finished_) {
    write_("\n");
  }
}

void Progress::advance(std::size_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  done_ += count;
  show_if_due();
}

void Progress::update(std::size_t done, const std::string& what) {
  const std::lock_guard<std::mutex> lock(mutex_);
  done_ = done;
  what_ = what;
  show_if_due();
}

void Progress::show_if_due() {
  if (seconds_between(last_, now_()) >= (terminal_ ? 0.1 : 10.0)) show(false);
}

void Progress::finish() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!finished_) show(true);
  finished_ = true;
}

void Progress::show(bool last) {
  last_ = now_();
  std::string line = progress_line(label_, done_, total_, seconds_between(start_, last_));
  if (!last && !what_.empty()) line += ": " + what_;
  write_(terminal_ ? "\r" + line + "\x1b[K" + (last ? "\n" : "") : line + "\n");
  shown_ = true;
}

}  // namespace outlierlab
