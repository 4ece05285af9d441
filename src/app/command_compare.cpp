#include <fmt/format.h>

#include <iostream>

#include "app/commands.h"
#include "app/options.h"
#include "report/compare.h"

namespace outlierlab {

int command_compare(const std::vector<std::string>& arguments) {
  std::vector<std::string> sides;
  CompareOptions compare;
  Options options(
      "compare",
      "Tells which rows of two folders of results (or of two CSV files) agree: estimates are equal, or "
      "their\n"
      "95 % intervals overlap, or, for metrics without an interval, they differ by less than the tolerance.\n"
      "Timings are left out. Exit code 0 if all rows of the files on both sides agree, 1 otherwise; files "
      "on\n"
      "one side only are listed.",
      "outlierlab compare results out");
  options.add("tolerance", "X", "relative, for metrics without an interval", &compare.tolerance, 0, 1);
  options.positional("PATH", "the two folders or files", &sides, 2, 2);
  if (!options.parse(arguments)) return 0;

  const Comparison result = compare_results(sides[0], sides[1], compare);
  for (const Difference& d : result.differences)
    std::cout << d.file << ": " << d.row << ": " << d.text << "\n";
  for (const std::string& file : result.only_first) std::cout << file << ": only in " << sides[0] << "\n";
  for (const std::string& file : result.only_second) std::cout << file << ": only in " << sides[1] << "\n";
  std::cout << fmt::format("{} of {} rows in {} file{} agree", result.agreed, result.rows, result.files,
                           result.files == 1 ? "" : "s");
  const std::size_t unpaired = result.differences.size() - (result.rows - result.agreed);
  if (unpaired > 0)
    std::cout << fmt::format("; {} more stand{} on one side only", unpaired, unpaired == 1 ? "s" : "");
  std::cout << "\n";
  return result.all_agree() ? 0 : 1;
}

}  // namespace outlierlab
