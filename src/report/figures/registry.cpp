#include "report/figures/figures.h"

namespace outlierlab {

const std::vector<FigureEntry>& figure_entries() {
  constexpr bool side_by_side = true, per_model = false;
  static const std::vector<FigureEntry> all = {
      {{"accuracy", "accuracy by method, the models side by side", {"baseline"}, {}},
       side_by_side,
       draw_accuracy},
      {{"depth", "kurtosis and top-1 % energy by depth, a line per kind of site", {"activations"}, {}},
       per_model,
       draw_depth},
      {{"channels",
        "heat map, layer by channel, of the largest magnitude at y",
        {"activations"},
        {"activations-channels"}},
       per_model,
       draw_channels},
      {{"concentration", "cumulative energy over sorted channels", {"activations"}, {"activations-channels"}},
       per_model,
       draw_concentration},
      {{"histograms",
        "values of a loud site, and the ranges that calibrators choose for it",
        {"activations"},
        {"activations-histograms", "activations-ranges"}},
       per_model,
       draw_histograms},
      {{"calibration", "accuracy against percentile, clipping bound and calibrator", {"calibration"}, {}},
       per_model,
       draw_calibration},
      {{"mixed-precision",
        "accuracy against the share of activations in high precision",
        {"mixed_precision", "activations"},
        {}},
       per_model,
       draw_mixed_precision},
      {{"sensitivity", "the single sites that matter most", {"mixed_precision"}, {}},
       per_model,
       draw_sensitivity},
      {{"peg", "accuracy against the number of groups, with and without sorting", {"peg"}, {}},
       per_model,
       draw_peg},
      {{"deployment", "speed relative to FP32, simulated and executed in integers", {"deployment"}, {}},
       per_model,
       draw_deployment},
      {{"roofline", "products below the roofs of peak and memory bandwidth", {"roofline"}, {}},
       per_model,
       draw_roofline},
  };
  return all;
}

}  // namespace outlierlab
