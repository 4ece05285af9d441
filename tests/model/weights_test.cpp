#include "model/weights.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "model/half.h"
#include "model/random_weights.h"
#include "model/runner.h"
#include "model/safetensors.h"
#include "paths.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

fs::path golden(const std::string& name) {
  return test::source("tests/golden/checkpoints") / name;
}

/// The golden sentences as one batch.
Batch golden_batch(const Json& expected) {
  std::vector<EncodedExample> examples;
  for (std::size_t i = 0; i < expected["ids"].size(); ++i) {
    EncodedExample example;
    example.index = static_cast<std::uint32_t>(i);
    example.token_ids = expected["ids"][i].get<std::vector<std::int32_t>>();
    example.token_types = expected["types"][i].get<std::vector<std::uint8_t>>();
    examples.push_back(example);
  }
  return make_batch(examples, {0, 1});
}

std::vector<std::pair<std::string, std::vector<float>>> parameters_of(const BertWeights& weights) {
  std::vector<std::pair<std::string, std::vector<float>>> all;
  weights.for_each_parameter(
      [&](const std::string& name, const std::vector<std::size_t>& shape, const float* values) {
        std::size_t count = 1;
        for (const std::size_t extent : shape) count *= extent;
        all.emplace_back(name, std::vector<float>(values, values + count));
      });
  return all;
}

/// A saved tiny network whose tensors a test may change before it is loaded.
class Checkpoint {
 public:
  explicit Checkpoint(const std::string& name) : folder(test::scratch(name)) {
    test::tiny_bert().save(folder);
    const SafetensorsFile file(folder / "model.safetensors");
    for (const auto& [key, entry] : file.tensors()) {
      tensors[key] = {key, entry.dtype, entry.shape,
                      std::string(reinterpret_cast<const char*>(entry.data), entry.bytes)};
    }
  }
  void write() const {
    std::vector<TensorData> all;
    for (const auto& [key, tensor] : tensors) all.push_back(tensor);
    write_safetensors(folder / "model.safetensors", all);
  }
  void set_config(const char* key, const Json& value) const {
    Json json = Json::parse(read_file(folder / "config.json"));
    json[key] = value;
    write_file_atomically(folder / "config.json", json.dump());
  }

  fs::path folder;
  std::map<std::string, TensorData> tensors;
};

}  // namespace

TEST_CASE("A classifier that transformers saved gives transformers' logits", "[weights]") {
  const BertWeights weights = BertWeights::load(golden("classifier"));
  REQUIRE(weights.config.labels == std::vector<std::string>{"entailment", "not_entailment"});
  REQUIRE_FALSE(weights.mlm);
  const Json expected = Json::parse(read_file(golden("classifier") / "expected.json"));
  const Matrix logits = BertRunner(weights).logits(golden_batch(expected));
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t c = 0; c < 2; ++c) {
      REQUIRE(logits(i, c) == Approx(expected["logits"][i][c].get<double>()).margin(2e-5));
    }
  }
}

TEST_CASE("A sharded bfloat16 language model gives transformers' logits", "[weights]") {
  const BertWeights weights = BertWeights::load(golden("mlm"));
  REQUIRE(weights.mlm);
  REQUIRE(weights.config.labels.empty());
  REQUIRE(weights.classifier.weight.empty());
  const Json expected = Json::parse(read_file(golden("mlm") / "expected.json"));
  const Matrix logits = BertRunner(weights).mlm_logits(golden_batch(expected));
  std::size_t row = 0;
  for (const Json& example : expected["logits"]) {
    for (const Json& token : example) {
      for (std::size_t v = 0; v < token.size(); ++v) {
        REQUIRE(logits(row, v) == Approx(token[v].get<double>()).margin(1e-4));
      }
      ++row;
    }
  }
}

TEST_CASE("An encoder with the old names and without a prefix loads", "[weights]") {
  const BertWeights weights = BertWeights::load(golden("encoder"));
  const SafetensorsFile file(golden("encoder") / "model.safetensors");
  REQUIRE(weights.config.labels.empty());
  REQUIRE(weights.layers[1].output_norm.gain == file.at("encoder.layer.1.output.LayerNorm.gamma").to_float());
  REQUIRE(weights.embeddings_norm.bias == file.at("embeddings.LayerNorm.beta").to_float());
  REQUIRE_FALSE(weights.pooler.weight.empty());
  REQUIRE(weights.classifier.weight.empty());
}

TEST_CASE("Saving and loading keeps every parameter", "[weights]") {
  const fs::path folder = test::scratch("weights-roundtrip");
  BertWeights weights = test::tiny_bert();
  Random random(3);
  weights.mlm = random_mlm_head(weights.config, 0.1, random);
  weights.save(folder);
  const BertWeights again = BertWeights::load(folder);
  REQUIRE(parameters_of(again) == parameters_of(weights));
  REQUIRE(again.parameter_count() == weights.parameter_count());
  REQUIRE(again.config.labels == weights.config.labels);
  REQUIRE(again.config.layer_norm_epsilon == weights.config.layer_norm_epsilon);

  SECTION("as halves, to the nearest") {
    weights.save(folder, true);
    const auto halves = parameters_of(BertWeights::load(folder)), exact = parameters_of(weights);
    REQUIRE(halves.size() == exact.size());
    for (std::size_t p = 0; p < exact.size(); ++p) {
      for (std::size_t i = 0; i < exact[p].second.size(); ++i) {
        if (halves[p].second[i] != f16_to_float(float_to_f16(exact[p].second[i]))) FAIL(exact[p].first);
      }
    }
  }
  SECTION("but not what a half cannot hold") {
    weights.layers[1].key.weight(2, 3) = 70000;
    REQUIRE_ERROR(weights.save(folder, true), "layer.1.attention.self.key.weight", "65504", "70000");
    REQUIRE(parameters_of(BertWeights::load(folder)) == parameters_of(again));
  }
}

TEST_CASE("A checkpoint that disagrees with its configuration is refused", "[weights]") {
  Checkpoint checkpoint("weights-refuse");
  const std::string value = "bert.encoder.layer.1.attention.self.value.weight";
  const auto load = [&] { return BertWeights::load(checkpoint.folder); };
  SECTION("no folder, no file") {
    REQUIRE_ERROR(BertWeights::load(checkpoint.folder / "none"), "none", "a model folder");
    fs::remove(checkpoint.folder / "model.safetensors");
    REQUIRE_ERROR(load(), "model.safetensors.index.json", "neither");
    std::ofstream(checkpoint.folder / "pytorch_model.bin") << "x";
    REQUIRE_ERROR(load(), "only pytorch_model.bin");
  }
  SECTION("a missing tensor, by both spellings") {
    checkpoint.tensors.erase(value);
    checkpoint.write();
    REQUIRE_ERROR(load(), "model.safetensors", "'" + value + "'", "'" + value.substr(5) + "'");
  }
  SECTION("a missing LayerNorm names gamma too") {
    checkpoint.tensors.erase("bert.embeddings.LayerNorm.weight");
    checkpoint.write();
    REQUIRE_ERROR(load(), "LayerNorm.weight'", "LayerNorm.gamma'");
  }
  SECTION("another shape") {
    checkpoint.set_config("intermediate_size", 71);
    REQUIRE_ERROR(load(), "intermediate.dense.weight", "[71, 30]", "[70, 30]");
  }
  SECTION("a transposed matrix") {
    std::swap(checkpoint.tensors["bert.encoder.layer.0.output.dense.weight"].shape[0],
              checkpoint.tensors["bert.encoder.layer.0.output.dense.weight"].shape[1]);
    checkpoint.write();
    REQUIRE_ERROR(load(), "output.dense.weight", "[30, 70]", "[70, 30]");
  }
  SECTION("integers instead of weights") {
    TensorData& tensor = checkpoint.tensors[value];
    tensor.dtype = "I8";
    tensor.bytes.resize(30 * 30);
    checkpoint.write();
    REQUIRE_ERROR(load(), value, "F32, F16 or BF16", "I8");
  }
  SECTION("NaN and infinity") {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      std::memcpy(checkpoint.tensors[value].bytes.data() + 4 * 17, &bad, 4);
      checkpoint.write();
      REQUIRE_ERROR(load(), value, "element 17", "finite");
    }
  }
  SECTION("a classifier without its weights") {
    checkpoint.tensors.erase("classifier.weight");
    checkpoint.write();
    REQUIRE_ERROR(load(), "classifier.weight");
  }
  SECTION("labels and classifier of different size") {
    checkpoint.set_config("id2label", {{"0", "a"}, {"1", "b"}, {"2", "c"}});
    REQUIRE_ERROR(load(), "classifier.weight", "[3, 30]", "[2, 30]");
  }
}

TEST_CASE("Shards are read by the index, and a missing one is an error", "[weights]") {
  const fs::path folder = test::scratch("weights-shards");
  for (const auto& file : fs::directory_iterator(golden("mlm"))) fs::copy(file, folder);
  const fs::path index = folder / "model.safetensors.index.json";
  const Json intact = Json::parse(read_file(index));
  const auto load_with = [&](const Json& json) {
    write_file_atomically(index, json.dump());
    return BertWeights::load(folder);
  };
  Json json = intact;
  json["weight_map"]["bert.embeddings.LayerNorm.bias"] = "model-00003-of-00002.safetensors";
  REQUIRE_ERROR(load_with(json), "index.json", "LayerNorm.bias", "model-00003-of-00002.safetensors");
  json["weight_map"]["bert.embeddings.LayerNorm.bias"] = "../model-00001-of-00002.safetensors";
  REQUIRE_ERROR(load_with(json), "without a folder");
  json["weight_map"]["bert.embeddings.LayerNorm.bias"] = 3;
  REQUIRE_ERROR(load_with(json), "a file name");
  json = intact;
  json["weight_map"]["surplus"] = intact["weight_map"].begin().value();
  REQUIRE_ERROR(load_with(json), "'surplus'");
  REQUIRE_ERROR(load_with(Json::object()), "weight_map");
  REQUIRE_ERROR(load_with(Json::array()), "weight_map");
  write_file_atomically(index, "{");
  REQUIRE_ERROR(BertWeights::load(folder), "index.json", "JSON");
}

TEST_CASE("config.json is checked key by key", "[config]") {
  const Checkpoint checkpoint("config");
  const fs::path file = checkpoint.folder / "config.json";
  const Json intact = Json::parse(read_file(file));
  const auto read_with = [&](const char* key, const Json& value) {
    Json json = intact;
    json[key] = value;
    write_file_atomically(file, json.dump());
    return BertConfig::read(file);
  };
  REQUIRE(read_with("surplus", 1).hidden_size == 30);
  REQUIRE(read_with("layer_norm_eps", 1e-5).layer_norm_epsilon == 1e-5f);
  REQUIRE(read_with("architectures", Json::array({"BertModel"})).labels.empty());
  REQUIRE_ERROR(read_with("hidden_size", nullptr), "config.json", "'hidden_size'", "none");
  REQUIRE_ERROR(read_with("hidden_size", "30"), "'hidden_size'", "whole number", "\"30\"");
  REQUIRE_ERROR(read_with("hidden_size", -30), "'hidden_size'", "-30");
  REQUIRE_ERROR(read_with("hidden_size", 31), "'hidden_size'", "multiple of the 3 heads", "31");
  REQUIRE_ERROR(read_with("num_hidden_layers", 0), "'num_hidden_layers'", "0");
  REQUIRE_ERROR(read_with("num_hidden_layers", 1e30), "'num_hidden_layers'");
  REQUIRE_ERROR(read_with("hidden_act", "gelu_new"), "'hidden_act'", "\"gelu\"", "gelu_new");
  REQUIRE_ERROR(read_with("position_embedding_type", "relative_key"), "'position_embedding_type'",
                "absolute");
  REQUIRE_ERROR(read_with("is_decoder", true), "'is_decoder'");
  REQUIRE_ERROR(read_with("model_type", "roberta"), "'model_type'", "bert", "roberta");
  REQUIRE_ERROR(read_with("hidden_dropout_prob", 2), "'hidden_dropout_prob'", "2");
  REQUIRE_ERROR(read_with("id2label", {{"0", "a"}, {"2", "b"}}), "'id2label'", "id 1");
  write_file_atomically(file, "not json");
  REQUIRE_ERROR(BertConfig::read(file), "config.json", "JSON");
  write_file_atomically(file, "[]");
  REQUIRE_ERROR(BertConfig::read(file), "config.json", "object");
}

TEST_CASE("Every matrix is visited with the site that feeds it", "[weights]") {
  BertWeights weights = test::tiny_bert();
  std::map<std::string, std::string> inputs;
  weights.for_each_matrix(
      [&](const std::string& name, const std::string& site, Matrix&) { inputs[name] = site; });
  REQUIRE(inputs.size() == 3 + 2 * 6 + 2);
  REQUIRE(inputs.at("embeddings.word").empty());
  REQUIRE(inputs.at("layer.0.query") == "embeddings.norm");
  REQUIRE(inputs.at("layer.1.value") == "layer.0.output");
  REQUIRE(inputs.at("layer.1.attention_output") == "layer.1.context");
  REQUIRE(inputs.at("layer.1.ffn_hidden") == "layer.1.ffn_input");
  REQUIRE(inputs.at("layer.1.ffn_output") == "layer.1.ffn_hidden");
  REQUIRE(inputs.at("pooler") == "layer.1.output");
  REQUIRE(inputs.at("classifier") == "pooler");
}

TEST_CASE("Random weights have the asked deviation and depend on the seed alone", "[weights]") {
  const BertConfig config = test::tiny_bert().config;
  const BertWeights weights = random_weights(config, Heads::classifier, 0.05, 11);
  REQUIRE(parameters_of(weights) == parameters_of(random_weights(config, Heads::classifier, 0.05, 11)));
  REQUIRE(parameters_of(weights) != parameters_of(random_weights(config, Heads::classifier, 0.05, 12)));
  double sum = 0, squares = 0;
  const Matrix& matrix = weights.layers[0].ffn_hidden.weight;
  for (std::size_t i = 0; i < matrix.size(); ++i) {
    sum += matrix.data()[i];
    squares += static_cast<double>(matrix.data()[i]) * matrix.data()[i];
  }
  const auto n = static_cast<double>(matrix.size());
  REQUIRE(std::abs(sum / n) < 0.05 * 4 / std::sqrt(n));
  REQUIRE(std::sqrt(squares / n) == Approx(0.05).epsilon(0.1));
}

TEST_CASE("The real checkpoint loads", "[weights][data]") {
  const fs::path folder = test::data("minilm-qnli");
  SKIP_WITHOUT_DATA(folder);
  const BertWeights weights = BertWeights::load(folder);
  REQUIRE(weights.parameter_count() == 22'713'986);
  REQUIRE(weights.config.heads == 12);
}
