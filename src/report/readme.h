#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/results.h"

namespace outlierlab {

/// The measured results at a glance as Markdown: a line per quantity that the paper's claims rest on, with
/// the command that measures it, the paper's value and a column per model; then the verdicts.
std::string readme_results(const std::vector<ResultSet>& results);

/// `text` with what stands between the lines `<!-- results -->` and `<!-- /results -->` replaced. Throws
/// Error naming `file` unless there is exactly one of each, in this order.
std::string replace_results_block(const std::string& text, const std::string& file, const std::string& block);

/// The same for a file, whose bytes stay if nothing changed.
void renew_results_block(const std::filesystem::path& file, const std::vector<ResultSet>& results);

}  // namespace outlierlab
