#include <iostream>

#include "app/commands.h"
#include "app/options.h"
#include "core/error.h"
#include "report/compare.h"

namespace outlierlab {

int command_compare(const std::vector<std::string>& arguments) {
  std::vector<std::string> sides;
  CompareOptions compare;
  Options options(
      "compare",
      "Tells which rows of two folders of results (or of two CSV files) agree: they are equal, or their 95 "
      "%\n"
      "intervals overlap, or, for metrics without an interval, they differ by less than the tolerance; the "
      "last\nline counts what agrees by what. Overlapping intervals are a weak agreement: --exact asks for "
      "equal rows.\nRows of another number of examples never agree. Timings, memory and what engines say of "
      "themselves are left\nout and counted; the data of figures (such as activations-ranges.csv) is not "
      "compared. Exit code 0 if all rows\nof the files on both sides agree, 1 otherwise; files on one side "
      "only are listed.",
      "outlierlab compare --exact results out");
  options.flag("exact", "values, intervals and numbers of examples must be equal as the files print them",
               &compare.exact);
  options.add("tolerance", "X", "relative, for metrics without an interval", &compare.tolerance, 0, 1);
  options.positional("PATH", "the two folders or files", &sides, 2, 2);
  if (!options.parse(arguments)) return 0;
  if (compare.exact && options.given("tolerance"))
    throw UsageError("--exact: expected no --tolerance beside it, found both");

  const Comparison result = compare_results(sides[0], sides[1], compare);
  for (const Difference& d : result.differences)
    std::cout << d.file << ": " << d.row << ": " << d.text << "\n";
  for (const std::string& file : result.only_first) std::cout << file << ": only in " << sides[0] << "\n";
  for (const std::string& file : result.only_second) std::cout << file << ": only in " << sides[1] << "\n";
  std::cout << result.summary(compare) << "\n";
  return result.all_agree() ? 0 : 1;
}

}  // namespace outlierlab
