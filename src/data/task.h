#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace outlierlab {

/// A GLUE-style classification task, described by an INI file in configs/tasks/:
///
///     [task]
///     name = qnli
///     description = does the sentence answer the question? (GLUE)
///     text = question, sentence       # one or two column names
///     label = label
///     labels = entailment, not_entailment
///     metric = accuracy
///     chance = 50                     # percent, drawn as a reference line
///     train = train.tsv, train-10k.tsv   # the first that exists counts
///     dev = dev.tsv
///     max_length = 128
struct Task {
  std::string name;
  std::string description;
  std::vector<std::string> text_columns;
  std::string label_column;
  std::vector<std::string> labels;
  std::map<std::string, std::vector<std::string>> files;  ///< split -> candidate file names
  std::size_t max_length = 128;
  double chance = 0;

  /// Throws UsageError for unknown keys, missing keys, no or more than two text columns.
  static Task read(const std::filesystem::path& ini);
};

/// One row of a split.
struct TextExample {
  std::string first;
  std::string second;  ///< empty for single-sentence tasks
  int label = -1;      ///< -1 if the split has no label column
};

/// Reads the first candidate file of the split that exists in `folder`. GLUE's TSV: a header line, tab-separated,
/// no quoting, LF or CRLF. Errors name file and line: a missing file (with the names tried) or column, an empty
/// file, a row with another number of cells than the header, an unknown label, invalid UTF-8.
/// `limit` > 0 keeps the first rows only. `used` (optional) receives the path of the file.
std::vector<TextExample> read_split(const Task& task, const std::string& split, const std::filesystem::path& folder,
                                    std::size_t limit = 0, std::filesystem::path* used = nullptr);

}  // namespace outlierlab
