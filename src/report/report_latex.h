#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "report/results.h"

namespace outlierlab {

/// Text that LaTeX prints as it stands: its special characters are escaped, UTF-8 is kept.
std::string latex_escaped(const std::string& text);

/// A setting in the words of the paper, as LaTeX: "percentile 99.9", "$K = 4$, permuted". Settings that are
/// not known by name read "variant, parameter = value".
std::string latex_setting(const std::string& variant, const std::string& parameter, const std::string& value);

/// The name of a number: its parts joined by '/', empty ones left out, every byte but letters, digits and
/// ._+- replaced by '-'. "minilm-qnli-qnli", "peg", "peg", "groups", "4", "accuracy" give
/// `minilm-qnli-qnli/peg/peg/groups/4/accuracy`, which the paper prints with \olval{...}.
std::string latex_key(const std::vector<std::string>& parts);

/// The macros of paper/outlierlab.sty with every number of the results, one line each:
///
///     \olnumber{key}{estimate}{low}{high}{n}
///     \oltext{kind}{key}{text}
///
/// The key of a number is `<set>/<experiment>/<variant>[/<parameter>/<value>]/<metric>`.
///
/// Beside the rows there are numbers derived from them by rule:
/// - `<set>/<experiment>/loss/accuracy`: FP32 minus W8A8, in points;
/// - `<set>/<experiment>/<variant>/<parameter>/best/accuracy` and `.../worst/accuracy`, and with `recovery`
///   in the place of `accuracy` the share of that loss which they win back, in percent; the settings are
///   texts of kind `setting` under the key without the metric;
/// - `<set>/activations/<site>/layer/max/<metric>` over the layers; the layer is a text of kind `layer`;
/// - `<set>/deployment/<variant>/median/speedup` (and deployment_shapes) over batch sizes and lengths, with
///   the least and the most in the place of the interval; `.../fastest-<kind>/speedup`,
///   `/memory_weights_mb` and `/memory_share` (% of FP32's) of the fastest method of a kind (simulated,
///   integer), whose name is a text of kind `method`;
/// - `<set>/peg/<variant>/groups`, a text of kind `enough`: the least K that wins back three quarters of the
///   loss, or "none".
///
/// Texts: `paper` (the paper's value by <experiment>/<variant>...), `claim` and `experiment` (by claim),
/// `verdict` and `figures` (by <set>/<claim>; left out without data, so that the paper's build says what to
/// run), `reading` (by <set>/<experiment>), `claims` and `count` (by <set>/<outcome>), `model`, `task`, `n`,
/// `layers`, `width`, `sites` and `sensitivity-n` (by set), and from the run records `machine`,
/// `calibration-size`, `max-length` and `executed`
/// (by <set>/<experiment>; the last where methods ran with units of their own); `trend` and `rho` of kurtosis
/// over depth (by <set>/activations/ffn_residual/layer/trend/kurtosis). Two rows whose names fall together
/// throw Error.
std::string latex_numbers(const std::vector<ResultSet>& results);

/// The tables of the paper by file name, as booktabs tabulars with their intervals, n and the paper's values:
/// `<set>-<experiment>.tex` (and `...-by-<parameter>.tex` for rows by layer, site or rank; for deployment
/// `...-latency.tex`, `...-speedup.tex` and `...-time.tex`) in full; `<experiment>.tex` with the models side
/// by side; `verdicts.tex` and `<set>-verdicts.tex`.
std::map<std::string, std::string> latex_tables(const std::vector<ResultSet>& results);

/// Writes `<paper>/generated/numbers.tex` and the tables. Files of an earlier run that have no results any
/// more are removed; files that were not generated are left alone.
void write_latex(const std::vector<ResultSet>& results, const std::filesystem::path& paper);

}  // namespace outlierlab
