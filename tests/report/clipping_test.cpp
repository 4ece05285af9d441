#include "report/clipping.h"

#include "catch.h"
#include "report/clipping_html.h"
#include "xml.h"

using namespace outlierlab;

namespace {

ClippingExample example() {
  ClippingExample e;
  e.site = "layer.1.ffn_output";
  e.whole = {"", {{-5, 0, 60}, {0, 5, 60}, {50, 100, 10}}};
  e.loud = {"7", {{0, 10, 10}, {50, 100, 10}}};
  e.quiet = {"3", {{-1, 0, 5}, {0, 1, 15}}};
  return e;
}

ResultSet with_histograms(const std::string& csv) {
  ResultSet set;
  set.data["activations-histograms"] = parse_data_table(csv, "h.csv");
  return set;
}

const std::string header = "site,part,channel,lower,upper,count\n";

}  // namespace

TEST_CASE("a bound sets step, clipped shares and the levels of each channel", "[clipping]") {
  const ClippingExample e = example();
  REQUIRE(e.largest_bound() == 100);
  REQUIRE(e.least_bound() == 0.25);

  // [-5, 100] in 255 steps; the quiet channel's [-1, 1] lies between levels round(-2.43) and round(2.43).
  const ClippingReading widest = read_clipping(e, 100, 8);
  REQUIRE(widest.lo == -5);
  REQUIRE(widest.hi == 100);
  REQUIRE(widest.step == Approx(105.0 / 255));
  REQUIRE(widest.levels == 256);
  REQUIRE(widest.quiet_levels == 5);
  REQUIRE(widest.loud_levels == 244);
  REQUIRE(widest.loud_clipped == 0);
  REQUIRE(widest.whole_clipped == 0);

  // The bound cuts the outlier channel's upper bin at three fifths, and leaves the lower end where it was.
  const ClippingReading cut = read_clipping(e, 80, 8);
  REQUIRE(cut.lo == -5);
  REQUIRE(cut.loud_clipped == Approx(0.2));
  REQUIRE(cut.whole_clipped == Approx(4.0 / 130));

  const ClippingReading narrow = read_clipping(e, 1, 2);
  REQUIRE(narrow.lo == -1);
  REQUIRE(narrow.hi == 1);
  REQUIRE(narrow.levels == 4);
  REQUIRE(narrow.quiet_levels == 4);
  REQUIRE(narrow.quiet_clipped == 0);
  REQUIRE(narrow.loud_clipped == Approx(0.95));
}

TEST_CASE("zero stays within the grid where all values have one sign", "[clipping]") {
  ClippingExample e = example();
  e.whole = e.quiet = {"", {{2, 3, 5}}};
  const ClippingReading r = read_clipping(e, 3, 2);
  REQUIRE(r.lo == 0);
  REQUIRE(r.hi == 3);
  REQUIRE(r.quiet_levels == 2);
}

TEST_CASE("histograms come from the data beside the rows, and damage is named", "[clipping]") {
  REQUIRE_FALSE(clipping_example(ResultSet{}));
  const std::string rest = "s,site,,-1,2,9\ns,loud,7,0,2,3\n";
  const auto read = clipping_example(with_histograms(header + rest + "s,quiet,3,-1,0,1\ns,quiet,3,0,1,2\n"));
  REQUIRE(read->site == "s");
  REQUIRE(read->loud.channel == "7");
  REQUIRE(read->quiet.total() == 3);
  REQUIRE(read->quiet.low() == -1);
  const auto broken = [&](const std::string& line) { return with_histograms(header + rest + line); };
  REQUIRE_ERROR(clipping_example(broken("")), "h.csv", "quiet");
  REQUIRE_ERROR(clipping_example(broken("s,silent,3,0,1,2\n")), "h.csv:4", "'silent'");
  REQUIRE_ERROR(clipping_example(broken("s,quiet,3,1,0,2\n")), "h.csv:4", "ascending");
  REQUIRE_ERROR(clipping_example(broken("s,quiet,3,0,1,0\n")), "h.csv:4", "empty");
  REQUIRE_ERROR(clipping_example(broken("s,quiet,3,0,1,2\ns,quiet,3,0.5,2,2\n")), "h.csv:5", "ascending");
  REQUIRE_ERROR(clipping_example(broken("s,quiet,3,0,one,2\n")), "h.csv:4", "'one'");
}

TEST_CASE("the figure says without script what it shows", "[clipping]") {
  const std::string html = clipping_html(example(), "c");
  const test::Xml xml = test::XmlReader("<div>" + html + "</div>").read();
  REQUIRE(std::set<std::string>(xml.ids.begin(), xml.ids.end()).size() == xml.ids.size());
  REQUIRE(html.find(
              "With 8 bits and the bound at ±100 one step is 0.412: 0 % of the outlier channel&#39;s values "
              "are clipped, and the quiet channel gets 5 of 256 levels.") != std::string::npos);
  REQUIRE(html.find("\"quiet\":[-1,0,5,0,1,15]") != std::string::npos);
  REQUIRE(html.find("nan") == std::string::npos);
  REQUIRE(html.find("inf") == std::string::npos);
}
