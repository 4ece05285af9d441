#include "core/ini.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "core/error.h"
#include "core/files.h"

namespace outlierlab {

namespace {
std::string trim(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string strip_comment(const std::string& line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    const bool starts = i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t';
    if (!quoted && starts && (line[i] == '#' || line[i] == ';')) return line.substr(0, i);
  }
  return line;
}

/// The text without the quotes around it, if they enclose the whole of it.
std::string unquote(const std::string& text) {
  const bool enclosed = text.size() >= 2 && text.front() == '"' && text.find('"', 1) == text.size() - 1;
  return enclosed ? text.substr(1, text.size() - 2) : text;
}

/// The next comma-separated item from `position` on, which moves behind it; commas in quotes do not separate.
std::string next_item(const std::string& text, std::size_t& position) {
  const std::size_t begin = position;
  for (bool quoted = false; position < text.size() && (quoted || text[position] != ','); ++position) {
    if (text[position] == '"') quoted = !quoted;
  }
  return trim(text.substr(begin, position++ - begin));
}

[[noreturn]] void wrong_type(const IniEntry& entry, const std::string& expected) {
  throw UsageError(entry.place + ": key '" + entry.key + "': expected " + expected + ", found '" +
                   entry.value + "'");
}
}  // namespace

const IniEntry* IniSection::find(const std::string& key) const {
  for (const IniEntry& entry : entries) {
    if (entry.key == key) {
      entry.used = true;
      return &entry;
    }
  }
  asked.push_back(key);
  return nullptr;
}

bool IniSection::has(const std::string& key) const {
  return find(key) != nullptr;
}

std::optional<std::string> IniSection::text(const std::string& key) const {
  const IniEntry* entry = find(key);
  return entry ? std::optional(unquote(entry->value)) : std::nullopt;
}

std::optional<double> IniSection::number(const std::string& key) const {
  const IniEntry* entry = find(key);
  if (!entry) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(entry->value.c_str(), &end);
  if (entry->value.empty() || *end != '\0' || !std::isfinite(value)) wrong_type(*entry, "a number");
  return value;
}

std::optional<long> IniSection::integer(const std::string& key) const {
  const IniEntry* entry = find(key);
  if (!entry) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(entry->value.c_str(), &end, 10);
  if (entry->value.empty() || *end != '\0' || errno != 0) wrong_type(*entry, "a whole number");
  return value;
}

std::optional<bool> IniSection::boolean(const std::string& key) const {
  const IniEntry* entry = find(key);
  if (!entry) return std::nullopt;
  if (entry->value == "true" || entry->value == "yes" || entry->value == "1") return true;
  if (entry->value == "false" || entry->value == "no" || entry->value == "0") return false;
  wrong_type(*entry, "true or false");
}

std::vector<std::string> IniSection::list(const std::string& key) const {
  std::vector<std::string> items;
  const IniEntry* entry = find(key);
  if (!entry) return items;
  for (std::size_t position = 0; position <= entry->value.size();) {
    if (const std::string item = next_item(entry->value, position); !item.empty())
      items.push_back(unquote(item));
  }
  return items;
}

std::string IniSection::required(const std::string& key) const {
  const IniEntry* entry = find(key);
  if (!entry) throw UsageError(place + ": section [" + name + "]: expected a key '" + key + "', found none");
  return unquote(entry->value);
}

void IniSection::set(const std::string& key, const std::string& value, const std::string& where) {
  for (IniEntry& entry : entries) {
    if (entry.key == key) {
      entry.value = value;
      entry.place = where;
      return;
    }
  }
  entries.push_back({key, value, where});
}

Ini Ini::read(const std::filesystem::path& path) {
  return parse(read_file(path), path.string());
}

Ini Ini::parse(const std::string& text, const std::string& file_name) {
  Ini ini;
  ini.file_name_ = file_name;
  std::istringstream in(text);
  IniSection* section = nullptr;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string place = file_name + ":" + std::to_string(number);
    line = trim(strip_comment(line));
    if (std::count(line.begin(), line.end(), '"') % 2 != 0) {
      throw UsageError(place + ": expected a closing quote, found '" + line + "'");
    }
    if (line.empty()) continue;
    if (line.front() == '[') {
      if (line.back() != ']' || line.size() < 3) {
        throw UsageError(place + ": expected [section], found '" + line + "'");
      }
      const std::string name = trim(line.substr(1, line.size() - 2));
      if (ini.find(name))
        throw UsageError(place + ": expected each section once, found [" + name + "] again");
      ini.sections_.push_back({name, place, {}});
      section = &ini.sections_.back();
      continue;
    }
    const auto equals = line.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError(place + ": expected key = value, found '" + line + "'");
    }
    if (!section) {
      ini.sections_.push_back({"", place, {}});
      section = &ini.sections_.back();
    }
    const std::string key = trim(line.substr(0, equals));
    for (const IniEntry& entry : section->entries) {
      if (entry.key == key) throw UsageError(place + ": expected each key once, found '" + key + "' again");
    }
    section->entries.push_back({key, trim(line.substr(equals + 1)), place});
  }
  return ini;
}

const IniSection* Ini::find(const std::string& name) const {
  for (const IniSection& section : sections_) {
    if (section.name == name) return &section;
  }
  return nullptr;
}

IniSection& Ini::at(const std::string& name) {
  for (IniSection& section : sections_) {
    if (section.name == name) return section;
  }
  sections_.push_back({name, file_name_, {}});
  return sections_.back();
}

void Ini::set(const std::string& assignment) {
  const auto equals = assignment.find('=');
  const auto dot = equals == std::string::npos ? equals : assignment.rfind('.', equals);
  if (dot == std::string::npos || dot == 0 || dot + 1 >= equals) {
    throw UsageError("--set: expected section.key=value, found '" + assignment + "'");
  }
  at(trim(assignment.substr(0, dot)))
      .set(trim(assignment.substr(dot + 1, equals - dot - 1)), trim(assignment.substr(equals + 1)), "--set");
}

void Ini::merge(const Ini& overrides) {
  for (const IniSection& section : overrides.sections_) {
    IniSection& target = at(section.name);
    target.place = section.place;
    for (const IniEntry& entry : section.entries) target.set(entry.key, entry.value, entry.place);
  }
}

void Ini::require_all_used() const {
  for (const IniSection& section : sections_) {
    for (const IniEntry& entry : section.entries) {
      if (!entry.used) {
        const std::string meant = nearest(entry.key, section.asked);
        throw UsageError(entry.place + ": unknown key '" + entry.key + "' in section [" + section.name + "]" +
                         (meant.empty() ? "" : "; did you mean '" + meant + "'?"));
      }
    }
  }
}

std::string Ini::to_string() const {
  std::string text;
  for (const IniSection& section : sections_) {
    if (!section.name.empty()) text += "[" + section.name + "]\n";
    for (const IniEntry& entry : section.entries) text += entry.key + " = " + entry.value + "\n";
  }
  return text;
}

bool glob_match(const std::string& pattern, const std::string& text) {
  std::size_t p = 0, t = 0, star = std::string::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace outlierlab
