#pragma once

#include <filesystem>
#include <string>

namespace outlierlab {

/// Runs gnuplot on a script, in the script's folder. Throws Error if gnuplot is missing (naming the package)
/// or fails, with the first line of what it said.
void run_gnuplot(const std::filesystem::path& script);

/// Takes out of gnuplot's files what changes from day to day or from machine to machine: the time and the
/// producer in a PDF, the producer in an SVG, which also gets a title, sizes in mm and fonts to fall back on.
std::string without_time(std::string pdf);
std::string for_the_web(std::string svg, const std::string& title, double width_mm, double height_mm);

}  // namespace outlierlab
