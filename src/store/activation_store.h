#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "stats/statistics.h"

namespace outlierlab {

/// Writes the statistics of all sites as HDF5 (docs/design.md, section 7): `/provenance` attributes, and per site
/// /sites/<site>/{moments, channels/{count,min,max,mean,m2,energy}, histogram/{counts,edges,bins}, sample,
/// example_ranges}. Atomic. `provenance` becomes string attributes.
void write_activation_store(const std::filesystem::path& path, const NetworkStatistics& statistics,
                            const std::map<std::string, std::string>& provenance);

/// Reads it back, bit for bit. Errors name file and HDF5 path: not HDF5, truncated, missing or misshapen members.
/// If `expected_model` is not empty it must equal the provenance's `model_sha256`, else an Error says that the file
/// was captured from another model.
NetworkStatistics read_activation_store(const std::filesystem::path& path, const std::string& expected_model = "",
                                        std::map<std::string, std::string>* provenance = nullptr);

}  // namespace outlierlab
