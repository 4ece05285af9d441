#include "data/tokenizer.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/random.h"
#include "paths.h"

using namespace outlierlab;
using nlohmann::json;

namespace {
json golden(const std::string& name) {
  return json::parse(read_file(test::source("tests/golden/" + name)));
}

Tokenizer small(TokenizerOptions options = {}) {
  std::vector<std::string> pieces;
  std::string piece;
  for (const char c : read_file(test::source("tests/golden/small_vocab.txt"))) {
    if (c != '\n') {
      piece += c;
      continue;
    }
    pieces.push_back(piece);
    piece.clear();
  }
  return Tokenizer(pieces, options);
}

TokenizerOptions options_of(const json& python) {
  TokenizerOptions options;
  options.lowercase = python.value("do_lower_case", true);
  options.strip_accents = python.value("strip_accents", options.lowercase);
  options.split_cjk = python.value("tokenize_chinese_chars", true);
  return options;
}

void check_texts(const Tokenizer& tokenizer, const json& texts, const json& ids) {
  REQUIRE(texts.size() == ids.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    INFO("text " << i << ": " << texts[i].dump(-1, ' ', true));
    CHECK(tokenizer.tokenize(texts[i].get<std::string>()) == ids[i].get<std::vector<std::int32_t>>());
  }
}

void check_pairs(const Tokenizer& tokenizer, const json& pairs) {
  REQUIRE_FALSE(pairs.empty());
  for (const json& pair : pairs) {
    INFO(pair.dump(-1, ' ', true));
    TextExample text;
    text.first = pair["first"];
    text.pair = !pair["second"].is_null();
    if (text.pair) text.second = pair["second"];
    const EncodedExample encoded = tokenizer.encode(text, pair["max_length"]);
    CHECK(encoded.token_ids == pair["ids"].get<std::vector<std::int32_t>>());
    CHECK(encoded.token_types == pair["types"].get<std::vector<std::uint8_t>>());
  }
}

void write(const std::filesystem::path& path, const std::string& text) {
  write_file_atomically(path, text);
}
const std::string five = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
}  // namespace

TEST_CASE("Tokenizer: the ids of Hugging Face's on hard texts, for every option") {
  const json expected = golden("tokenizer_small.json");
  for (const json& run : expected["cases"]) {
    INFO("options " << run["options"].dump());
    check_texts(small(options_of(run["options"])), expected["texts"], run["ids"]);
  }
}

TEST_CASE("Tokenizer: pairs are cut as Hugging Face cuts them") {
  check_pairs(small(), golden("tokenizer_small.json")["pairs"]);
}

TEST_CASE("Tokenizer: the same hard texts with BERT's own vocabulary") {
  const auto folder = test::data("minilm-qnli");
  SKIP_WITHOUT_DATA(folder);
  const json expected = golden("tokenizer_bert.json");
  for (const char* file : {"tokenizer.json", "vocab.txt"}) {
    INFO(file);
    const Tokenizer tokenizer = Tokenizer::load(folder / file);
    REQUIRE(tokenizer.vocabulary_size() == 30522);
    REQUIRE(tokenizer.mask_id() == 103);
    check_texts(tokenizer, expected["texts"], expected["cases"][0]["ids"]);
    check_pairs(tokenizer, expected["pairs"]);
  }
}

TEST_CASE("Tokenizer: the examples for which the model's authors' tokenizer was recorded") {
  const auto folder = test::data("minilm-qnli");
  SKIP_WITHOUT_DATA(folder);
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const json expected = json::parse(read_file(folder / "expected.json"));
  REQUIRE(expected["examples"].size() == 31);
  for (const json& example : expected["examples"]) {
    INFO("row " << example["row"]);
    const EncodedExample encoded =
        tokenizer.encode({example["question"], example["sentence"], -1, true}, expected["max_length"]);
    CHECK(encoded.token_ids == example["input_ids"].get<std::vector<std::int32_t>>());
    CHECK(encoded.token_types == example["token_type_ids"].get<std::vector<std::uint8_t>>());
  }
}

TEST_CASE("Tokenizer: loading") {
  const auto folder = test::scratch("tokenizer-loading");

  SECTION("tokenizer.json and vocab.txt give the same ids") {
    const Tokenizer a = Tokenizer::load(test::source("tests/golden/small_tokenizer.json"));
    const Tokenizer b = Tokenizer::load(test::source("tests/golden/small_vocab.txt"));
    REQUIRE(a.vocabulary_size() == b.vocabulary_size());
    const json expected = golden("tokenizer_small.json");
    for (const json& text : expected["texts"]) {
      REQUIRE(a.tokenize(text.get<std::string>()) == b.tokenize(text.get<std::string>()));
    }
  }
  SECTION("vocab.txt with CR LF and tokenizer_config.json") {
    write(folder / "vocab.txt", "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nabc\r\nABC\r\n");
    REQUIRE(Tokenizer::load(folder).tokenize("ABC abc") == std::vector<std::int32_t>{4, 4});
    REQUIRE(Tokenizer::load(folder).mask_id() == -1);
    write(folder / "tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": null})");
    REQUIRE(Tokenizer::load(folder).tokenize("ABC abc") == std::vector<std::int32_t>{5, 4});
    write(folder / "tokenizer_config.json", R"({"do_lower_case": 3})");
    REQUIRE_ERROR(Tokenizer::load(folder), "tokenizer_config.json", "/do_lower_case", "true or false", "3");
  }
  SECTION("errors of vocab.txt name file and line") {
    REQUIRE_ERROR(Tokenizer::load(folder), folder.string(), "tokenizer.json or vocab.txt");
    REQUIRE_ERROR(Tokenizer::load(folder / "absent.txt"), "absent.txt");
    write(folder / "vocab.txt", five + "a\n\nb\n");
    REQUIRE_ERROR(Tokenizer::load(folder), "vocab.txt:7", "empty line");
    write(folder / "vocab.txt", five + "a\nb\xff\n");
    REQUIRE_ERROR(Tokenizer::load(folder), "vocab.txt:7", "UTF-8");
    write(folder / "vocab.txt", five + "a\nb\na\n");
    REQUIRE_ERROR(Tokenizer::load(folder), "vocab.txt", "id 7", "'a' again", "id 5");
    write(folder / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\na\n");
    REQUIRE_ERROR(Tokenizer::load(folder), "vocab.txt", "[SEP]");
    write(folder / "vocab.txt", "");
    REQUIRE_ERROR(Tokenizer::load(folder), "vocab.txt", "[PAD]");
  }
}

TEST_CASE("Tokenizer: errors of tokenizer.json name file and JSON path") {
  const auto folder = test::scratch("tokenizer-json");
  const json good = golden("small_tokenizer.json");
  const auto with = [&](const std::string& path, const json& value) {
    json changed = good;
    changed[json::json_pointer(path)] = value;
    write(folder / "tokenizer.json", changed.dump());
    return folder;
  };
  REQUIRE_ERROR(Tokenizer::load(with("/model/type", "BPE")), "tokenizer.json", "/model/type", "WordPiece",
                "BPE");
  REQUIRE_ERROR(Tokenizer::load(with("/model/continuing_subword_prefix", "@@")),
                "/model/continuing_subword_prefix");
  REQUIRE_ERROR(Tokenizer::load(with("/model/unk_token", "<unk>")), "/model/unk_token");
  REQUIRE_ERROR(Tokenizer::load(with("/model/max_input_chars_per_word", "x")),
                "/model/max_input_chars_per_word");
  REQUIRE_ERROR(Tokenizer::load(with("/normalizer/type", "Lowercase")), "/normalizer/type", "BertNormalizer");
  REQUIRE_ERROR(Tokenizer::load(with("/normalizer", nullptr)), "/normalizer/type", "null");
  REQUIRE_ERROR(Tokenizer::load(with("/normalizer/lowercase", "yes")), "/normalizer/lowercase", "yes");
  REQUIRE_ERROR(Tokenizer::load(with("/pre_tokenizer/type", "Whitespace")), "/pre_tokenizer/type");
  REQUIRE_ERROR(Tokenizer::load(with("/model/vocab", json::array({1, 2}))), "/model/vocab");
  REQUIRE_ERROR(Tokenizer::load(with("/model/vocab/hello", 1)), "/model/vocab/", "each id once", "1");
  REQUIRE_ERROR(Tokenizer::load(with("/model/vocab/hello", 100000)), "/model/vocab/hello", "100000");
  REQUIRE_ERROR(Tokenizer::load(with("/model/vocab/hello", -1)), "/model/vocab/hello", "-1");
  REQUIRE_ERROR(Tokenizer::load(with("/added_tokens/1/id", 7)), "/added_tokens/1/content");
  REQUIRE_ERROR(Tokenizer::load(with("/added_tokens/1/lstrip", true)), "/added_tokens/1/lstrip");
  REQUIRE_ERROR(Tokenizer::load(with("/added_tokens", 5)), "/added_tokens", "a list");
  write(folder / "tokenizer.json", "{\"model\": ");
  REQUIRE_ERROR(Tokenizer::load(folder), "tokenizer.json", "byte", "valid JSON");
  write(folder / "tokenizer.json", "[1]");
  REQUIRE_ERROR(Tokenizer::load(folder), "tokenizer.json", "JSON object");

  SECTION("a shorter limit on words and an added token count") {
    json changed = good;
    changed["model"]["max_input_chars_per_word"] = 3;
    const auto next = changed["model"]["vocab"].size();
    changed["added_tokens"].push_back({{"id", next}, {"content", "<new>"}, {"special", false}});
    write(folder / "tokenizer.json", changed.dump());
    const Tokenizer tokenizer = Tokenizer::load(folder);
    REQUIRE(tokenizer.vocabulary_size() == next + 1);
    REQUIRE(tokenizer.tokenize("hello<new>the") ==
            std::vector<std::int32_t>{tokenizer.unk_id(), static_cast<std::int32_t>(next),
                                      small().tokenize("the").front()});
  }
}

TEST_CASE("Tokenizer: bad calls") {
  const Tokenizer tokenizer = small();
  REQUIRE_ERROR(tokenizer.tokenize("ab\xff"), "byte 2", "UTF-8");
  REQUIRE_ERROR(tokenizer.tokenize("\xed\xa0\x80"), "byte 0");
  REQUIRE_ERROR(tokenizer.encode({"a", "b", 0, true}, 2), "max_length", "3", "2");
  REQUIRE_ERROR(tokenizer.encode({"a", "", 0, false}, 1), "max_length", "2", "1");
  REQUIRE_ERROR(Tokenizer({"[PAD]", "[UNK]", "[CLS]", "[SEP]", ""}, {}), "id 4", "empty");
}

TEST_CASE("Tokenizer: encode_all keeps order, labels and ids on any number of threads") {
  std::vector<TextExample> texts;
  for (int i = 0; i < 1000; ++i)
    texts.push_back({"play " + std::to_string(i), "caf\u00e9 [SEP]", i % 3, true});
  const Tokenizer tokenizer = small();
  const int before = threads();
  for (const int count : {1, 3}) {
    set_threads(count);
    const auto all = tokenizer.encode_all(texts, 9);
    REQUIRE(all.size() == texts.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      REQUIRE(all[i].index == i);
      REQUIRE(all[i].label == texts[i].label);
      REQUIRE(all[i].token_ids == tokenizer.encode(texts[i], 9).token_ids);
    }
    texts[700].second = "\xc3";
    REQUIRE_ERROR(tokenizer.encode_all(texts, 9), "UTF-8");
    texts[700].second = "x";
  }
  set_threads(before);
}

TEST_CASE("Tokenizer: random bytes never crash it and give a bounded number of ids") {
  const Tokenizer tokenizer = small();
  Random random(7);
  const std::string spice[] = {"[SEP]",  "[",      "##",     "\u0301",     "\uac01",
                               "\u4e2d", "\u200d", "\u0130", "\U0001f600", " "};
  int accepted = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    // A third is plain bytes (mostly not UTF-8), the rest whole characters and special strings.
    const bool bytes = round % 3 == 0;
    for (std::uint64_t i = random.below(40); i-- > 0;) {
      const auto draw = random.below(256);
      if (bytes || draw < 120) {
        text += static_cast<char>(bytes ? draw : draw % 128);
      } else {
        text += spice[random.below(std::size(spice))];
      }
    }
    try {
      const auto ids = tokenizer.tokenize(text);
      ++accepted;
      // Every byte gives a piece at most, and a precomposed character of n bytes at most 4 after
      // decomposition.
      REQUIRE(ids.size() <= 4 * text.size());
      for (const std::int32_t id : ids) REQUIRE((id >= 0 && std::size_t(id) < tokenizer.vocabulary_size()));
      const auto cut = tokenizer.encode({text, text, 0, true}, 12);
      REQUIRE(cut.token_ids.size() <= 12);
      REQUIRE(cut.token_types.size() == cut.token_ids.size());
    } catch (const Error&) {
      ++refused;
    }
  }
  REQUIRE(accepted > 10000);
  REQUIRE(refused > 3000);
}
