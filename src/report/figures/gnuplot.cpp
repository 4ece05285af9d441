#include "report/figures/gnuplot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace outlierlab {

namespace {

constexpr int not_found = 127;

[[noreturn]] void become_gnuplot(const char* folder, const char* script, int output) {
  // Without a UTF-8 locale gnuplot cannot convert its own degree sign, and says so.
  ::setenv("LC_ALL", "C.UTF-8", 1);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  if (::chdir(folder) == 0) ::execlp("gnuplot", "gnuplot", script, static_cast<char*>(nullptr));
  ::_exit(not_found);
}

std::string read_all(int descriptor) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(descriptor, buffer, sizeof buffer)) != 0;) {
    if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR) break;
  }
  return text;
}

/// gnuplot's message without the line that it echoes and the caret below it.
std::string one_line(const std::string& output) {
  std::string message;
  for (std::size_t begin = 0; begin < output.size();) {
    const std::size_t end = std::min(output.find('\n', begin), output.size());
    const std::string line = output.substr(begin, end - begin);
    begin = end + 1;
    if (line.find_first_not_of(" ^\t") != std::string::npos) message = line;
  }
  return message.empty() ? "no message" : message;
}

/// Overwrites the text between two marks with spaces: a PDF's offsets must stay.
void blank(std::string& bytes, const std::string& from, const std::string& to) {
  const std::size_t begin = bytes.find(from);
  if (begin == std::string::npos) return;
  const std::size_t first = begin + from.size(), end = bytes.find(to, first);
  if (end != std::string::npos)
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(first),
              bytes.begin() + static_cast<std::ptrdiff_t>(end), ' ');
}

void replace_first(std::string& text, const std::string& from, const std::string& to, const std::string& by) {
  const std::size_t begin = text.find(from);
  if (begin == std::string::npos) return;
  const std::size_t end = text.find(to, begin + from.size());
  if (end != std::string::npos) text.replace(begin, end + to.size() - begin, by);
}

std::string xml(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

void run_gnuplot(const std::filesystem::path& script) {
  const std::string folder = script.has_parent_path() ? script.parent_path().string() : ".";
  const std::string name = script.filename().string();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw Error("gnuplot: cannot open a pipe: " + std::string(std::strerror(errno)));
  const pid_t child = ::fork();
  if (child == 0) become_gnuplot(folder.c_str(), name.c_str(), ends[1]);
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    throw Error("gnuplot: cannot start: " + std::string(std::strerror(errno)));
  }
  const std::string output = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == not_found) {
    throw Error("gnuplot: expected the program in PATH (Debian package gnuplot-nox), found none");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !output.empty()) {
    throw Error(script.string() + ": expected gnuplot to run it silently, found: " + one_line(output));
  }
}

std::string without_time(std::string pdf) {
  blank(pdf, "/CreationDate (D:", ")");
  blank(pdf, "/Producer (cairo ", ")\n");
  return pdf;
}

std::string for_the_web(std::string svg, const std::string& title, double width_mm, double height_mm) {
  replace_first(svg, "<title>", "</title>", "<title>" + xml(title) + "</title>");
  replace_first(svg, "<desc>", "</desc>\n", "");
  replace_first(svg, " width=\"", "\" height=\"", fmt::format(" width=\"{:g}mm\" height=\"", width_mm));
  replace_first(svg, "\" height=\"", "\"", fmt::format("\" height=\"{:g}mm\"", height_mm));
  replace_first(svg, "<image ", "x=", "<image style='image-rendering:pixelated' x=");
  const std::string face = "font-family=\"Liberation Sans\"";
  const std::string faces = "font-family=\"Liberation Sans, Arial, Helvetica, sans-serif\"";
  for (std::size_t at = 0; (at = svg.find(face, at)) != std::string::npos; at += faces.size()) {
    svg.replace(at, face.size(), faces);
  }
  return svg;
}

}  // namespace outlierlab
