#include "lower/packed_model.h"

#include <cstring>
#include <fstream>

#include "catch.h"
#include "core/error.h"
#include "core/files.h"
#include "data/batch.h"
#include "engine/cpu/cpu_executor.h"
#include "engine/packed_file.h"
#include "engine/safetensors_header.h"
#include "lower/tokens.h"
#include "model/safetensors.h"
#include "paths.h"
#include "support/tiny_model.h"

using namespace outlierlab;

namespace {

std::vector<float> logits_of(const std::shared_ptr<const engine::Model>& model) {
  engine::CpuExecutor executor(model);
  std::vector<float> logits(model->shape.labels);
  const Batch batch = test::one_batch();
  executor.logits(tokens_of(batch), logits.data());
  return logits;
}

std::string message(const std::string& path) {
  try {
    engine::read_packed_model(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("A packed model comes back with the same logits, and opens as safetensors", "[engine]") {
  const std::filesystem::path folder = test::scratch("packed");
  for (const char* name :
       {"w8a8", "w8a8-token", "peg-6-permuted", "mp-xhy", "mp-xhy-16", "w4a8", "llm-int8", "fp32"}) {
    INFO(name);
    const std::string path = (folder / (std::string(name) + ".safetensors")).string();
    engine::Model model = test::tiny_model(name);
    model.facts["quoted"] = "a \"b\" \\ \n\t \xc3\xa9 \xf0\x9f\x98\x80";
    const std::size_t bytes = write_packed_model(path, model);
    REQUIRE(bytes == std::filesystem::file_size(path));
    const auto back = engine::read_packed_model(path);
    REQUIRE(back->facts == model.facts);
    REQUIRE(back->facts.at("scheme") == name);
    REQUIRE(logits_of(back) == logits_of(std::make_shared<const engine::Model>(model)));
    const SafetensorsFile file(path);
    REQUIRE(file.metadata().at("format") == "outlierlab-packed");
    REQUIRE(file.at("bert.encoder.layer.0.intermediate.dense.weight").dtype ==
            (std::string(name) == "fp32" ? "F32" : "I8"));
  }
}

TEST_CASE("A packed site keeps its outlier threshold to the bit, or is refused", "[engine]") {
  const std::filesystem::path folder = test::scratch("packed");
  const std::string path = (folder / "model.safetensors").string(), bad = (folder / "bad").string();
  engine::Model model = test::tiny_model("llm-int8");
  for (const float threshold : {6.0f, 0.1f, 1.0f / 3, 3e38f, 1e-44f}) {
    model.layers[1].sites[engine::context].outlier_threshold = threshold;
    write_packed_model(path, model);
    const auto back = engine::read_packed_model(path);
    REQUIRE(back->layers[1].sites[engine::context].outlier_threshold == threshold);
    REQUIRE(back->layers[0].sites[engine::context].outlier_threshold == 6.0f);
    REQUIRE_FALSE(back->pooler_site.keeps_outliers());
  }
  const std::string whole = read_file(path);
  const auto refused = [&](const std::string& to) {
    std::string copy = whole;
    copy.replace(copy.find("rows 8 symmetric outliers 6"), 27, to);
    std::ofstream(bad, std::ios::binary) << copy;
    return message(bad);
  };
  REQUIRE(refused("rows 8 symmetric outliers 0").find("above 0") != std::string::npos);
  REQUIRE(refused("rows 8 symmetric outliers x").find("outlier threshold") != std::string::npos);
  REQUIRE(refused("tensr 8 symmetri outliers 6").find("tensor|columns|rows") != std::string::npos);
  model.layers[0].sites[engine::scores].outlier_threshold = 6.0f;
  model.layers[0].sites[engine::scores].kind = engine::FormatKind::tensor;
  model.layers[0].sites[engine::scores].bits = 8;
  REQUIRE_THROWS_AS(model.check(), Error);
}

TEST_CASE("Damaged packed files are errors that name the file, never crashes", "[engine]") {
  const std::filesystem::path folder = test::scratch("packed");
  const std::string path = (folder / "model.safetensors").string(), bad = (folder / "bad").string();
  write_packed_model(path, test::tiny_model("w8a8"));
  const std::string whole = read_file(path);
  const auto write = [&](const std::string& bytes) { std::ofstream(bad, std::ios::binary) << bytes; };

  REQUIRE(message((folder / "none").string()).find("none: expected a readable file") != std::string::npos);
  REQUIRE(message(folder.string()).find("regular file") != std::string::npos);
  write("abc");
  REQUIRE(message(bad).find("3 bytes") != std::string::npos);
  write(whole.substr(0, whole.size() - 100));
  REQUIRE(message(bad).find("inside the file") != std::string::npos);
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string copy = whole;
    copy.replace(copy.find(from), from.size(), to);
    write(copy);
    return message(bad);
  };
  REQUIRE(
      replaced("\"version\":\"1\"", "\"version\":\"9\"").find("metadata version: expected '1', found '9'") !=
      std::string::npos);
  REQUIRE(replaced("classifier.bias", "classifier.bios").find("a tensor 'classifier.bias', found none") !=
          std::string::npos);
  REQUIRE(replaced("\"dtype\":\"I8\"", "\"dtype\":\"U8\"").find("dtype I8, found U8") != std::string::npos);
  REQUIRE(replaced("tensor 8 affine", "tensor 8 affinx").find("affine|symmetric") != std::string::npos);
  REQUIRE(replaced("\"shape.hidden\":\"30\"", "\"shape.hidden\":\"31\"") != "nothing thrown");
  REQUIRE(
      replaced("\"fact.scheme\"", "\"fict.scheme\"").find("only what this format has, found 'fict.scheme'") !=
      std::string::npos);
  const std::string escaped = replaced("\"version\":\"1\"", "\"version\":\"\\n\"");
  REQUIRE(escaped.find('\n') == std::string::npos);

  // A flipped sign of a scale; offsets that read another tensor's bytes, or leave some unread.
  const SafetensorsFile file(path);
  const auto sign_flipped = [&](const std::string& name) {
    std::string copy = whole;
    std::uint64_t header = 0;
    std::memcpy(&header, whole.data(), 8);
    const std::size_t entry = whole.find("\"" + name + "\":"), offsets = whole.find("offsets\":[", entry);
    copy[8 + header + std::stoul(whole.substr(offsets + 10)) + 3] ^= '\x80';
    write(copy);
    return message(bad);
  };
  REQUIRE(sign_flipped("sites.pooler.scale").find("site pooler: expected finite scales of 0 or more") !=
          std::string::npos);
  REQUIRE(sign_flipped("classifier.weight.scale").find("classifier.weight: expected finite scales") !=
          std::string::npos);
  const auto moved = [&](const std::string& name, int by) {
    std::string copy = whole;
    const std::size_t entry = whole.find("\"" + name + "\":"),
                      begin = whole.find('[', whole.find("offsets", entry)), end = whole.find(']', begin);
    const std::size_t from = std::stoul(whole.substr(begin + 1)),
                      to = std::stoul(whole.substr(whole.find(',', begin) + 1));
    const auto at = [&](std::size_t n) { return std::to_string(static_cast<long>(n) + by); };
    const std::string text = "[" + at(from) + "," + at(to);
    if (text.size() != end - begin) return std::string("no room");
    copy.replace(begin, text.size(), text);
    write(copy);
    return message(bad);
  };
  REQUIRE(moved("classifier.bias", -8).find("tensor 'classifier.bias': expected bytes from") !=
          std::string::npos);
  write(whole + "more");
  REQUIRE(message(bad).find("inside the file") != std::string::npos);

  // Random damage: an Error, or a model that runs, whatever its logits are now.
  Random random(17);
  std::size_t refused = 0, ran = 0;
  for (int i = 0; i < 400; ++i) {
    std::string copy = whole;
    // Half of the hits in the header, where the structure is.
    const std::size_t reach = i % 2 ? copy.size() : 4000;
    for (int hits = 0; hits < 3; ++hits) copy[random.below(reach)] = static_cast<char>(random.below(256));
    if (i % 7 == 0) copy.resize(random.below(copy.size()));
    write(copy);
    std::shared_ptr<const engine::Model> model;
    try {
      model = engine::read_packed_model(bad);
    } catch (const Error& error) {
      ++refused;
      REQUIRE(std::string(error.what()).find("bad") != std::string::npos);
      continue;
    }
    try {
      logits_of(model);
      ++ran;
    } catch (const Error&) {  // a shape that has no room for the batch
    }
  }
  REQUIRE(refused > 100);
  REQUIRE(ran > 20);
}

TEST_CASE("Models that the engine could only run wrongly are refused", "[engine]") {
  engine::Model model = test::tiny_model("w8a8");
  const auto refusal = [&](engine::Model changed) {
    try {
      changed.check();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  REQUIRE(refusal(model) == "nothing thrown");
  engine::Model changed = model;
  changed.layers[0].sites[engine::query].scale[0] = -0.1f;
  REQUIRE(refusal(changed).find("site layer.0.query: expected finite scales of 0 or more") !=
          std::string::npos);
  changed = model;
  changed.layers[0].sites[engine::query].scale[0] = 1e-39f;
  REQUIRE(refusal(changed) ==
          "site layer.0.query: expected scales of 0 or at least 2^-126, found a subnormal one");
  changed = test::tiny_model("mp-channel-1");  // here a scale below 0 has a meaning
  REQUIRE(refusal(changed) == "nothing thrown");
  changed = model;
  changed.shape.intermediate = 0;
  REQUIRE(refusal(changed) == "shape: expected intermediate above 0, found 0");
  changed = model;
  changed.shape.positions = 40000;
  REQUIRE(refusal(changed).find("int32 sum") != std::string::npos);
  // A product deeper than int32 holds.
  changed = model;
  const std::size_t deep = 40000;
  changed.shape.intermediate = deep;
  for (engine::Layer& layer : changed.layers) {
    layer.ffn_hidden.weight = {};
    layer.ffn_hidden.weight.rows = deep;
    layer.ffn_hidden.weight.cols = 30;
    layer.ffn_hidden.weight.values = std::vector<float>(deep * 30);
    layer.ffn_hidden.bias = std::vector<float>(deep);
    engine::Weight& weight = layer.ffn_output.weight;
    weight.cols = deep;
    weight.codes = std::vector<std::int8_t>(deep * 30, 127);
  }
  REQUIRE(refusal(changed).find("ffn_output") == std::string::npos);
  REQUIRE(refusal(changed).find("output.dense.weight: expected at most 32768 products") != std::string::npos);
}

TEST_CASE("Headers: what JSON allows there, and nothing else", "[engine]") {
  const auto parse = [](const std::string& text) {
    return engine::parse_safetensors_header("h", text.data(), text.size());
  };
  const auto header = parse(
      R"( { "__metadata__" : { "a" : "\u00e9\ud83d\ude00\n" } , "t":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]} } )");
  REQUIRE(header.metadata.at("a") == "\xc3\xa9\xf0\x9f\x98\x80\n");
  REQUIRE(header.tensors.at("t").shape == std::vector<std::size_t>{2, 3});
  for (const char* bad :
       {"", "[]", "{", "{\"a\"}", "{\"a\":1}", "{\"t\":{\"dtype\":\"F32\"}}", "{} x",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}",
        "{\"__metadata__\":{\"a\":\"\\ud800\"}}", "{\"__metadata__\":{\"a\":\"\\q\"}}",
        "{\"__metadata__\":{},\"__metadata__\":{}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[2],\"data_offsets\":[0,4]}}"}) {
    INFO(bad);
    REQUIRE_THROWS_AS(parse(bad), Error);
  }
}
