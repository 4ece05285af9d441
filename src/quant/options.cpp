#include "quant/options.h"

#include <algorithm>

namespace outlierlab {

std::string place_of(const IniSection& section, const std::string& key) {
  for (const IniEntry& entry : section.entries) {
    if (entry.key == key) return entry.place;
  }
  return section.place;
}

void fail_value(const IniSection& section, const std::string& key, const std::string& expected) {
  const std::string found = section.has(key) ? "'" + *section.text(key) + "'" : "none";
  throw UsageError(place_of(section, key) + ": key '" + key + "': expected " + expected + ", found " + found);
}

std::string word_option(const IniSection& section, const std::string& key,
                        const std::vector<std::string>& words) {
  const std::string word = section.text(key).value_or(words.front());
  if (std::find(words.begin(), words.end(), word) == words.end()) {
    at_place(place_of(section, key), [&] { fail_unknown(key, word, words); });
  }
  return word;
}

std::size_t count_option(const IniSection& section, const std::string& key) {
  const long value = section.integer(key).value_or(0);
  if (value < 1) fail_value(section, key, "a whole number of at least 1");
  return static_cast<std::size_t>(value);
}

}  // namespace outlierlab
