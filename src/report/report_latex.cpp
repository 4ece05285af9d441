#include "report/report_latex.h"

#include "core/files.h"
#include "report/latex_text.h"

namespace outlierlab {

namespace fs = std::filesystem;

void write_latex(const std::vector<ResultSet>& results, const fs::path& paper) {
  std::map<std::string, std::string> files = latex_tables(results);
  files["numbers.tex"] = latex_numbers(results);
  const fs::path folder = paper / "generated";
  for (const auto& [name, text] : files) write_file_atomically(folder / name, text);
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".tex" || files.count(name)) continue;
    if (read_file(entry.path()).rfind(latex_mark, 0) == 0) fs::remove(entry.path());
  }
}

}  // namespace outlierlab
