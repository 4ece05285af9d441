#include "experiments/pass_samples.h"

#include <sstream>

#include "core/files.h"

namespace outlierlab {

PassSamples::PassSamples(Study& study, std::string cell_columns)
    : header_("variant," + std::move(cell_columns) + ",pass,milliseconds\n"),
      // Where no cell is timed, the file has its header alone.
      file_(study.attach("samples", [header = header_] { return header; })) {}

void PassSamples::keep(const std::string& cell, const PassSeconds& seconds) const {
  std::string text = header_;
  if (std::filesystem::exists(file_)) {
    std::istringstream before(read_file(file_));
    std::string line;
    std::getline(before, line);
    while (std::getline(before, line)) {
      const bool ours = line.find("," + cell + ",") != std::string::npos &&
                        seconds.count(line.substr(0, line.find(','))) > 0;
      if (!ours) text += line + "\n";
    }
  }
  for (const auto& [variant, all] : seconds) {
    for (std::size_t i = 0; i < all.size(); ++i)
      text += variant + "," + cell + "," + std::to_string(i) + "," + std::to_string(1e3 * all[i]) + "\n";
  }
  write_file_atomically(file_, text);
}

}  // namespace outlierlab
