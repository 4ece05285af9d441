#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace outlierlab {

/// One `key = value` of an INI file and where it stands.
struct IniEntry {
  std::string key;
  std::string value;
  std::string place;  ///< "file:line", or "--set" for overrides
  mutable bool used = false;
};

/// A `[name]` section; keys before the first section belong to a section with an empty name.
class IniSection {
 public:
  std::string name;
  std::string place;
  std::vector<IniEntry> entries;
  mutable std::vector<std::string> asked = {};  ///< keys that are not here, though something has asked

  bool has(const std::string& key) const;
  /// Typed access; each marks the key as used. A value of the wrong type throws UsageError with its place.
  std::optional<std::string> text(const std::string& key) const;
  std::optional<double> number(const std::string& key) const;
  std::optional<long> integer(const std::string& key) const;
  std::optional<bool> boolean(const std::string& key) const;
  /// Comma-separated values, trimmed.
  std::vector<std::string> list(const std::string& key) const;
  /// As text(), but a missing key throws UsageError naming the section.
  std::string required(const std::string& key) const;
  void set(const std::string& key, const std::string& value, const std::string& place);

 private:
  const IniEntry* find(const std::string& key) const;
};

/// An INI file: `[section]`, `key = value`, comments from `#` or `;` at a line's start or after white space.
/// Double quotes around a value or a list's item keep '#', ';' and ',' in it. Keys stay in file order. A
/// repeated key or section, or a line of another form, throws UsageError.
class Ini {
 public:
  static Ini read(const std::filesystem::path& path);
  static Ini parse(const std::string& text, const std::string& file_name);

  const std::string& file_name() const { return file_name_; }
  const std::vector<IniSection>& sections() const { return sections_; }
  const IniSection* find(const std::string& name) const;
  /// The section, created empty if missing.
  IniSection& at(const std::string& name);
  /// Applies "section.key=value"; the key is what follows the last dot before '='.
  void set(const std::string& assignment);
  /// Lays `overrides` over this file: its keys win, new sections are appended.
  void merge(const Ini& overrides);
  /// Throws UsageError for the first key that no typed access has asked for: unknown keys are errors.
  void require_all_used() const;
  /// Canonical text, for provenance.
  std::string to_string() const;

 private:
  std::string file_name_;
  std::vector<IniSection> sections_;
};

/// True if `text` matches `pattern`, in which `*` stands for any run of characters.
bool glob_match(const std::string& pattern, const std::string& text);

}  // namespace outlierlab
