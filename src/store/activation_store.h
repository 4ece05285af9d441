#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "stats/statistics.h"

namespace outlierlab {

/// Writes the statistics of all sites as HDF5 (docs/design.md, section 7; docs/reading-the-data.md shows
/// readers):
///
///     /                     attributes format, layout_version
///     /provenance           `provenance` as string attributes
///     /site_names           the sites in the order of the forward pass
///     /sites/<site>/        attributes channels, channel_kind ("channel" or "head")
///       moments             {count, mean, m2, m3, m4}
///       channels/           {count,min,max,mean,m2,energy}, each [channels]
///       histogram/          bins, counts [n] and edges [n, 2], ascending by value; empty bins are left out
///       sample              [rows, channels]; for scores and probs [values]
///       sample_tokens       [rows, 2]: example, position
///       sample_heads        [rows]; for scores and probs only
///       sample_lengths      [rows]; likewise: row r is the next sample_lengths[r] values
///       example_ranges      [examples] of {example, min, max}
///
/// Every dataset has attributes `units` and `axes`. Lists are chunked and carry checksums; large
/// ones are deflated. The write is atomic.
/// Throws Error for a site with NaN or Inf and if the file cannot be written.
void write_activation_store(const std::filesystem::path& path, const NetworkStatistics& statistics,
                            const std::map<std::string, std::string>& provenance);

/// Reads it back, bit for bit. Errors name file and HDF5 path: not HDF5, truncated, missing or misshapen
/// members. If `expected_model` is not empty it must equal the provenance's `model_sha256`, else an Error
/// says that the file was captured from another model.
NetworkStatistics read_activation_store(const std::filesystem::path& path,
                                        const std::string& expected_model = "",
                                        std::map<std::string, std::string>* provenance = nullptr);

}  // namespace outlierlab
