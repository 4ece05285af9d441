#pragma once

#include <string>

namespace outlierlab {

/// One row of a split.
struct TextExample {
  std::string first;
  std::string second;  ///< empty for single-sentence tasks
  int label = -1;      ///< -1 if the split has no label column
  bool pair = false;   ///< true for tasks with two texts, so that an empty second text still gets its [SEP]
};

}  // namespace outlierlab
