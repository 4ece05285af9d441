#pragma once

#include <cmath>

namespace outlierlab::engine {

/// The upper tail of the normal distribution, Q(u) = 1 - Phi(u), in pieces: on piece i of [0, reach), of
/// width reach / 16, a polynomial of degree 5 in the fraction f = 16 u / reach - i, through the exact values
/// at the six Chebyshev nodes. Beyond reach |v| Q(|v|) is that of reach, 6e-8. GELU(v) = max(v, 0) - |v|
/// Q(|v|) so computed in float32 is off by less than 7e-8 (1 + max(v, 0)) (tested): what is small is not the
/// difference of two numbers near 1/2, so that rounding moves few values across a threshold between codes.
struct GeluTable {
  static constexpr float reach = 5.6f;
  static constexpr int pieces = 16, terms = 6;
  alignas(64) float c[terms][pieces];

  GeluTable() {
    const double pi = std::acos(-1.0);
    for (int i = 0; i < pieces; ++i) {
      double node[terms], divided[terms];
      for (int n = 0; n < terms; ++n) {
        node[n] = 0.5 - 0.5 * std::cos(pi * (2 * n + 1) / (2 * terms));
        divided[n] = 0.5 * std::erfc((i + node[n]) * double{reach} / pieces / std::sqrt(2.0));
      }
      // Newton's divided differences, then expanded into powers of f.
      for (int order = 1; order < terms; ++order) {
        for (int n = terms - 1; n >= order; --n)
          divided[n] = (divided[n] - divided[n - 1]) / (node[n] - node[n - order]);
      }
      double power[terms] = {divided[terms - 1]};
      for (int n = terms - 2; n >= 0; --n) {
        for (int p = terms - 1; p > 0; --p) power[p] = power[p - 1] - node[n] * power[p];
        power[0] = divided[n] - node[n] * power[0];
      }
      for (int p = 0; p < terms; ++p) c[p][i] = static_cast<float>(power[p]);
    }
  }
};

const GeluTable& gelu_table();

}  // namespace outlierlab::engine
