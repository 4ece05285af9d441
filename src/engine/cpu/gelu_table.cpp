#include "engine/cpu/gelu_table.h"

#include "engine/cpu/gelu_coefficients.h"

namespace outlierlab::engine {

const GeluTable& gelu_table() {
  static const GeluTable table;
  return table;
}

const GeluCoefficients& gelu_coefficients() {
  static const GeluTable& table = gelu_table();
  static const GeluCoefficients coefficients = {
      {table.c[0], table.c[1], table.c[2], table.c[3], table.c[4], table.c[5]},
      GeluTable::reach,
      GeluTable::pieces / GeluTable::reach};
  return coefficients;
}

}  // namespace outlierlab::engine
