#include "data/task.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/files.h"
#include "core/ini.h"
#include "data/unicode.h"

namespace outlierlab {

namespace {
const std::vector<std::string> split_names = {"train", "tune", "dev", "test"};

[[noreturn]] void fail_key(const IniSection& section, const std::string& key, const std::string& expected) {
  throw UsageError(section.place + ": section [" + section.name + "], key '" + key + "': expected " +
                   expected + ", found '" + section.text(key).value_or("nothing") + "'");
}

std::size_t read_count(const IniSection& section, const std::string& key, long smallest,
                       std::size_t fallback) {
  const std::optional<long> value = section.integer(key);
  if (!value) return fallback;
  if (*value < smallest) fail_key(section, key, "at least " + std::to_string(smallest));
  return static_cast<std::size_t>(*value);
}

double read_number(const IniSection& section, const std::string& key, double lowest, double highest) {
  const double value = section.number(key).value_or(0);
  if (value < lowest || value > highest) {
    fail_key(section, key, "a number from " + std::to_string(lowest) + " to " + std::to_string(highest));
  }
  return value;
}

CorpusOptions read_corpus(const IniSection& section) {
  if (section.required("kind") != "facts") fail_key(section, "kind", "facts");
  CorpusOptions options;
  options.seed = read_count(section, "seed", 0, options.seed);
  options.split_sizes.clear();
  for (const std::string& split : split_names) {
    if (const std::size_t size = read_count(section, split, 1, 0); size > 0)
      options.split_sizes[split] = size;
  }
  options.label_noise = read_number(section, "noise", 0, 0.5);
  return options;
}

void check(const Task& task, const IniSection& section) {
  if (task.text_columns.empty() || task.text_columns.size() > 2)
    fail_key(section, "text", "one or two column names");
  const std::set<std::string> distinct(task.labels.begin(), task.labels.end());
  if (distinct.size() < 2 || distinct.size() != task.labels.size())
    fail_key(section, "labels", "two or more names");
  if (task.metric != "accuracy") fail_key(section, "metric", "accuracy");
  if (task.corpus && !task.files.empty()) {
    throw UsageError(section.place + ": expected file names or a [corpus] section, found both");
  }
  if (task.corpus && task.labels != corpus_labels())
    fail_key(section, "labels", "entailment, not_entailment");
  if (task.corpus && task.text_columns.size() != 2) fail_key(section, "text", "two names for a corpus");
  if (!task.corpus && task.files.empty()) {
    throw UsageError(section.place +
                     ": expected a split (train, tune, dev, test) or a [corpus] section, found none");
  }
}

std::vector<std::string_view> split_cells(std::string_view line) {
  std::vector<std::string_view> cells;
  for (std::size_t begin = 0;;) {
    const std::size_t end = line.find('\t', begin);
    cells.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) return cells;
    begin = end + 1;
  }
}

/// Lines of a TSV file, each split into cells and checked against the header.
class TsvReader {
 public:
  explicit TsvReader(const std::filesystem::path& path)
      : path_(path.string()), text_(read_file(path)), rest_(text_) {
    if (rest_.substr(0, 3) == "\xef\xbb\xbf") rest_.remove_prefix(3);
    if (!next_line()) fail_expected(path_, "a header line", "an empty file");
    header_ = split_cells(line_);
  }

  bool next_row() {
    if (!next_line()) return false;
    cells_ = split_cells(line_);
    if (cells_.size() != header_.size()) {
      fail_expected(place(), std::to_string(header_.size()) + " cells as in the header",
                    std::to_string(cells_.size()));
    }
    return true;
  }

  std::optional<std::size_t> find_column(const std::string& name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    if (found == header_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - header_.begin());
  }

  std::size_t require_column(const std::string& name) const {
    if (const auto column = find_column(name)) return *column;
    std::string found;
    for (const std::string_view cell : header_)
      found += (found.empty() ? "'" : ", '") + std::string(cell) + "'";
    fail_expected(path_ + ":1", "a column '" + name + "'", found);
  }

  std::string_view cell(std::size_t column) const { return cells_[column]; }
  std::string place() const { return path_ + ":" + std::to_string(line_number_); }

 private:
  bool next_line() {
    if (rest_.empty()) return false;
    ++line_number_;
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
    if (const std::size_t bad = unicode::find_invalid_utf8(line_); bad != std::string_view::npos) {
      fail_expected(place() + ", byte " + std::to_string(bad + 1), "UTF-8", "bytes that are not");
    }
    return true;
  }

  std::string path_, text_;
  std::string_view rest_, line_;
  std::vector<std::string_view> header_, cells_;
  std::size_t line_number_ = 0;
};

int parse_label(const Task& task, const TsvReader& reader, std::string_view text) {
  const auto found = std::find(task.labels.begin(), task.labels.end(), text);
  if (found != task.labels.end()) return static_cast<int>(found - task.labels.begin());
  std::string known;
  for (const std::string& label : task.labels) known += (known.empty() ? "" : ", ") + label;
  fail_expected(reader.place(), "a label (" + known + ")", "'" + std::string(text) + "'");
}

std::vector<TextExample> read_file_split(const Task& task, const std::filesystem::path& path,
                                         std::size_t limit) {
  TsvReader reader(path);
  const bool pair = task.text_columns.size() == 2;
  const std::size_t first = reader.require_column(task.text_columns[0]);
  const std::size_t second = pair ? reader.require_column(task.text_columns[1]) : first;
  const std::optional<std::size_t> label = reader.find_column(task.label_column);
  std::vector<TextExample> examples;
  while ((limit == 0 || examples.size() < limit) && reader.next_row()) {
    TextExample& example = examples.emplace_back();
    example.pair = pair;
    example.first = reader.cell(first);
    if (pair) example.second = reader.cell(second);
    if (label) example.label = parse_label(task, reader, reader.cell(*label));
  }
  if (examples.empty()) fail_expected(path.string(), "rows after the header", "none");
  return examples;
}

std::filesystem::path find_file(const Task& task, const std::string& split,
                                const std::filesystem::path& folder) {
  const auto candidates = task.files.find(split);
  if (candidates == task.files.end()) {
    std::vector<std::string> known;
    for (const auto& [name, files] : task.files) known.push_back(name);
    fail_unknown("split of task " + task.name, split, known);
  }
  std::string tried;
  for (const std::string& name : candidates->second) {
    if (std::filesystem::exists(folder / name)) return folder / name;
    tried += (tried.empty() ? "" : " or ") + name;
  }
  fail_expected(folder.string(), "the file " + tried + " (split '" + split + "' of task " + task.name + ")",
                "none");
}
}  // namespace

Task Task::read(const std::filesystem::path& path) {
  const Ini ini = Ini::read(path);
  const IniSection* section = ini.find("task");
  if (!section) throw UsageError(path.string() + ": expected a section [task], found none");
  Task task;
  task.name = section->required("name");
  task.description = section->text("description").value_or("");
  task.text_columns = section->list("text");
  task.label_column = section->required("label");
  task.labels = section->list("labels");
  task.metric = section->text("metric").value_or(task.metric);
  task.chance = read_number(*section, "chance", 0, 100);
  task.max_length = read_count(*section, "max_length", 3, task.max_length);
  for (const std::string& split : split_names) {
    if (auto files = section->list(split); !files.empty()) task.files[split] = std::move(files);
  }
  if (const IniSection* corpus = ini.find("corpus")) task.corpus = read_corpus(*corpus);
  ini.require_all_used();
  check(task, *section);
  return task;
}

std::vector<TextExample> read_split(const Task& task, const std::string& split,
                                    const std::filesystem::path& folder, std::size_t limit,
                                    std::filesystem::path* used) {
  if (used) used->clear();
  if (task.corpus) {
    std::vector<TextExample> examples = corpus_split(*task.corpus, split);
    if (limit > 0 && limit < examples.size()) examples.resize(limit);
    return examples;
  }
  const std::filesystem::path path = find_file(task, split, folder);
  std::vector<TextExample> examples = read_file_split(task, path, limit);
  if (used) *used = path;
  return examples;
}

}  // namespace outlierlab
