#pragma once

#include <optional>
#include <vector>

#include "report/figures/drawing.h"

namespace outlierlab {

/// One function per figure, each in a file of its own; registry.cpp lists them.
using ResultSets = std::vector<const ResultSet*>;

std::optional<Drawing> draw_accuracy(const ResultSets&);
std::optional<Drawing> draw_depth(const ResultSets&);
std::optional<Drawing> draw_channels(const ResultSets&);
std::optional<Drawing> draw_concentration(const ResultSets&);
std::optional<Drawing> draw_histograms(const ResultSets&);
std::optional<Drawing> draw_calibration(const ResultSets&);
std::optional<Drawing> draw_mixed_precision(const ResultSets&);
std::optional<Drawing> draw_sensitivity(const ResultSets&);
std::optional<Drawing> draw_peg(const ResultSets&);
std::optional<Drawing> draw_transforms(const ResultSets&);
std::optional<Drawing> draw_deployment(const ResultSets&);
std::optional<Drawing> draw_deployment_cuda(const ResultSets&);
std::optional<Drawing> draw_deployment_shapes(const ResultSets&);
std::optional<Drawing> draw_peers(const ResultSets&);
std::optional<Drawing> draw_roofline(const ResultSets&);

}  // namespace outlierlab
