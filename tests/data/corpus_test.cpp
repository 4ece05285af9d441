#include "data/corpus.h"

#include <cstring>
#include <set>

#include "catch.h"
#include "core/files.h"
#include "data/task.h"
#include "data/tokenizer.h"
#include "paths.h"

using namespace outlierlab;

namespace {
std::string flatten(const std::vector<TextExample>& examples) {
  std::string text;
  for (const TextExample& e : examples)
    text += e.first + "\t" + e.second + "\t" + std::to_string(e.label) + "\n";
  return text;
}

CorpusOptions sized(std::size_t train, std::size_t dev) {
  CorpusOptions options;
  options.split_sizes = {{"train", train}, {"dev", dev}};
  return options;
}
}  // namespace

TEST_CASE("Corpus: the same texts everywhere") {
  const CorpusOptions options;
  std::string vocabulary;
  for (const std::string& piece : corpus_vocabulary(options)) vocabulary += piece + "\n";
  CHECK(sha256(vocabulary) == "44d2bc29d09cedb64271c1636dcbf4ee61ea423b4ab6c380276613b80c1a6aa2");
  CHECK(sha256(flatten(corpus_split(options, "dev"))) ==
        "22f7b541d2556d0bb7c7f09076e5706d02b1a66533a39f512808b363b9dd4eca");
}

TEST_CASE("Corpus: no text holds an unknown word") {
  const CorpusOptions options = sized(3000, 1);
  const Tokenizer tokenizer(corpus_vocabulary(options), {});
  INFO(tokenizer.vocabulary_size());
  REQUIRE(tokenizer.vocabulary_size() > 750);
  REQUIRE(tokenizer.vocabulary_size() < 1000);
  const auto examples = corpus_split(options, "train");
  for (const EncodedExample& e : tokenizer.encode_all(examples, 128)) {
    REQUIRE(e.token_ids.size() <= 48);
    REQUIRE(std::count(e.token_ids.begin(), e.token_ids.end(), tokenizer.unk_id()) == 0);
    REQUIRE(std::none_of(e.token_ids.begin(), e.token_ids.end(),
                         [&](auto id) { return tokenizer.piece(id).compare(0, 2, "##") == 0; }));
  }
  for (const std::string& text : corpus_text(options, 500)) {
    for (const std::int32_t id : tokenizer.tokenize(text)) REQUIRE(id != tokenizer.unk_id());
  }
}

TEST_CASE("Corpus: splits are different streams, calibration is the start of train") {
  const CorpusOptions options = sized(2000, 2000);
  const auto train = corpus_split(options, "train"), dev = corpus_split(options, "dev");
  REQUIRE(train.size() == 2000);
  REQUIRE(flatten(train) != flatten(dev));
  std::set<std::string> seen;
  for (const TextExample& e : train) seen.insert(e.first + e.second);
  const auto again =
      std::count_if(dev.begin(), dev.end(), [&](const auto& e) { return seen.count(e.first + e.second); });
  REQUIRE(again < 20);

  const auto calibration = corpus_split(options, "calibration");
  REQUIRE(calibration.size() == 256);
  REQUIRE(flatten(calibration) == flatten({train.begin(), train.begin() + 256}));
  REQUIRE(corpus_split(sized(100, 1), "calibration").size() == 100);
  REQUIRE(flatten(corpus_split(sized(10, 1), "train")) == flatten({train.begin(), train.begin() + 10}));
  REQUIRE_ERROR(corpus_split(options, "tune"), "split", "tune", "dev, train");

  CorpusOptions other = options;
  other.seed = 2;
  REQUIRE(flatten(corpus_split(other, "dev")) != flatten(dev));
  REQUIRE(corpus_vocabulary(other) != corpus_vocabulary(options));
}

TEST_CASE("Corpus: labels mean what they say") {
  const auto examples = corpus_split(sized(20000, 1), "train");
  // The person asked about is the capitalized word of the question that does not start it.
  const auto person = [](const TextExample& e) {
    std::size_t i = 1;
    while (!(e.first[i] >= 'A' && e.first[i] <= 'Z')) ++i;
    return e.first.substr(i, 4);
  };
  std::size_t positive = 0, same_person = 0;
  for (const TextExample& e : examples) {
    const bool named = e.second.find(person(e)) != std::string::npos;
    if (e.label == 0) {
      ++positive;
      REQUIRE(named);
    } else {
      same_person += named;
    }
  }
  const double share = double(positive) / examples.size();
  REQUIRE(share == Approx(0.5).margin(0.015));
  REQUIRE(double(same_person) / (examples.size() - positive) == Approx(0.7).margin(0.02));
}

TEST_CASE("Corpus: noise flips labels and nothing else") {
  CorpusOptions options = sized(10000, 1);
  const auto clean = corpus_split(options, "train");
  options.label_noise = 0.1;
  const auto noisy = corpus_split(options, "train");
  std::size_t flipped = 0;
  for (std::size_t i = 0; i < clean.size(); ++i) {
    REQUIRE(clean[i].first == noisy[i].first);
    REQUIRE(clean[i].second == noisy[i].second);
    flipped += clean[i].label != noisy[i].label;
  }
  REQUIRE(flipped == Approx(1000).margin(120));
  options.label_noise = 0.7;
  REQUIRE_ERROR(corpus_split(options, "train"), "noise", "0.7");
}

TEST_CASE("Corpus: the demo task generates its splits and needs no folder") {
  const Task task = Task::read(test::source("configs/tasks/demo.ini"));
  std::filesystem::path used = "before";
  const auto dev = read_split(task, "dev", "no such folder", 0, &used);
  REQUIRE(used.empty());
  REQUIRE(dev.size() == 2048);
  REQUIRE(dev[0].pair);
  REQUIRE(read_split(task, "dev", "", 10).size() == 10);
  REQUIRE(read_split(task, "calibration", "").size() == 256);
  REQUIRE(read_split(task, "train", "").size() == 40000);
}
