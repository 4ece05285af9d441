#include "report/figures/figures.h"

namespace outlierlab {

const std::vector<FigureEntry>& figure_entries() {
  static const std::vector<FigureEntry> all = {
      {{"headline", "accuracy by method, the models side by side", {"baseline"}, {}}, true, draw_headline},
      {{"depth", "kurtosis and top-1 % energy by depth, a line per kind of site", {"activations"}, {}},
       false,
       draw_depth},
      {{"channels",
        "heat map, layer by channel, of the largest magnitude at y",
        {"activations"},
        {"activations-channels"}},
       false,
       draw_channels},
      {{"concentration", "cumulative energy over sorted channels", {"activations"}, {"activations-channels"}},
       false,
       draw_concentration},
      {{"peg", "accuracy against the number of groups, with and without sorting", {"peg"}, {}},
       false,
       draw_peg},
  };
  return all;
}

}  // namespace outlierlab
