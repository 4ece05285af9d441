#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace outlierlab {

/// A failure that the user can act on. `what()` is one line that names the file, the place in it, what was
/// expected and what was found. The command line prints it and exits with code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Wrong use: an unknown option, key, name or value. The command line prints it and exits with code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// "place: expected X, found Y" as an Error. Place and found may come from a damaged or hostile file: control
/// characters are shown as \xNN, and what is longer than a few hundred bytes is cut.
[[noreturn]] void fail_expected(const std::string& place, const std::string& expected,
                                const std::string& found);

/// The candidate nearest to `name` by edit distance, or an empty string if none is near.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

/// Throws UsageError: "unknown KIND 'NAME'; did you mean 'X'? (known: a, b, c)".
[[noreturn]] void fail_unknown(const std::string& kind, std::string_view name,
                               const std::vector<std::string>& known);

}  // namespace outlierlab
