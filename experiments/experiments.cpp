#include "experiments/experiments.h"

namespace outlierlab {

const std::vector<Experiment>& experiments() {
  static const std::vector<Experiment> all = {
      {"baseline", "C1", "Are the weights or the activations to blame, and is it the static range?",
       "FP32, 8-bit weights, 8-bit activations, both, both per token, and LLM.int8()", baseline},
      {"activations", "C2, C3",
       "How do kurtosis and energy concentration grow along the residual stream, and which channels hold "
       "the outliers?",
       "kurtosis, energy concentration and outlier channels of every site across depth", activations},
      {"calibration", "C4", "Does any choice of a static range per tensor repair W8A8?",
       "ranges by min-max, percentiles, clipping, MSE, entropy and running min-max", calibration},
      {"mixed_precision", "C5",
       "Which of x, h and y must stay in float, would a few channels do, and which single site matters?",
       "which sites and channels have to stay in float; sensitivity of each site", mixed_precision},
      {"peg", "C6",
       "How many groups does per-embedding-group quantization need, with and without sorting channels by "
       "range?",
       "per-embedding-group quantization against the number of groups", peg},
      {"deployment", "C7",
       "What does int8 cost and give in time and memory, simulated and executed in integers?",
       "latency, throughput, memory and where the time goes, by method, batch size and length", deployment},
      {"deployment_shapes", "C7", "The same at the sizes of BERT-base and BERT-large, with random weights?",
       "latency and throughput at larger sizes; on request only", deployment_shapes, false},
      {"roofline", "C7", "What do the products reach of what this machine could do?",
       "operations per second of each product beside measured peaks and bandwidth; on request only", roofline,
       false},
      {"rounding", "C7", "How far does one value get that rounding puts on the other side of a threshold?",
       "values and predictions that float32 and double precision have in common; on request only", rounding,
       false},
      {"transforms", "", "Do exact rewrites of the network, such as SmoothQuant's, repair W8A8?",
       "function-preserving transforms in float, on W8A8, and where they reach", transforms},
  };
  return all;
}

}  // namespace outlierlab
