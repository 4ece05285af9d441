#pragma once

#include <cmath>

namespace outlierlab::engine {

/// The normal distribution function in pieces: on piece i of [0, reach), of width reach / 16, Phi(u) - 1/2 is
/// a polynomial of degree 4 in the fraction f = 16 u / reach - i, through the exact values at the five
/// Chebyshev nodes. Beyond reach the last piece's end serves. GELU of v so computed in float32 is off by less
/// than 2e-7 (1 + |v|) (tested), as its rounding is, so that hardly more codes fall on the other side of a
/// threshold than rounding puts there.
struct GeluTable {
  static constexpr float reach = 5.6f;
  static constexpr int pieces = 16, terms = 5;
  alignas(64) float c[terms][pieces];

  GeluTable() {
    const double pi = std::acos(-1.0);
    for (int i = 0; i < pieces; ++i) {
      double node[terms], divided[terms];
      for (int n = 0; n < terms; ++n) {
        node[n] = 0.5 - 0.5 * std::cos(pi * (2 * n + 1) / (2 * terms));
        divided[n] = 0.5 * std::erf((i + node[n]) * double{reach} / pieces / std::sqrt(2.0));
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
