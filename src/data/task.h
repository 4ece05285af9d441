#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/example.h"

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
///
/// A column name with '#', ';' or ',' in it stands in double quotes: `text = "#1 String", "#2 String"`. The
/// splits are train, tune, dev and test. A `[corpus]` section stands in the place of the files (see
/// corpus.h):
///
///     [corpus]
///     kind = facts
///     seed = 1
///     train = 40000                   # sizes of the splits
///     tune = 2048
///     dev = 2048
///     noise = 0                       # share of labels that are flipped
struct Task {
  std::string name;
  std::string description;
  std::vector<std::string> text_columns;
  std::string label_column;
  std::vector<std::string> labels;
  std::map<std::string, std::vector<std::string>> files;  ///< split -> candidate file names
  std::string metric = "accuracy";
  std::size_t max_length = 128;
  double chance = 0;
  std::optional<CorpusOptions> corpus;  ///< set if the examples are generated

  /// Throws UsageError for unknown keys, missing keys, no or more than two text columns,
  /// fewer than two labels, another metric than accuracy.
  static Task read(const std::filesystem::path& ini);
};

/// Reads the first candidate file of the split that exists in `folder`. GLUE's TSV: a header line,
/// tab-separated, no quoting, LF or CRLF, an optional byte order mark. Errors name file and line: a missing
/// file (with the names tried) or text column, a file without rows, a row with another number of cells than
/// the header, an unknown label, invalid UTF-8. `limit` > 0 reads the first rows only. `used` (optional)
/// receives the path of the file. A task with a corpus generates the split instead: `folder` is not looked at
/// and `used` is left empty.
std::vector<TextExample> read_split(const Task& task, const std::string& split,
                                    const std::filesystem::path& folder, std::size_t limit = 0,
                                    std::filesystem::path* used = nullptr);

}  // namespace outlierlab
