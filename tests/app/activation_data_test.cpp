// What `run activations` leaves beside its rows, on the demo's embedded model.
#include <cstdlib>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "report/results.h"

using namespace outlierlab;
namespace fs = std::filesystem;

namespace {

bool run_activations(const fs::path& out, const std::string& options = "") {
  const std::string command =
      std::string("cd '") + OUTLIERLAB_SOURCE_DIR + "' && '" + OUTLIERLAB_BINARY +
      "' run activations --model demo-planted --limit 8 --calibration-size 8 --out '" + out.string() + "' " +
      options + " >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

double sum(const DataTable& table, const std::string& column, const std::string& part) {
  double total = 0;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    if (table.rows[r][table.column("part")] == part) total += table.number(r, table.column(column));
  }
  return total;
}

}  // namespace

TEST_CASE("activations leave channels, histograms and ranges that agree with the rows", "[app]") {
  const fs::path out = test::scratch("activation-data");
  REQUIRE(run_activations(out));
  const ResultSet set = read_results(out).at(0);
  const DataTable& channels = set.data.at("activations-channels");
  const DataTable& histograms = set.data.at("activations-histograms");
  const std::string site = histograms.rows.at(0).at(histograms.column("site"));

  double loudest = 0, energy = 0, values = 0;
  std::string channel;
  std::size_t count = 0;
  for (std::size_t r = 0; r < channels.rows.size(); ++r) {
    if (channels.rows[r][channels.column("site")] != site) continue;
    ++count;
    loudest = std::max(loudest, channels.number(r, channels.column("absmax")));
    if (channels.number(r, channels.column("energy")) <= energy) continue;
    energy = channels.number(r, channels.column("energy"));
    channel = channels.rows[r][channels.column("channel")];
  }
  for (const Row& row : set.rows("activations")) {
    if (row.variant != site || row.parameter != "layer") continue;
    if (row.metric == "absmax") REQUIRE(loudest == Approx(row.estimate).epsilon(1e-6));
    values = static_cast<double>(row.n.value());
  }
  // Each value is in one bin of the site, and each token in one bin of a channel.
  REQUIRE(sum(histograms, "count", "site") == values);
  REQUIRE(sum(histograms, "count", "loud") == values / static_cast<double>(count));
  REQUIRE(sum(histograms, "count", "quiet") == values / static_cast<double>(count));
  for (const auto& row : histograms.rows) {
    if (row[histograms.column("part")] == "loud") REQUIRE(row[histograms.column("channel")] == channel);
  }

  const DataTable& ranges = set.data.at("activations-ranges");
  REQUIRE(ranges.rows.at(0).at(ranges.column("calibrator")) == "minmax");
  for (std::size_t r = 0; r < ranges.rows.size(); ++r) {
    REQUIRE(ranges.rows[r][ranges.column("site")] == site);
    REQUIRE(ranges.number(r, ranges.column("lo")) >= ranges.number(0, ranges.column("lo")));
    REQUIRE(ranges.number(r, ranges.column("hi")) <= ranges.number(0, ranges.column("hi")));
  }
}

TEST_CASE("a resumed run makes the data that is missing and keeps what is there", "[app]") {
  const fs::path out = test::scratch("activation-data-resumed");
  REQUIRE(run_activations(out));
  const fs::path folder = out / "demo-planted-demo", lost = folder / "activations-channels.csv",
                 kept = folder / "activations-ranges.csv";
  const std::string bytes = read_file(lost);
  fs::remove(lost);
  write_file_atomically(kept, "site\nmine\n");
  REQUIRE(run_activations(out, "--resume"));
  REQUIRE(read_file(lost) == bytes);
  REQUIRE(read_file(kept) == "site\nmine\n");
  // A fresh run sets old data aside, so that none of it can stand beside new rows.
  REQUIRE(run_activations(out));
  REQUIRE(read_file(kept) != "site\nmine\n");
  REQUIRE(read_file(kept.string() + ".previous") == "site\nmine\n");
}
