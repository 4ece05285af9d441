// outlierlab classify, as a user runs it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "support/program.h"

using namespace outlierlab;
using test::Outcome;
using test::quoted;
using test::run;

namespace {

/// Two pairs of the demo's kind; long enough that the tokenizer has something to do.
const std::string question = "where is the lamp ?", sentence = "the lamp is in the hall .";
const std::string other = "the chair is in the attic .";

std::string classify(const std::string& arguments, const std::string& input) {
  const auto folder = test::scratch("classify-input");
  write_file_atomically(folder / "in.tsv", input);
  const Outcome outcome =
      run("classify --model demo-planted " + arguments + " <" + quoted((folder / "in.tsv").string()));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return outcome.out;
}

/// "entailment\tentailment=0.9\tnot_entailment=0.1" gives {0.9, 0.1}.
std::vector<double> probabilities(const std::string& line) {
  std::vector<double> found;
  for (std::size_t at = line.find('='); at != std::string::npos; at = line.find('=', at + 1))
    found.push_back(std::stod(line.substr(at + 1)));
  INFO(line);
  REQUIRE(!found.empty());
  return found;
}

}  // namespace

TEST_CASE("classify answers a pair with its label and probabilities", "[app]") {
  const Outcome outcome = run("classify --model demo-planted " + quoted(question) + " " + quoted(sentence));
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  REQUIRE(std::count(outcome.out.begin(), outcome.out.end(), '\n') == 1);
  const std::vector<double> shares = probabilities(outcome.out);
  REQUIRE(shares.size() == 2);
  REQUIRE(shares[0] + shares[1] == Approx(1).margin(2e-6));
  const std::string label = outcome.out.substr(0, outcome.out.find('\t'));
  REQUIRE(outcome.out.find("\t" + label + "=") != std::string::npos);
  REQUIRE(probabilities(outcome.out.substr(outcome.out.find("\t" + label + "=")))[0] ==
          std::max(shares[0], shares[1]));
}

TEST_CASE("classify reads pairs from standard input, and batches change nothing", "[app]") {
  const std::string pair = question + "\t" + sentence + "\n", second = question + "\t" + other + "\r\n";
  const std::string a = classify("", pair), b = classify("", second);
  REQUIRE(a != b);
  REQUIRE(run("classify --model demo-planted " + quoted(question) + " " + quoted(sentence)).out == a);
  REQUIRE(classify("", pair + second + pair) == a + b + a);
  REQUIRE(classify("--batch-size 1", pair + second + pair) == a + b + a);
  REQUIRE(classify("", "").empty());
  const std::string single = classify("--task sst2", question + "\n");
  REQUIRE(run("classify --model demo-planted --task sst2 " + quoted(question)).out == single);
  REQUIRE(single != classify("", question + "\t" + question + "\n"));
  // A folder names no task.
  const std::string folder = " --model " + quoted(test::source("models/demo/planted").string());
  REQUIRE(run("classify" + folder + " " + quoted(question)).out == single);
  REQUIRE(run("classify" + folder + " " + quoted(question) + " " + quoted(sentence)).out == a);
}

TEST_CASE("classify runs a packed model in integers, as the scheme that made it does", "[app]") {
  const auto folder = test::scratch("classify-packed");
  const std::string file = (folder / "w8a8.safetensors").string();
  REQUIRE(run("pack --model demo-control --scheme w8a8 --calibration-size 32 --out " + quoted(file)).code ==
          0);
  const auto checkpoint = test::source("models/demo/control/model.safetensors");
  // About a quarter of float32; the demos' checkpoints are float16.
  REQUIRE(static_cast<double>(std::filesystem::file_size(file)) <
          0.3 * 2 * static_cast<double>(std::filesystem::file_size(checkpoint)));
  const std::string texts = " " + quoted(question) + " " + quoted(sentence);
  const Outcome packed = run("classify --model demo-control --packed " + quoted(file) + texts);
  INFO(packed.err);
  REQUIRE(packed.code == 0);
  const std::string control = "classify --model demo-control --calibration-size 32 --scheme w8a8 ";
  REQUIRE(run(control + "--engine int8" + texts).out == packed.out);
  const double simulated = probabilities(run(control + texts).out)[0];
  REQUIRE(simulated == Approx(probabilities(packed.out)[0]).margin(0.05));

  // What was evaluated is the file's scheme, and the record has that one.
  const std::string json = (folder / "eval.json").string();
  REQUIRE(run("eval --model demo-control --limit 8 --engine int8 --packed " + quoted(file) + " --json " +
              quoted(json))
              .code == 0);
  const auto record = nlohmann::json::parse(read_file(json));
  REQUIRE(record.at("scheme") == "w8a8");
  REQUIRE_FALSE(record.at("provenance").contains("calibration_size"));  // none was used
  // Nothing is timed that has not agreed with a simulation.
  REQUIRE_FALSE(record.contains("seconds"));
  REQUIRE_FALSE(record.contains("examples_per_second"));
  REQUIRE(
      run("eval --model demo-control --limit 64 --calibration-size 32 --engine int8 --json " + quoted(json))
          .out.find("\nproducts   48 of 48 in integers\nspeed ") != std::string::npos);
  const auto whole = nlohmann::json::parse(read_file(json));
  REQUIRE(whole.contains("examples_per_second"));
  const Outcome alone =
      run("eval --model demo-control --limit 64 --calibration-size 32 --engine int8 --no-reference --json " +
          quoted(json));
  REQUIRE(alone.out.find("KL") == std::string::npos);
  const auto without = nlohmann::json::parse(read_file(json));
  REQUIRE(without.contains("examples_per_second"));
  for (const std::string member : {"n", "accuracy", "ci_low", "ci_high", "weight_bytes"})
    REQUIRE(without.at(member) == whole.at(member));
  for (const std::string member : {"kl", "agreement", "mcnemar_p"}) {
    REQUIRE(whole.contains(member));
    REQUIRE_FALSE(without.contains(member));
  }
  REQUIRE(record.at("provenance").at("config").get<std::string>().find("[activations]") != std::string::npos);

  // What pack wrote it writes again; nothing else.
  const std::string again = "pack --model demo-control --scheme w8a8 --calibration-size 32 --out ";
  REQUIRE(run(again + quoted(file)).code == 0);
  write_file_atomically(folder / "scheme.ini", "[activations]\n");
  const Outcome other = run(again + quoted((folder / "scheme.ini").string()));
  REQUIRE(other.code == 1);
  REQUIRE(other.err.find("scheme.ini: expected no file yet, or one that pack wrote, found another file") !=
          std::string::npos);
  REQUIRE(read_file(folder / "scheme.ini") == "[activations]\n");

  // Another model's file is refused, by the name in it and by the checkpoint's digest; a copy of the model
  // elsewhere is the same one.
  for (const std::string command :
       {"classify --model demo-planted ", "eval --model demo-planted --limit 8 "}) {
    const Outcome mixed = run(command + (command[0] == 'e' ? "--engine int8 " : "") + "--packed " +
                              quoted(file) + (command[0] == 'c' ? texts : ""));
    INFO(mixed.err);
    REQUIRE(mixed.code == 1);
    REQUIRE(mixed.out.empty());
    REQUIRE(mixed.err.find(file + ": expected a model packed from demo-planted (") != std::string::npos);
    REQUIRE(mixed.err.find("found one from demo-control (") != std::string::npos);
  }
  std::filesystem::copy(test::source("models/demo/control"), folder / "moved");
  const std::string moved = "classify --model " + test::quoted((folder / "moved").string()) + " --packed ";
  REQUIRE(run(moved + quoted(file) + texts).out == packed.out);
  write_file_atomically(folder / "moved" / "tokenizer_config.json", "{\"do_lower_case\": true}");
  REQUIRE(run(moved + quoted(file) + texts).err.find("packed from moved") != std::string::npos);

  // Another network of the same shapes, or labels the other way round, would answer, and wrongly.
  const std::string bytes = read_file(file), bad = (folder / "bad.safetensors").string();
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string copy = bytes;
    copy.replace(copy.find(from), from.size(), to);
    write_file_atomically(bad, copy);
    const Outcome outcome = run("classify --model demo-control --packed " + quoted(bad) + texts);
    REQUIRE(outcome.code == 1);
    return outcome.err;
  };
  REQUIRE(refused("\"shape.heads\":\"4\"", "\"shape.heads\":\"2\"").find("heads: expected 4") !=
          std::string::npos);
  REQUIRE(refused("\"fact.label_0\":\"e", "\"fact.label_0\":\"E").find("label 0: expected 'entailment'") !=
          std::string::npos);
  REQUIRE(refused("fact.label_0", "fact.labex_0")
              .find("label 0: expected 'entailment' as the model has, found none") != std::string::npos);
  std::string unnamed = bytes;
  unnamed.replace(unnamed.find("model_sha256"), 12, "model_sha255");
  write_file_atomically(bad, unnamed);
  const Outcome evaluated = run("eval --model demo-control --limit 8 --engine int8 --packed " + quoted(bad));
  REQUIRE(evaluated.code == 1);
  REQUIRE(evaluated.err.find("expected the digest of its model") != std::string::npos);
}

TEST_CASE("classify cuts texts at the task's length, whatever executes the network", "[app]") {
  const auto folder = test::scratch("classify-length");
  const std::string packed = quoted((folder / "fp32.safetensors").string());
  REQUIRE(run("pack --model demo-planted --scheme fp32 --calibration-size 8 --out " + packed).code == 0);
  std::string repeated;
  for (int i = 0; i < 9; ++i) repeated += sentence + " ";
  const std::string texts = " 'who is the cat ?' " + test::quoted(repeated);
  const auto answer = [&](const std::string& arguments) {
    const Outcome outcome = run("classify --model demo-planted " + arguments + texts);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return probabilities(outcome.out)[0];
  };
  const double simulated = answer("");
  // What calibrates loads the task anyway; sixteen bits, few examples.
  REQUIRE(answer("--calibration-size 8 --scheme w8a8 --set weights.bits=32 --set activations.bits=16") ==
          Approx(simulated).margin(0.05));
  REQUIRE(answer("--calibration-size 8 --engine int8") == Approx(simulated).margin(1e-4));
  REQUIRE(answer("--packed " + packed) == Approx(simulated).margin(1e-4));
  // Another task's length gives another answer.
  REQUIRE(answer("--task qnli") != Approx(simulated).margin(0.1));
}

TEST_CASE("classify refuses what is no text, with its place", "[app]") {
  const auto refused = [](const std::string& input, std::initializer_list<std::string> parts,
                          std::ptrdiff_t answers = 0) {
    const auto folder = test::scratch("classify-refused");
    write_file_atomically(folder / "in.tsv", input);
    const Outcome outcome = run("classify --model demo-planted <" + quoted((folder / "in.tsv").string()));
    INFO(outcome.err);
    REQUIRE(outcome.code == 1);
    REQUIRE(std::count(outcome.out.begin(), outcome.out.end(), '\n') == answers);
    REQUIRE(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
    for (const std::string& part : parts) REQUIRE(outcome.err.find(part) != std::string::npos);
  };
  refused("a\tb\tc\n", {"standard input:1", "two texts (question, sentence: task demo)", "found 3"});
  refused("a\tb\na\n", {"standard input:2", "two texts (question, sentence: task demo)", "found 1"}, 1);
  refused("a\tb\n\n", {"standard input:2", "two texts", "an empty text"}, 1);
  refused("a\t \r\n", {"standard input:1", "two texts", "an empty text"});
  refused("a\tb\xff\n", {"standard input:1", "UTF-8"});
  REQUIRE(run("classify --model demo-planted one two three").code == 2);
  for (const auto& [arguments, expected, found] :
       {std::tuple{"one", "two texts (question, sentence: task demo)", "found 1"},
        std::tuple{"one ''", "two texts (question, sentence: task demo)", "found an empty text"},
        std::tuple{"--engine int8 --calibration-size 8 one", "two texts (", "found 1"},
        std::tuple{"--task sst2 one two", "one text (sentence: task sst2)", "found 2"},
        std::tuple{"--task sst2 ''", "one text (sentence: task sst2)", "found an empty text"}}) {
    const Outcome outcome = run(std::string("classify --model demo-planted ") + arguments);
    INFO(arguments << ": " << outcome.err);
    REQUIRE(outcome.code == 2);
    REQUIRE(outcome.out.empty());
    REQUIRE(outcome.err.find(std::string("TEXT: expected ") + expected) != std::string::npos);
    REQUIRE(outcome.err.find(found) != std::string::npos);
  }
  REQUIRE(run("classify --model demo-planted --engine int4 a b").code == 2);
  REQUIRE(run("classify --model demo-planted --packed none.safetensors --scheme w8a8 a b").code == 2);
  REQUIRE(run("classify --model demo-planted --packed /nowhere/x.safetensors a b").code == 1);
  // Texts that the task does not have are refused before the model is opened.
  REQUIRE(run("classify --model demo-planted --packed /nowhere/x.safetensors a").code == 2);
  REQUIRE(run("classify --model demo-planted --packed none.safetensors --scheme fp32 a b").code == 2);
  REQUIRE(run("classify --model demo-planted --packed none.safetensors --engine simulated a b").code == 2);
}

TEST_CASE("bench --startup, --sweep and --only time what they say", "[app]") {
  const auto folder = test::scratch("bench");
  const std::string json = (folder / "bench.json").string();
  const Outcome startup =
      run("bench --model demo-planted --startup --repeats 1 --calibration-size 16 --json " + quoted(json));
  INFO(startup.err);
  REQUIRE(startup.code == 0);
  const auto first = nlohmann::json::parse(read_file(json));
  REQUIRE(first.at("startup").size() == 4);
  for (const auto& row : first.at("startup")) {
    REQUIRE(row.at("first_answer_seconds").size() == 1);
    REQUIRE(row.at("median_first_answer_seconds").get<double>() > 0);
    REQUIRE(row.at("process_seconds")[0].get<double>() >=
            row.at("median_first_answer_seconds").get<double>());
  }
  const Outcome sweep =
      run("bench --model demo-planted --sweep 3 --limit 16 --calibration-size 16 --json " + quoted(json));
  INFO(sweep.err);
  REQUIRE(sweep.code == 0);
  const auto second = nlohmann::json::parse(read_file(json));
  REQUIRE(second.at("sweep").size() == 4);
  for (const auto& row : second.at("sweep")) {
    REQUIRE(row.at("variants") == 3);
    REQUIRE(row.at("ratio").get<double>() ==
            Approx(row.at("sweep_seconds").get<double>() / row.at("separate_seconds").get<double>()));
  }
  const Outcome automatic =
      run("bench --model demo-planted --sweep 2 --only auto --limit 16 --calibration-size 16 --json " +
          quoted(json));
  INFO(automatic.err);
  REQUIRE(automatic.code == 0);
  const auto third = nlohmann::json::parse(read_file(json)).at("sweep");
  REQUIRE(third.size() == 1);
  REQUIRE(third[0].at("engine") == "auto");
  REQUIRE(third[0].at("simulated").get<std::string>().find("found 16") != std::string::npos);
  REQUIRE(automatic.out.find("auto simulates: ") != std::string::npos);
  REQUIRE(third[0].at("against") == "simulated");
  REQUIRE(third[0].at("separate_seconds").get<double>() > 0);
  REQUIRE(run("bench --sweep 2 --startup").code == 2);
  REQUIRE(run("bench --sweep 2 --only fp32").code == 2);
  REQUIRE(run("bench --startup --only fp32").code == 2);
  REQUIRE(run("bench --sweep 2 --repeats 3").code == 2);

  const Outcome one =
      run("bench --model demo-planted --limit 16 --calibration-size 16 --repeats 1 --only capture");
  INFO(one.err);
  REQUIRE(one.code == 0);
  REQUIRE(one.out.find("\nfp32 ") != std::string::npos);
  REQUIRE(one.out.find("\ncapture ") != std::string::npos);
  REQUIRE(one.out.find("w8a8") == std::string::npos);
  const Outcome wrong = run("bench --only captrue");
  REQUIRE(wrong.code == 2);
  REQUIRE(wrong.err.find("'capture'") != std::string::npos);
}

TEST_CASE("run --engine says which engine made each row", "[app]") {
  const auto folder = test::scratch("run-engine");
  const auto engines_of = [&](const std::string& engine) {
    const std::filesystem::path out = folder / engine;
    const Outcome outcome =
        run("run calibration --model demo-planted --limit 64 --calibration-size 32 --engine " + engine +
            " --out " + quoted(out.string()));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return nlohmann::json::parse(read_file(out / "demo-planted-demo" / "calibration.json"));
  };
  const auto integer = engines_of("int8");
  REQUIRE(integer.at("settings").at("engine") == "int8");
  REQUIRE(integer.at("engines").at("fp32") == "simulated");
  REQUIRE(integer.at("engines").at("minmax").get<std::string>().rfind("cpu ", 0) == 0);
  REQUIRE(integer.at("engines").at("clip sigmas=3").get<std::string>().rfind("cpu ", 0) == 0);
  const auto automatic = engines_of("auto");
  REQUIRE(automatic.at("settings").at("engine") == "auto");
  REQUIRE(automatic.at("engines").size() == integer.at("engines").size());
  for (const auto& engine : automatic.at("engines")) REQUIRE(engine == "simulated");  // asking would not pay
  REQUIRE(automatic.at("not_executed").size() == 1);
  const auto simulated = engines_of("simulated");
  REQUIRE_FALSE(simulated.contains("engines"));
  const Outcome wrong = run("run calibration --engine int4");
  REQUIRE(wrong.code == 2);
  REQUIRE(wrong.err.find("unknown engine 'int4'") != std::string::npos);
}
