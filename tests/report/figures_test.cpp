#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <tuple>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "report/figure.h"
#include "report/figures/drawing.h"
#include "report/figures/gnuplot.h"

using namespace outlierlab;
namespace fs = std::filesystem;

namespace {

bool has_gnuplot() {
  return std::system("gnuplot --version >/dev/null 2>&1") == 0;
}

#define SKIP_WITHOUT_GNUPLOT()                            \
  if (!has_gnuplot()) {                                   \
    WARN("skipped: needs gnuplot (package gnuplot-nox)"); \
    return;                                               \
  }

Row row(const std::string& experiment, const std::string& variant, const std::string& parameter,
        const std::string& value, const std::string& metric, double estimate, std::uint64_t n = 1000) {
  Row r;
  r.experiment = experiment;
  r.model = "tiny";
  r.task = "toy";
  r.variant = variant;
  r.parameter = parameter;
  r.value = value;
  r.metric = metric;
  r.estimate = estimate;
  r.n = n;
  if (metric == "accuracy") {
    r.ci_low = estimate - 1.5;
    r.ci_high = estimate + 1.5;
  }
  return r;
}

/// The results of a network with two layers of eight channels, of which channel 5 is loud. `name` may hold
/// anything that a folder's name can.
ResultSet results(const std::string& name = "tiny-toy") {
  ResultSet set;
  set.name = name;
  set.model = "tiny";
  set.task = "toy";
  const auto accuracy = [&](const std::string& experiment, const std::string& variant,
                            const std::string& parameter, const std::string& value, double estimate) {
    set.experiments[experiment].push_back(row(experiment, variant, parameter, value, "accuracy", estimate));
  };
  for (const std::string experiment : {"baseline", "calibration", "mixed_precision", "peg"}) {
    accuracy(experiment, "fp32", "", "", 90);
    accuracy(experiment, experiment == "calibration" ? "minmax" : "w8a8", "", "", 55);
  }
  accuracy("baseline", "w8", "", "", 89);
  for (const std::string p : {"99", "99.9", "99.99"})
    accuracy("calibration", "percentile", "percentile", p, 52);
  for (const std::string k : {"3", "6"}) accuracy("calibration", "clip", "sigmas", k, 60);
  accuracy("calibration", "clip", "bound", "20", 70);
  accuracy("calibration", "a_new_one", "strength", "0.5", 71);
  for (const std::string s : {"x", "h", "y", "x+h", "x+h+y"}) {
    accuracy("mixed_precision", "sites", "float", s, s.size() > 3 ? 89 : 56 + static_cast<double>(s.size()));
  }
  accuracy("mixed_precision", "sites", "16-bit", "x+h+y", 89);
  for (const std::string p : {"1", "5"}) accuracy("mixed_precision", "channels", "share", p, 80);
  const std::vector<std::string> kinds = {"query",     "scores",     "attention_output", "attention_residual",
                                          "ffn_input", "ffn_hidden", "ffn_output",       "ffn_residual",
                                          "output"};
  DataTable channels{
      "channels.csv", {"site", "layer", "channel", "min", "max", "mean", "absmax", "energy"}, {}};
  for (const std::string layer : {"0", "1"}) {
    for (const std::string& kind : kinds) {
      const std::string site = "layer." + layer + "." + kind;
      const std::uint64_t values = kind == "ffn_hidden" ? 32000 : 8000;
      set.experiments["activations"].push_back(
          row("activations", site, "layer", layer, "kurtosis", 40, values));
      set.experiments["activations"].push_back(
          row("activations", site, "layer", layer, "top1_energy", 30, values));
      accuracy("mixed_precision", "leave_one_out", "site", site, kind == "ffn_residual" ? 70 : 55);
      accuracy("mixed_precision", "only_one", "site", site, kind == "ffn_residual" ? 60 : 90);
      for (int c = 0; c < 8 && kind == "ffn_residual"; ++c) {
        channels.rows.push_back(
            {site, layer, std::to_string(c), "-1", "1", "0", c == 5 ? "80" : "1", c == 5 ? "640" : "10"});
      }
    }
  }
  set.experiments["activations"].push_back(
      row("activations", "shared_loud_channels", "", "", "sites", 12, 8));
  for (const std::string k : {"1", "3", "4", "8"}) {
    accuracy("peg", "peg", "groups", k, k == "1" ? 55 : 88);
    accuracy("peg", "peg-permuted", "groups", k, k == "1" ? 55 : 89);
  }
  for (const auto& [variant, speed] :
       {std::pair{"fp32", 1.0}, std::pair{"bf16", 1.8}, std::pair{"simulated:w8a8", 0.9},
        std::pair{"integer:w8a8", 2.8}, std::pair{"integer:w8a8-token", 2.4},
        std::pair{"of_unknown_memory:w8a8", 9.0}}) {
    for (const char* cell : {"1x16", "32x128"})
      set.experiments["deployment"].push_back(
          row("deployment", variant, "batch x length", cell, "speedup", speed));
    if (speed == 9.0) continue;
    set.experiments["deployment"].push_back(row("deployment", variant, "", "", "memory_weights_mb",
                                                std::string(variant).find("int") == 0 ? 25 : 90));
  }
  for (const auto& [variant, speed] :
       {std::pair{"cuda float:fp16", 1.0}, std::pair{"cuda float:bf16", 0.9},
        std::pair{"cuda integer:w8a8", 1.5}, std::pair{"cuda integer:peg-4", 1.3}}) {
    for (const char* cell : {"1x16", "32x128"})
      set.experiments["deployment"].push_back(
          row("deployment", variant, "batch x length", cell, "speedup", speed));
    set.experiments["deployment"].push_back(row("deployment", variant, "", "", "memory_weights_mb", 30));
  }
  accuracy("transforms", "fp32", "", "", 90);
  accuracy("transforms", "w8a8", "", "", 55);
  for (const std::string t : {"none", "smoothquant", "smoothquant, hadamard", "a_new_one"}) {
    if (t != "none") accuracy("transforms", "w8a8", "transform", t, 56);
    accuracy("transforms", "attention-4-bit", "transform", t, 80);
    set.experiments["transforms"].push_back(
        row("transforms", "attention-4-bit", "transform", t, "kl", t == "none" ? 0.1 : 0.02));
  }
  for (const auto& [variant, speed] : {std::pair{"fp32", 1.0}, std::pair{"simulated:w8a8", 0.9},
                                       std::pair{"integer:w8a8", 2.8}, std::pair{"a_new_device:w8a8", 9.0}}) {
    for (const char* network : {"bert-base", "bert-large"})
      set.experiments["deployment_shapes"].push_back(row(
          "deployment_shapes", variant, std::string(network) + " batch x length", "8x128", "speedup", speed));
  }
  for (const auto& [variant, rate] :
       {std::pair{"torch-fp32", 50.0}, std::pair{"ort-int8-static", 90.0}, std::pair{"outlierlab-fp32", 60.0},
        std::pair{"outlierlab-int8-w8a8", 150.0}}) {
    set.experiments["peers"].push_back(row("peers", variant, "", "", "throughput_examples", rate));
    set.experiments["peers"].push_back(row("peers", variant, "", "", "speedup", rate / 50));
    set.experiments["peers"].push_back(row("peers", variant, "", "", "accuracy", 82));
  }
  const auto roofline = [&](const std::string& variant, const std::string& parameter,
                            const std::string& value, const std::string& metric, double estimate) {
    set.experiments["roofline"].push_back(row("roofline", variant, parameter, value, metric, estimate));
  };
  roofline("peak:memory", "2 threads", "triad", "gbytes", 30);
  for (const auto& [kind, variant, peak] :
       {std::tuple{"fp32", "float:fp32", 500.0}, std::tuple{"int8", "integer:int8", 2000.0}}) {
    roofline(std::string("peak:") + kind, "2 threads", "instruction", "gops", peak);
    for (const std::string shape : {"16x8x8", "128x8x32"}) {
      roofline(variant, "gemm of toy, 2 threads", shape, "gops", 0.8 * peak);
      roofline(variant, "gemm of toy, 2 threads", shape, "arithmetic_intensity", shape.size() * 4.0);
    }
  }
  set.data["activations-channels"] = channels;
  const std::string site = "layer.1.ffn_output";
  set.data["activations-histograms"] =
      parse_data_table("site,part,channel,lower,upper,count\n" + site + ",site,,-1,0,50\n" + site +
                           ",site,,0,1,50\n" + site + ",site,,99,100,3\n" + site + ",loud,5,99,100,3\n" +
                           site + ",quiet,2,-1,0,5\n" + site + ",quiet,2,0,1,5\n",
                       "histograms.csv");
  set.data["activations-ranges"] =
      parse_data_table("site,calibrator,parameter,value,lo,hi\n" + site + ",minmax,,,-1,100\n" + site +
                           ",percentile,percentile,99.9,-0.5,0.9\n",
                       "ranges.csv");
  return set;
}

std::map<std::string, std::string> sources(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string extension = entry.path().extension();
    if (extension == ".gp" || extension == ".tsv") files[entry.path().filename()] = read_file(entry.path());
  }
  return files;
}

}  // namespace

TEST_CASE("every figure has a name of its own, a summary and an experiment", "[report][figures]") {
  std::set<std::string> names;
  for (const FigureKind& kind : figure_kinds()) {
    INFO(kind.name);
    REQUIRE(names.insert(kind.name).second);
    REQUIRE_FALSE(kind.summary.empty());
    REQUIRE_FALSE(kind.experiments.empty());
  }
  REQUIRE(names.size() >= 9);
}

TEST_CASE("complete results give every figure in every format, and the same bytes again",
          "[report][figures]") {
  SKIP_WITHOUT_GNUPLOT();
  const fs::path first = test::scratch("figures"), second = test::scratch("figures-again");
  std::vector<SkippedFigure> skipped;
  const std::vector<Figure> figures = make_figures({results()}, first, {}, &skipped);
  for (const SkippedFigure& figure : skipped) FAIL_CHECK(figure.name << ": " << figure.reason);
  REQUIRE(figures.size() == figure_kinds().size());
  make_figures({results()}, second);
  REQUIRE(sources(first) == sources(second));
  for (const Figure& figure : figures) {
    INFO(figure.name);
    REQUIRE(figure.caption.find("tiny") != std::string::npos);
    REQUIRE(figure.caption.find("nan") == std::string::npos);
    REQUIRE(figure.command == "outlierlab report --figure " + figure.name);
    const std::string pdf = read_file(figure.pdf), svg = read_file(figure.svg);
    REQUIRE(pdf.compare(0, 5, "%PDF-") == 0);
    REQUIRE(pdf.find("CreationDate (D:2") == std::string::npos);
    REQUIRE(svg.find("</svg>") != std::string::npos);
    REQUIRE(svg.find("GNUPLOT") == std::string::npos);
    REQUIRE(svg.find("<title>" + figure.title + "</title>") != std::string::npos);
    REQUIRE(svg.find("mm\" height=\"") != std::string::npos);
    REQUIRE(fs::file_size(figure.png) > 2000);
    REQUIRE(pdf == read_file(second / figure.pdf.filename()));
    REQUIRE(svg == read_file(second / figure.svg.filename()));
  }
}

TEST_CASE("a script runs by hand, in its folder, without a word", "[report][figures]") {
  SKIP_WITHOUT_GNUPLOT();
  const fs::path folder = test::scratch("figures-by-hand");
  const Figure figure = make_figures({results()}, folder, {"peg"}).at(0);
  fs::remove(figure.svg);
  const std::string command = "cd " + folder.string() + " && LC_ALL=C.UTF-8 gnuplot -e 'formats=\"svg\"' " +
                              figure.name + ".gp >said 2>&1";
  REQUIRE(std::system(command.c_str()) == 0);
  REQUIRE(read_file(folder / "said").empty());
  REQUIRE(fs::file_size(figure.svg) > 2000);
}

TEST_CASE("the data of a figure holds the rows' numbers, and the paper's", "[report][figures]") {
  SKIP_WITHOUT_GNUPLOT();
  const fs::path folder = test::scratch("figures-data");
  make_figures({results()}, folder,
               {"peg", "calibration", "mixed-precision", "transforms", "deployment", "deployment-cuda",
                "deployment-shapes", "peers"});
  const auto files = sources(folder);
  const std::string peg = files.at("peg-tiny-toy.tsv");
  REQUIRE(peg.find("neighbours\t4\t88\t86.5\t89.5\n") != std::string::npos);
  REQUIRE(peg.find("sorted\t8\t89\t87.5\t90.5\n") != std::string::npos);
  REQUIRE(peg.find("paper\t3\t66.12\tNaN\tNaN\n") != std::string::npos);
  const std::string deployment = files.at("deployment-tiny-toy.tsv");
  REQUIRE(deployment.find("\t2.4\tNaN\tNaN\t25\tmedian\tinteger w8a8-token\n") != std::string::npos);
  // A device's methods are compared with one another alone.
  REQUIRE(deployment.find("FP16") == std::string::npos);
  const std::string cuda = files.at("deployment-cuda-tiny-toy.tsv");
  REQUIRE(cuda.find("cuda integer median\t2\t1.5\tNaN\tNaN\t30\tmedian\tinteger w8a8\n") !=
          std::string::npos);
  REQUIRE(cuda.find("simulated") == std::string::npos);
  // Ways of execution, transforms and programs that nobody has foreseen stand beside the others.
  REQUIRE(files.at("deployment-shapes-tiny-toy.tsv").find("a_new_device median\t3\t9\t") !=
          std::string::npos);
  REQUIRE(files.at("transforms-tiny-toy.tsv").find("\t80\t78.5\t81.5\t0.02\ta new one\n") !=
          std::string::npos);
  REQUIRE(files.at("peers-tiny-toy.tsv")
              .find("ours integer\t4\t150\t150\t150\t82\t80.5\t83.5\toutlierlab int8, w8a8\n") !=
          std::string::npos);
  // A calibrator that nobody has foreseen is shown beside the others.
  REQUIRE(files.at("calibration-tiny-toy.tsv").find("\t71\t69.5\t72.5\ta_new_one 0.5\n") !=
          std::string::npos);
  // 3 x 16,000 of 192,000 values: two layers of eight sites with 8,000 values and one with 32,000.
  REQUIRE(files.at("mixed-precision-tiny-toy.tsv").find("sites\t25\t89\t") != std::string::npos);
}

TEST_CASE("what is missing is skipped, with the command that makes it", "[report][figures]") {
  SKIP_WITHOUT_GNUPLOT();
  const fs::path folder = test::scratch("figures-missing");
  ResultSet set = results();
  set.experiments.erase("peg");
  set.data.erase("activations-channels");
  std::vector<SkippedFigure> skipped;
  const std::vector<Figure> made = make_figures({set}, folder, {}, &skipped);
  REQUIRE(made.size() == figure_kinds().size() - 3);
  std::map<std::string, std::string> reasons;
  for (const SkippedFigure& figure : skipped) reasons[figure.name] = figure.reason;
  REQUIRE(reasons.size() == 3);
  REQUIRE(reasons.at("peg-tiny-toy") == "tiny-toy: run: outlierlab run peg --model tiny --task toy");
  REQUIRE(reasons.at("channels-tiny-toy").find("run activations ") != std::string::npos);
  REQUIRE_FALSE(fs::exists(folder / "peg-tiny-toy.gp"));

  skipped.clear();
  REQUIRE(make_figures({set}, folder, {"mixed-precision"}, &skipped).size() == 1);
  REQUIRE(skipped.empty());
  REQUIRE(make_figures({set}, folder, {"peg-tiny-toy"}, &skipped).empty());
  REQUIRE(skipped.size() == 1);
  // What is measured on request only is missed only where it was asked for.
  skipped.clear();
  set.experiments.erase("peers");
  make_figures({set}, folder, {}, &skipped);
  REQUIRE(skipped.size() == 3);
  make_figures({set}, folder, {"peers"}, &skipped);
  REQUIRE(skipped.back().reason.find("bench/peers/peers.py --csv results/tiny-toy/peers.csv") !=
          std::string::npos);
  REQUIRE_ERROR(make_figures({set}, folder, {"pgg"}), "figure 'pgg'", "'peg'");
}

TEST_CASE("an experiment that was stopped early gives no half figure", "[report][figures]") {
  SKIP_WITHOUT_GNUPLOT();
  ResultSet set = results();
  set.experiments["mixed_precision"].pop_back();  // the last site of one of the two studies
  std::vector<SkippedFigure> skipped;
  REQUIRE(make_figures({set}, test::scratch("figures-half"), {"sensitivity"}, &skipped).empty());
  REQUIRE(skipped.at(0).reason.find("--resume") != std::string::npos);
}

TEST_CASE("names reach gnuplot as text, not as commands", "[report][figures]") {
  SKIP_WITHOUT_GNUPLOT();
  REQUIRE(literal("it's `date` \"$x\"\n") == "'it''s `date` \"$x\" '");
  const fs::path folder = test::scratch("figures-names");
  ResultSet set = results("a'b `touch spoiled` {_}-toy");
  set.model = "a'b `touch spoiled` {_} %d";
  for (const Figure& figure : make_figures({set}, folder)) {
    INFO(figure.name);
    REQUIRE(fs::file_size(figure.svg) > 2000);
  }
  REQUIRE_FALSE(fs::exists(folder / "spoiled"));
}

TEST_CASE("gnuplot's message is one line with the script's name", "[report][figures]") {
  SKIP_WITHOUT_GNUPLOT();
  const fs::path script = test::scratch("figures-error") / "bad.gp";
  write_file_atomically(script, "set terminal svg\nplott sin(x)\n");
  REQUIRE_ERROR(run_gnuplot(script), "bad.gp", "invalid command");
}

TEST_CASE("labels are pushed apart, in order and within the axis", "[report][figures]") {
  const std::vector<double> places = spread_apart({50, 50, 49.5, 90}, 4, {45, 95});
  REQUIRE(places[1] - places[0] >= 3.9);
  REQUIRE(places[0] - places[2] >= 3.9);
  REQUIRE(places[2] >= 45);
  REQUIRE(places[3] == 90);
  REQUIRE(spread_apart({}, 4, {0, 1}).empty());
}

TEST_CASE("data files are read beside the rows and not as rows", "[report][figures]") {
  const fs::path folder = test::scratch("figures-data-files") / "tiny-toy";
  write_file_atomically(folder / "baseline.csv", to_csv(results().rows("baseline")));
  write_file_atomically(folder / "activations-ranges.csv", "site,lo\na,-1.5\n");
  const std::vector<ResultSet> sets = read_results(folder.parent_path());
  REQUIRE(sets.at(0).experiments.size() == 1);
  const DataTable& table = sets[0].data.at("activations-ranges");
  REQUIRE(table.number(0, table.column("lo")) == -1.5);
  REQUIRE_ERROR(table.number(0, 0), "activations-ranges.csv:2", "'a'");
  REQUIRE_ERROR(table.column("hi"), "column 'hi'");
  REQUIRE_ERROR(parse_data_table("a,b\n1\n", "f.csv"), "f.csv:2", "2 fields", "found 1");
  REQUIRE_ERROR(parse_data_table("a,b\n1,2", "f.csv"), "f.csv:2", "a line end");
  REQUIRE_ERROR(parse_data_table("", "f.csv"), "f.csv", "a header");
}
