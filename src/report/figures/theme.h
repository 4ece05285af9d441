#pragma once

#include <string>

namespace outlierlab {

/// Widths of a journal's columns, in mm.
constexpr double single_column = 89, double_column = 183;

/// The file that every figure's script loads first: terminals, fonts, colours, line styles. Colours are Okabe
/// and Ito's; each style differs from the others in point type and dash pattern, too, so that it survives
/// printing in grey.
std::string theme_script();

/// Numbers of the theme's line styles.
namespace style {
constexpr int reference = 7, background = 8, fp32 = 11, w8a8 = 12, chance = 13, paper = 14, faint = 15;
}

}  // namespace outlierlab
