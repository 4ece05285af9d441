#include "data/piece_trie.h"

#include <algorithm>
#include <cstring>

namespace outlierlab {

PieceTrie::PieceTrie(std::vector<std::pair<std::string, std::int32_t>> pieces) {
  std::sort(pieces.begin(), pieces.end());
  struct Range {
    std::size_t begin, end;
  };
  // The sorted pieces below node n, which share its prefix; filled as nodes are, breadth first.
  std::vector<Range> below{{0, pieces.size()}};
  std::size_t depth = 0, level_end = 1;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (node == level_end) {
      ++depth;
      level_end = nodes_.size();
    }
    auto [begin, end] = below[node];
    if (begin < end && pieces[begin].first.size() == depth) nodes_[node].id = pieces[begin++].second;
    nodes_[node].first_child = static_cast<std::uint32_t>(nodes_.size());
    while (begin < end) {
      const char byte = pieces[begin].first[depth];
      std::size_t next = begin;
      while (next < end && pieces[next].first[depth] == byte) ++next;
      nodes_.emplace_back();
      bytes_.push_back(byte);
      below.push_back({begin, next});
      ++nodes_[node].children;
      begin = next;
    }
  }
}

PieceTrie::Match PieceTrie::longest(std::string_view text) const {
  Match best;
  const Node* node = &nodes_[0];
  for (std::size_t i = 0; i < text.size() && node->children > 0; ++i) {
    const char* first = bytes_.data() + node->first_child;
    const void* found = std::memchr(first, static_cast<unsigned char>(text[i]), node->children);
    if (!found) break;
    node = &nodes_[node->first_child + static_cast<std::size_t>(static_cast<const char*>(found) - first)];
    if (node->id >= 0) best = {i + 1, node->id};
  }
  return best;
}

}  // namespace outlierlab
