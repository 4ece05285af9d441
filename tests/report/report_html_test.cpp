#include <set>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "report/report.h"
#include "xml.h"

using namespace outlierlab;

namespace {

Row accuracy(const std::string& experiment, const std::string& variant, double estimate,
             const std::string& parameter = "", const std::string& value = "") {
  Row r;
  r.experiment = experiment;
  r.variant = variant;
  r.parameter = parameter;
  r.value = value;
  r.metric = "accuracy";
  r.estimate = estimate;
  r.ci_low = estimate - 1;
  r.ci_high = estimate + 1;
  return r;
}

ResultSet results_of(const std::string& model, bool planted) {
  ResultSet set;
  set.name = model + "-demo";
  set.model = model;
  set.task = "demo";
  set.planted = planted;
  set.experiments["baseline"] = {accuracy("baseline", "fp32", 90), accuracy("baseline", "w8a8", 54),
                                 accuracy("baseline", "w8", 89.5), accuracy("baseline", "a8", 55)};
  set.data["activations-histograms"] = parse_data_table(
      "site,part,channel,lower,upper,count\n"
      "s,site,,-8,-1,40\ns,site,,-1,1,900\ns,site,,30,60,60\n"
      "s,loud,7,-1,1,40\ns,loud,7,30,60,60\n"
      "s,quiet,3,-0.75,0,50\ns,quiet,3,0,0.5,50\n",
      "activations-histograms.csv");
  return set;
}

const std::vector<ExperimentInfo> known = {{"baseline", "C1", "Does it break?", "four schemes"},
                                           {"peg", "C6", "Do groups help?", "groups"}};

Figure figure(const std::filesystem::path& folder, const std::string& name, const std::string& experiment,
              const std::string& model = "") {
  Figure f;
  f.name = name;
  f.experiment = experiment;
  f.model = model;
  f.title = "Title of " + name + " <&>";
  f.caption = "Caption of " + name;
  f.svg = folder / (name + ".svg");
  f.pdf = folder / (name + ".pdf");
  f.png = folder / (name + ".png");
  f.command = "outlierlab report --figure " + name;
  write_file_atomically(
      f.svg,
      "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
      "xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"200\" height=\"100\" viewBox=\"0 0 200 "
      "100\"><defs><circle id=\"gpDot\" r=\"1\"/></defs><use xlink:href=\"#gpDot\"/></svg>\n");
  return f;
}

Report two_models(const std::filesystem::path& folder) {
  Report report;
  report.models = {make_report(results_of("plain", false)), make_report(results_of("grown", true))};
  report.experiments = known;
  report.figures = {figure(folder, "headline", "overview"), figure(folder, "all", "baseline"),
                    figure(folder, "one", "baseline", "grown-demo")};
  report.skipped = {{"depth", "needs activations: outlierlab run activations"}};
  return report;
}

test::Xml checked(const std::string& page) {
  const test::Xml xml = test::XmlReader(page).read();
  std::set<std::string> ids;
  for (const std::string& id : xml.ids) {
    INFO(id);
    CHECK(ids.insert(id).second);
  }
  for (const std::string& reference : xml.references) {
    INFO(reference);
    CHECK(ids.count(reference) == 1);
  }
  return xml;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

}  // namespace

TEST_CASE("the page is well-formed, its ids are unique, and every reference leads somewhere", "[page]") {
  const auto folder = test::scratch("page");
  const Report report = two_models(folder);
  const std::string page = report_html(report);
  checked(page);
  REQUIRE(page == report_html(report));
  REQUIRE(count(page, "<svg ") == 5);  // three figures, and one interactive figure per model
  REQUIRE(page.find("id=\"figure-one-gpDot\"") != std::string::npos);
  REQUIRE(page.find("Title of all &lt;&amp;&gt;") != std::string::npos);
  REQUIRE(page.find("outlierlab report --figure one") != std::string::npos);
  REQUIRE(page.find("needs activations: outlierlab run activations") != std::string::npos);
  for (const char* elsewhere : {"src=", "@import", "<link", "url(http", "fetch(", "XMLHttpRequest"}) {
    INFO(elsewhere);
    REQUIRE(page.find(elsewhere) == std::string::npos);
  }
}

TEST_CASE("hostile names stay text", "[page]") {
  ResultSet set = results_of("<script>alert(1)</script>", false);
  set.experiments["baseline"].push_back(accuracy("baseline", "a&b\"><img src=x>", 50, "]]>", "'--"));
  Report report;
  report.models = {make_report(set)};
  const std::string page = report_html(report);
  checked(page);
  REQUIRE(page.find("<script>alert") == std::string::npos);
  REQUIRE(page.find("<img") == std::string::npos);
  REQUIRE(page.find("a&amp;b&quot;&gt;&lt;img src=x&gt;") != std::string::npos);
}

TEST_CASE("verdicts come first, by claim, and planted models are marked", "[page]") {
  const auto folder = test::scratch("page-order");
  const std::string page = report_html(two_models(folder));
  std::size_t at = 0;
  for (const char* claim : {"<b>C1</b>", "<b>C2</b>", "<b>C3</b>", "<b>C4</b>", "<b>C5</b>", "<b>C6</b>"}) {
    const std::size_t found = page.find(claim);
    REQUIRE(found != std::string::npos);
    REQUIRE(found > at);
    at = found;
  }
  REQUIRE(at < page.find("id=\"figure-headline\""));
  REQUIRE(page.find("id=\"figure-headline\"") < page.find("id=\"experiment-baseline\""));
  REQUIRE(page.find("id=\"experiment-baseline\"") < page.find("id=\"experiment-peg\""));
  REQUIRE(page.find("id=\"experiment-peg\"") < page.find("id=\"provenance\""));
  REQUIRE(page.find("grown on demo <span class=\"planted\">planted</span>") != std::string::npos);
  REQUIRE(page.find("plain on demo <span class=\"planted\">") == std::string::npos);
  REQUIRE(page.find("<body data-leading=\"plain-demo\">") != std::string::npos);
}

TEST_CASE("missing experiments say what to run, unknown ones have a section", "[page]") {
  Report report;
  ResultSet set = results_of("plain", false);
  set.experiments["novelty"] = {accuracy("novelty", "fp32", 90), accuracy("novelty", "mine", 80)};
  report.models = {make_report(set)};
  report.experiments = known;
  const std::string page = report_html(report), markdown = report_markdown(report);
  checked(page);
  for (const std::string& text : {page, markdown}) {
    REQUIRE(text.find("outlierlab run peg --model plain --task demo") != std::string::npos);
    REQUIRE(text.find("The one other setting gives mine 80.00.") != std::string::npos);
    REQUIRE(text.find("no data") != std::string::npos);
  }
  REQUIRE(page.find("id=\"experiment-novelty\"") != std::string::npos);
  REQUIRE_NOTHROW(checked(report_html(Report{})));
}

TEST_CASE("the model that says most leads", "[page]") {
  std::vector<ModelReport> models = {make_report(results_of("a", true)), make_report(results_of("b", false))};
  REQUIRE(leading_model(models) == 1);
  models.push_back(make_report(results_of("c", false)));
  REQUIRE(leading_model(models) == 1);
  models[2].experiments.push_back(models[2].experiments[0]);
  REQUIRE(leading_model(models) == 2);
}

TEST_CASE("how the rows were made comes from the file beside them", "[page]") {
  const auto folder = test::scratch("page-records");
  write_file_atomically(folder / "baseline.json",
                        R"({"command": "outlierlab run baseline --seeds 3 --out results", "threads": 2,
                            "wall_seconds": 12.345, "peak_memory_bytes": 460000000, "revision": "abc",
                            "cpu": "a processor",
                            "devices": {"cuda": {"device": "NVIDIA H100", "at_start": {"driver": "999.1"}}},
                            "files": {"checkpoint": {"name": "m.safetensors", "sha256": "00ff"}}})");
  Report report;
  ResultSet set = results_of("plain", false);
  set.records = read_run_records(folder);
  report.models = {make_report(set)};
  const std::string page = report_html(report);
  checked(page);
  REQUIRE(page.find("<code>outlierlab run baseline --seeds 3 --out results</code>") != std::string::npos);
  REQUIRE(page.find("<td class=\"n\">12.3</td><td class=\"n\">460</td><td class=\"n\">2</td>") !=
          std::string::npos);
  REQUIRE(page.find("a processor, NVIDIA H100, driver 999.1</td>") != std::string::npos);
  REQUIRE(page.find("<td class=\"w\">m.safetensors</td><td class=\"w\">00ff</td>") != std::string::npos);
  REQUIRE(report_markdown(report).find("    outlierlab run baseline --seeds 3 --out results\n") !=
          std::string::npos);

  write_file_atomically(
      folder / "peg.json",
      R"({"command": "outlierlab run peg --limit 100 --set weights.bits=4 --out r --set=a.b=c", "examples": "100",
                            "split_examples": "5463", "executors": {"integer:w8a8": "cpu amx"}})");
  const RunRecord record = read_run_record(folder / "peg.json");
  REQUIRE(record.examples == 100);
  REQUIRE(record.split_examples == 5463);
  REQUIRE(record.limit == 100);
  REQUIRE(record.overrides == std::vector<std::string>{"weights.bits=4", "a.b=c"});
  REQUIRE(execution_text(record) == "integer products with AMX");
  for (const char* written : {R"({"max_length": "128"})", R"({"max_length": 128})"}) {  // program, script
    write_file_atomically(folder / "peg.json", written);
    REQUIRE(read_run_record(folder / "peg.json").max_length == "128");
  }
  write_file_atomically(folder / "peg.json", R"({"max_length": [128]})");
  REQUIRE_ERROR(read_run_record(folder / "peg.json"), "peg.json: max_length", "a text", "[128]");
  write_file_atomically(folder / "peg.json", R"({"examples": "many"})");
  REQUIRE_ERROR(read_run_record(folder / "peg.json"), "peg.json: examples", "a whole number", "'many'");
  write_file_atomically(folder / "peg.json", R"({"executors": {"integer:w8a8": 1}})");
  REQUIRE_ERROR(read_run_record(folder / "peg.json"), "peg.json: executors: integer:w8a8", "a text", "1");
  std::filesystem::remove(folder / "peg.json");

  write_file_atomically(folder / "baseline.json", "{\"threads\": \"two\"}");
  REQUIRE_ERROR(read_run_records(folder), "baseline.json: threads", "a whole number", "two");
  write_file_atomically(folder / "baseline.json", R"({"devices": {"cuda": {"device": 7}}})");
  REQUIRE_ERROR(read_run_records(folder), "baseline.json: devices.cuda: device", "a text", "7");
  write_file_atomically(folder / "baseline.json", "{");
  REQUIRE_ERROR(read_run_records(folder), "baseline.json", "JSON");
  write_file_atomically(folder / "baseline.json", "[]");
  REQUIRE_ERROR(read_run_records(folder), "baseline.json", "a JSON object");
}

TEST_CASE("Markdown links figures from where it lies and folds long tables", "[page]") {
  const auto folder = test::scratch("page-markdown");
  Report report = two_models(folder / "figures");
  ResultSet set = results_of("plain", false);
  for (int i = 0; i < 40; ++i) {
    set.experiments["peg"].push_back(accuracy("peg", "peg", 50, "groups", std::to_string(i + 1)));
  }
  report.models[0] = make_report(set);
  const std::string text = report_markdown(report, folder / "out");
  REQUIRE(text.find("![Title of all <&>](../figures/all.png)") != std::string::npos);
  REQUIRE(text.find("<details><summary>peg (40 rows)</summary>\n\n| variant |") != std::string::npos);
  REQUIRE(text.find("Does it break? Measured: four schemes.") != std::string::npos);
}
