// Checked access to the keys of a scheme's section.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "core/ini.h"

namespace outlierlab {

/// Where a key stands ("file:line"); the section's place if it is missing.
std::string place_of(const IniSection& section, const std::string& key);

/// UsageError "place: key 'k': expected X, found 'v'".
[[noreturn]] void fail_value(const IniSection& section, const std::string& key, const std::string& expected);

/// The value of a key that may be one of a few words (UsageError with the nearest); `words[0]` if it is
/// missing.
std::string word_option(const IniSection& section, const std::string& key,
                        const std::vector<std::string>& words);

/// A whole number >= 1 that must be there.
std::size_t count_option(const IniSection& section, const std::string& key);

/// Runs `body`; a UsageError from it gets the place in front, unless it starts with it already.
template <typename Body>
auto at_place(const std::string& place, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const UsageError& error) {
    const std::string message = error.what();
    if (message.compare(0, place.size(), place) == 0) throw;
    throw UsageError(place + ": " + message);
  }
}

/// The entry called `name` of a registry (a vector of structs with `name` and `make`); UsageError if there is
/// none.
template <typename Entry>
const Entry& find_entry(const std::vector<Entry>& registry, const std::string& kind,
                        const std::string& name) {
  std::vector<std::string> known;
  for (const Entry& entry : registry) {
    if (entry.name == name) return entry;
    known.push_back(entry.name);
  }
  fail_unknown(kind, name, known);
}

}  // namespace outlierlab
