// The exact moves of which transforms are made: what is done to the outputs of one linear layer is undone at
// the inputs of the next.
#pragma once

#include <cstddef>
#include <vector>

#include "model/weights.h"

namespace outlierlab {

/// Output j becomes output j / s[j] (weight row and bias). `s` has an element per row.
void divide_outputs(Linear& linear, const std::vector<float>& s);
/// A weight whose input j has become input j / s[j]: column j times s[j]. `s` has an element per column.
void multiply_inputs(Matrix& weight, const std::vector<float>& s);

/// max |weight(r, j)| over r, for each column j.
std::vector<float> column_absmax(const Matrix& weight);

/// Outputs first .. first + n - 1, as a vector y, become R y; `rotation` is R, [n, n] row-major, orthogonal.
void rotate_outputs(Linear& linear, std::size_t first, const std::vector<double>& rotation);
/// A weight whose inputs first .. first + n - 1, as a vector x, have become R x.
void rotate_inputs(Matrix& weight, std::size_t first, const std::vector<double>& rotation);

}  // namespace outlierlab
