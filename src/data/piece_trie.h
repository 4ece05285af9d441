#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outlierlab {

/// A set of byte strings with ids that answers "which is the longest that starts this text?" in one walk, as
/// greedy WordPiece asks. Nodes are numbered breadth first, so that the children of a node are neighbours and
/// their bytes one contiguous run.
class PieceTrie {
 public:
  struct Match {
    std::size_t length = 0;  ///< in bytes; 0 if no piece fits
    std::int32_t id = -1;
  };

  PieceTrie() = default;
  /// Distinct, non-empty pieces in any order.
  explicit PieceTrie(std::vector<std::pair<std::string, std::int32_t>> pieces);

  Match longest(std::string_view text) const;

 private:
  struct Node {
    std::uint32_t first_child = 0;
    std::uint32_t children = 0;
    std::int32_t id = -1;
  };
  std::vector<Node> nodes_{1};
  std::vector<char> bytes_{'\0'};  ///< the byte that leads to each node
};

}  // namespace outlierlab
