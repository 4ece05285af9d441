#include <fmt/format.h>

#include <algorithm>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "report/latex_text.h"
#include "report/report_latex.h"

using namespace outlierlab;

namespace {

Row row(const std::string& variant, const std::string& parameter, const std::string& value, double estimate,
        const std::string& metric = "accuracy", std::uint64_t n = 1234) {
  Row r;
  r.variant = variant;
  r.parameter = parameter;
  r.value = value;
  r.metric = metric;
  r.estimate = estimate;
  r.n = n;
  if (metric == "accuracy") {
    r.ci_low = estimate - 1;
    r.ci_high = estimate + 1;
  }
  return r;
}

ResultSet set_of(const std::string& name, std::map<std::string, std::vector<Row>> experiments) {
  ResultSet set;
  set.name = name;
  set.model = "tiny";
  set.task = "qnli";
  set.experiments = std::move(experiments);
  return set;
}

ResultSet example() {
  ResultSet set =
      set_of("tiny-qnli",
             {{"baseline", {row("fp32", "", "", 90), row("w8a8", "", "", 54)}},
              {"peg",
               {row("fp32", "", "", 90), row("w8a8", "", "", 54), row("w8a8", "", "", 1e-9, "mcnemar_p"),
                row("peg", "groups", "1", 54), row("peg", "groups", "3", 66.123),
                row("peg", "groups", "4", 86.18), row("peg", "groups", "16", 87)}},
              {"activations",
               {row("layer.0.ffn_residual", "layer", "0", 5.25, "kurtosis"),
                row("layer.1.ffn_residual", "layer", "1", 271.04, "kurtosis")}}});
  set.planted = true;
  return set;
}

bool holds(const std::string& text, const std::string& part) {
  INFO("expected: " << part);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("text is escaped for LaTeX", "[report][latex]") {
  REQUIRE(latex_escaped("5 % of a_b & #1 {x} $y") == "5 \\% of a\\_b \\& \\#1 \\{x\\} \\$y");
  REQUIRE(latex_escaped("~^\\\n±") == "\\textasciitilde{}\\textasciicircum{}\\textbackslash{} ±");
}

TEST_CASE("names of numbers follow from keys", "[report][latex]") {
  REQUIRE(latex_key({"m-t", "peg", "peg", "groups", "4", "accuracy"}) == "m-t/peg/peg/groups/4/accuracy");
  REQUIRE(latex_key({"m-t", "baseline", "w8a8", "", "", "accuracy"}) == "m-t/baseline/w8a8/accuracy");
  REQUIRE(latex_key({"a b%c", "x+h+y", "q_8.0"}) == "a-b-c/x+h+y/q_8.0");
}

TEST_CASE("numbers read as LaTeX", "[report][latex]") {
  REQUIRE(latex_number(54.333, "accuracy") == "54.33");
  REQUIRE(latex_number(-1.2e-5, "kl") == "\\ensuremath{-}1.2\\ensuremath{\\times10^{-5}}");
  REQUIRE(latex_number(1e-30, "mcnemar_p") == "\\ensuremath{<}0.001");
  REQUIRE(latex_number(0.25, "mcnemar_p") == "0.250");
  REQUIRE(latex_number(49, "channel") == "49");
  REQUIRE(latex_count(5463) == "5\\,463");
  REQUIRE(latex_count(1234567) == "1\\,234\\,567");
  REQUIRE(latex_percent(-0.2) == "0");
  REQUIRE(latex_number(12355.7, "kurtosis") == "12\\,356");
  REQUIRE(latex_number(240.04, "kurtosis") == "240.0");
  REQUIRE(latex_prose("p = 4.8e-54, K <= 16 (5 %), 1e+04 of a_e2") ==
          "p = 4.8\\ensuremath{\\times10^{-54}}, K \\ensuremath{\\le} 16 (5 \\%), "
          "1\\ensuremath{\\times10^{4}} of a\\_e2");
}

TEST_CASE("settings read in the paper's words, unknown ones by their names", "[report][latex]") {
  REQUIRE(latex_setting("fp32", "", "") == "FP32");
  REQUIRE(latex_setting("peg-permuted", "groups", "4") == "PEG permuted, $K=4$");
  REQUIRE(latex_setting("sites", "float", "x+h") == "$x$, $h$ in float");
  REQUIRE(latex_setting("channels", "share", "1") == "top 1\\,\\% of channels in float");
  REQUIRE(latex_setting("my_method", "a_b", "5%") == "my\\_method, a\\_b = 5\\%");
}

TEST_CASE("every row becomes a number, and what follows from the rows by rule", "[report][latex]") {
  const std::string text = latex_numbers({example()});
  REQUIRE(holds(text, "\\olnumber{tiny-qnli/baseline/w8a8/accuracy}{54.00}{53.00}{55.00}{1\\,234}\n"));
  REQUIRE(holds(text, "\\olnumber{tiny-qnli/peg/peg/groups/3/accuracy}{66.12}{65.12}{67.12}{1\\,234}\n"));
  REQUIRE(holds(text, "\\olnumber{tiny-qnli/peg/loss/accuracy}{36.00}{}{}{}\n"));
  REQUIRE(holds(text, "\\olnumber{tiny-qnli/peg/peg/groups/best/accuracy}{87.00}"));
  REQUIRE(holds(text, "\\oltext{setting}{tiny-qnli/peg/peg/groups/best}{PEG, $K=16$}\n"));
  REQUIRE(holds(text, "\\olnumber{tiny-qnli/peg/peg/groups/best/recovery}{92}"));
  REQUIRE(holds(text, "\\oltext{enough}{tiny-qnli/peg/peg/groups}{4}\n"));
  REQUIRE(holds(text, "\\olnumber{tiny-qnli/activations/ffn_residual/layer/max/kurtosis}{271.0}"));
  REQUIRE(holds(text, "\\oltext{layer}{tiny-qnli/activations/ffn_residual/layer/max/kurtosis}{1}\n"));
  REQUIRE(holds(text, "\\oltext{paper}{baseline/w8a8/accuracy}{54.33}\n"));
  REQUIRE(holds(text, "\\oltext{paper}{deployment/w8a8/latency_ms}{58--59}\n"));
  REQUIRE(holds(text, "\\oltext{verdict}{tiny-qnli/C1}{confirmed}\n"));
  REQUIRE(holds(text, "\\oltext{claims}{tiny-qnli/confirmed}{C1, C6}\n"));
  REQUIRE(holds(text, "\\oltext{experiment}{C5}{mixed\\_precision}\n"));
  REQUIRE(holds(text, "\\oltext{reading}{tiny-qnli/peg}{"));
  REQUIRE(
      holds(text, "\\oltext{trend}{tiny-qnli/activations/ffn_residual/layer/trend/kurtosis}{neither rises"));
  SECTION("what executed the methods, where the record tells") {
    RunRecord record;
    record.cpu = "a processor";
    record.instructions = "avx512";
    const auto with = [&] {
      ResultSet set = example();
      set.records["deployment"] = record;
      return latex_numbers({set});
    };
    REQUIRE(with().find("\\oltext{executed}") == std::string::npos);
    REQUIRE(holds(with(), "\\oltext{machine}{tiny-qnli/deployment}{a processor, avx512}\n"));
    record.executors["integer:w8a8"] = "cpu amx";
    REQUIRE(holds(with(),
                  "\\oltext{executed}{tiny-qnli/deployment}{integer products with AMX, float32 with "
                  "AVX-512}\n"));
    REQUIRE(holds(with(), "\\oltext{machine}{tiny-qnli/deployment}{a processor}\n"));
    record.executors = {{"cuda integer:w8a8", "sm_90"}};
    REQUIRE(with().find("\\oltext{executed}") == std::string::npos);
    REQUIRE(holds(with(), "\\oltext{machine}{tiny-qnli/deployment}{a processor}\n"));
  }
  SECTION("settings that are as good as the best are counted") {
    ResultSet tie = example();
    tie.experiments["peg"].back().estimate = 86.18;
    REQUIRE(holds(latex_numbers({tie}), "{tiny-qnli/peg/peg/groups/best}{PEG, $K=4$ and one other alike}\n"));
  }
  SECTION("a verdict without data is left out, so that the article's build says what to run") {
    REQUIRE(text.find("{tiny-qnli/C4}") == std::string::npos);
  }
  SECTION("the same bytes again") {
    REQUIRE(latex_numbers({example()}) == text);
    REQUIRE(latex_tables({example()}) == latex_tables({example()}));
  }
}

TEST_CASE("no share of a loss for rows on other examples, or without a loss", "[report][latex]") {
  const auto numbers = [](double w8a8, std::uint64_t n) {
    return latex_numbers({set_of("t", {{"calibration",
                                        {row("fp32", "", "", 90), row("minmax", "", "", w8a8),
                                         row("percentile", "percentile", "99", 80, "accuracy", n),
                                         row("percentile", "percentile", "99.9", 82, "accuracy", n)}}})});
  };
  REQUIRE(numbers(54, 1234).find("best/recovery}{78}") != std::string::npos);
  REQUIRE(numbers(54, 1000).find("recovery") == std::string::npos);
  REQUIRE(numbers(90, 1234).find("recovery") == std::string::npos);
}

TEST_CASE("two rows whose names fall together are refused", "[report][latex]") {
  REQUIRE_ERROR(latex_numbers({set_of("t", {{"e", {row("a", "p", "x%", 1), row("a", "p", "x#", 2)}}})}),
                "two rows", "t/e/a/p/x-/accuracy");
}

TEST_CASE("tables stand side by side, with the paper's values, and say what is missing", "[report][latex]") {
  const ResultSet other = set_of("other-qnli", {{"baseline", {row("fp32", "", "", 80)}}});
  const auto files = latex_tables({other, example()});
  const std::string& baseline = files.at("baseline.tex");
  REQUIRE(holds(baseline, "Setting & Paper & tiny (planted) & tiny \\\\\n"));
  REQUIRE(holds(baseline, "FP32 & 89.66 & 90.00 [89.00, 91.00] & 80.00 [79.00, 81.00] \\\\\n"));
  REQUIRE(holds(baseline, "W8A8 & 54.33 & 54.00 [53.00, 55.00] & -- \\\\\n"));
  REQUIRE(holds(files.at("peg.tex"), "\\olrequire{other-qnli/peg}"));
  REQUIRE(holds(files.at("peg.tex"), "PEG, $K=4$ & 86.18 & 86.18 [85.18, 87.18] & -- \\\\\n"));
  REQUIRE(holds(files.at("activations.tex"), "\\texttt{ffn\\_residual} & up to 271 & 55 & 271.0 (1) & --"));
  REQUIRE(holds(files.at("verdicts.tex"), "\\oltextof{verdict}{other-qnli/C6}"));
  REQUIRE(holds(files.at("tiny-qnli-peg.tex"), "$n=1\\,234$"));
  REQUIRE(files.count("tiny-qnli-activations-by-layer.tex") == 1);
  for (const auto& [name, text] : files) {
    INFO(name);
    REQUIRE(text.rfind(latex_mark, 0) == 0);
  }
}

TEST_CASE("of deployment's details the article has few, and none in another's file", "[report][latex]") {
  const std::string cell = "batch x length";
  const auto files =
      latex_tables({set_of("t", {{"deployment",
                                  {row("float:fp32", cell, "1x16", 3, "latency_p50_ms"),
                                   row("float:fp32", cell, "1x16", 4, "latency_p95_ms"),
                                   row("float:fp32", cell, "1x16", 5, "latency_p99_ms"),
                                   row("float:fp32", cell, "1x16", 333, "throughput_examples"),
                                   row("float:fp32", cell, "1x16", 1, "speedup"),
                                   row("float:fp32", "process", "1x16", 105, "memory_process_mb"),
                                   row("float:fp32", "process", "8x64", 114, "memory_process_mb")}}})});
  REQUIRE(holds(files.at("t-deployment.tex"), "median speedup over FP32"));
  REQUIRE(holds(files.at("t-deployment-latency.tex"), "FP32 & 3 \\\\\n"));
  REQUIRE(holds(files.at("t-deployment-speedup.tex"), "FP32 & 1.00 "));
  REQUIRE(std::count_if(files.begin(), files.end(),
                        [](const auto& file) { return file.first.rfind("t-deployment", 0) == 0; }) == 3);
}

TEST_CASE("generated files that have no results any more are removed, others stay", "[report][latex]") {
  const auto paper = test::scratch("latex");
  write_file_atomically(paper / "generated" / "gone-peg.tex", std::string(latex_mark) + "old");
  write_file_atomically(paper / "generated" / "mine.tex", "by hand");
  write_latex({example()}, paper);
  REQUIRE_FALSE(std::filesystem::exists(paper / "generated" / "gone-peg.tex"));
  REQUIRE(std::filesystem::exists(paper / "generated" / "mine.tex"));
  REQUIRE(read_file(paper / "generated" / "numbers.tex") == latex_numbers({example()}));
}

TEST_CASE("the article's build names what is missing", "[report][latex]") {
  if (std::system("pdflatex --version >/dev/null 2>&1") != 0) {
    WARN("skipped: needs pdflatex (scripts/packages-paper.txt)");
    return;
  }
  const auto paper = test::scratch("latex-build");
  write_latex({example()}, paper);
  std::filesystem::copy(test::source("paper/outlierlab.sty"), paper / "outlierlab.sty");
  const auto log_of = [&](const std::string& body) {
    write_file_atomically(
        paper / "t.tex",
        "\\documentclass{article}\\usepackage{outlierlab}\\begin{document}" + body + "\\end{document}\n");
    const std::string command = "cd '" + paper.string() +
                                "' && max_print_line=1000 pdflatex -interaction=nonstopmode t.tex >out 2>&1";
    const int status = std::system(command.c_str());
    return std::to_string(status != 0) + read_file(paper / "t.log");
  };
  REQUIRE(
      log_of(
          "\\newcommand\\set{tiny-qnli}\\olci{\\set/baseline/w8a8/accuracy}, \\oln{\\set/peg/fp32/accuracy}, "
          "\\olverdict{\\set/C1}, \\olcase{\\set/C1}{a}{\\olval{none/b/c}}{b}{c} \\oltable{peg}")
          .rfind("0", 0) == 0);
  const std::string text = log_of("\\olval{tiny-qnli/mixed_precision/sites/float/x+h+y/accuracy}");
  REQUIRE(text.rfind("1", 0) == 0);
  REQUIRE(holds(text,
                "no result tiny-qnli/mixed_precision/sites/float/x+h+y/accuracy; run: outlierlab run "
                "mixed_precision --model tiny --out results"));
  REQUIRE(holds(log_of("\\olverdict{tiny-qnli/C5}"), "run: outlierlab run mixed_precision --model tiny"));
  REQUIRE(holds(log_of("\\oltable{calibration}"), "run: outlierlab run calibration --out results"));
  REQUIRE(holds(log_of("\\olval{bert-base-qnli/peg/fp32/accuracy}"), "run: outlierlab run peg"));
  SECTION("one branch of a case is set, also where another case stands within it") {
    const auto branch = [](const std::string& outcome, const std::string& text) {
      return "\\oltext{verdict}{s/" + outcome + "}{" + text + "}";
    };
    const std::string outcomes[] = {"confirmed", "partly", "not confirmed", "nothing to repair"};
    std::string body;
    for (std::size_t i = 0; i < 4; ++i) body += branch(std::to_string(i), outcomes[i]);
    for (int outer = 0; outer < 4; ++outer) {
      for (int inner = 0; inner < 4; ++inner) {
        body += fmt::format("\\setbox0\\hbox{{\\def\\seen{{}}\\olcase{{s/{0}}}", outer);
        for (const char letter : {'A', 'B', 'C', 'D'}) {
          body += fmt::format("{{\\edef\\seen{{\\seen {0}}}\\olcase{{s/{1}}}", letter, inner);
          for (const char within : {'a', 'b', 'c', 'd'})
            body += fmt::format("{{\\edef\\seen{{\\seen {}}}}}", within);
          body += "}";
        }
        body += fmt::format("\\typeout{{case {}{}: \\seen.}}}}\n", outer, inner);
      }
    }
    const std::string log = log_of(body);
    for (int outer = 0; outer < 4; ++outer) {
      for (int inner = 0; inner < 4; ++inner) {
        REQUIRE(holds(log, fmt::format("case {}{}: {}{}.", outer, inner, "ABCD"[outer], "abcd"[inner])));
      }
    }
  }
}
