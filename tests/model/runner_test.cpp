#include "model/runner.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "catch.h"
#include "core/files.h"
#include "core/parallel.h"
#include "paths.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

/// Keeps every value by site, token and column.
class Recorder : public SiteHook {
 public:
  using Key = std::tuple<std::size_t, std::uint32_t, std::uint32_t, int, std::size_t>;
  void visit(const SiteTile& tile, int) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t r = 0; r < tile.rows; ++r) {
      for (std::size_t c = 0; c < tile.cols; ++c) {
        const Key key{tile.site, tile.tokens[r].example, tile.tokens[r].position, tile.channel, c};
        REQUIRE(values.emplace(key, tile.data[r * tile.stride + c]).second);
      }
    }
  }
  std::map<Key, float> values;

 private:
  std::mutex mutex_;
};

Matrix logits_of(const BertRunner& runner, const std::vector<EncodedExample>& examples,
                 std::size_t batch_size, SiteHook* hook = nullptr) {
  Matrix all(examples.size(), runner.config().labels.size());
  for (const Batch& batch : make_batches(examples, batch_size)) {
    const Matrix logits = runner.logits(batch, hook);
    for (std::size_t e = 0; e < batch.size(); ++e)
      std::copy_n(logits.row(e), logits.cols(), all.row(batch.examples[e]));
  }
  return all;
}

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

const std::vector<std::size_t> lengths = {5, 40, 17, 3, 3, 28, 16, 33, 9, 21, 12, 7, 38, 2, 15};

}  // namespace

TEST_CASE("Logits and every site are the same to the bit for any batch size and thread count", "[runner]") {
  const BertRunner runner(test::tiny_bert());
  const auto examples = test::random_examples(lengths);
  set_threads(1);
  Recorder expected;
  const Matrix reference = logits_of(runner, examples, 1, &expected);
  for (const int threads : {1, 2, 3}) {
    set_threads(threads);
    for (const std::size_t batch_size : {1, 7, 32}) {
      INFO(threads << " threads, batches of " << batch_size);
      Recorder found;
      REQUIRE(same_bits(reference, logits_of(runner, examples, batch_size, &found)));
      REQUIRE(same_bits(reference, logits_of(runner, examples, batch_size)));
      REQUIRE(found.values == expected.values);
    }
  }
  set_threads(0);
}

TEST_CASE("Every site is visited once with its whole shape", "[runner]") {
  const BertRunner runner(test::tiny_bert());
  const auto examples = test::random_examples({4, 9});
  Recorder recorder;
  logits_of(runner, examples, 2, &recorder);
  std::map<std::size_t, std::size_t> counts;
  for (const auto& [key, value] : recorder.values) ++counts[std::get<0>(key)];
  const SiteTable& sites = runner.sites();
  REQUIRE(counts.size() == sites.size());
  for (const auto& [site, count] : counts) {
    INFO(sites[site].name);
    switch (sites[site].kind) {
      case SiteKind::scores:
      case SiteKind::probs:
        REQUIRE(count == 3 * (4 * 4 + 9 * 9));
        break;
      case SiteKind::pooler:
        REQUIRE(count == 2 * 30);
        break;
      case SiteKind::ffn_hidden:
        REQUIRE(count == 13 * 70);
        break;
      default:
        REQUIRE(count == 13 * 30);
    }
  }
}

TEST_CASE("A hook's replacement reaches what follows", "[runner]") {
  class Silence : public SiteHook {
   public:
    explicit Silence(std::size_t site) : site_(site) {}
    void visit(const SiteTile& tile, int) override {
      if (tile.site != site_) return;
      for (std::size_t r = 0; r < tile.rows; ++r) std::fill_n(tile.data + r * tile.stride, tile.cols, 0.0f);
    }

   private:
    std::size_t site_;
  };
  const BertRunner runner(test::tiny_bert());
  const auto examples = test::random_examples({6, 11});
  const Matrix reference = logits_of(runner, examples, 2);
  for (const Site& site : runner.sites().all()) {
    INFO(site.name);
    Silence hook(runner.sites().index(site.name));
    REQUIRE_FALSE(same_bits(reference, logits_of(runner, examples, 2, &hook)));
  }
}

TEST_CASE("The parts of a forward pass make the whole", "[runner]") {
  const BertRunner runner(test::tiny_bert(2, 3));
  const Batch batch = make_batches(test::random_examples({6, 11, 30}), 8).front();
  Matrix hidden = runner.embed(batch);
  for (std::size_t i = 0; i < 3; ++i) hidden = runner.layer(i, batch, hidden);
  REQUIRE(same_bits(runner.classify(batch, hidden), runner.logits(batch)));
}

TEST_CASE("What no logit depends on is computed for a hook that needs all rows, and shown to no other",
          "[runner]") {
  class Rows : public SiteHook {
   public:
    Rows(const SiteTable& sites, bool all) : seen(sites.size()), all_(all) {}
    void visit(const SiteTile& tile, int) override {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (std::size_t r = 0; r < tile.rows; ++r)
        seen[tile.site].insert({tile.tokens[r].example, tile.tokens[r].position});
    }
    bool needs_all_rows() const override { return all_; }

    std::vector<std::set<std::pair<std::size_t, std::size_t>>> seen;  ///< [site] (example, position)

   private:
    bool all_;
    std::mutex mutex_;
  };
  const BertRunner runner(test::tiny_bert(2, 2));
  const SiteTable& sites = runner.sites();
  const auto examples = test::random_examples({6, 11, 1});
  const Batch batch = make_batches(examples, 3).front();
  Rows all(sites, true), few(sites, false);
  const Matrix logits = runner.logits(batch);
  REQUIRE(same_bits(logits, runner.logits(batch, &all)));
  REQUIRE(same_bits(logits, runner.logits(batch, &few)));
  for (std::size_t from = 0; from <= 2; ++from) {
    Matrix hidden = runner.embed(batch);
    for (std::size_t i = 0; i < from; ++i) hidden = runner.layer(i, batch, hidden);
    REQUIRE(same_bits(logits, runner.logits_from(from, batch, hidden)));
    REQUIRE(same_bits(logits, runner.logits_from(from, batch, hidden, &all)));
  }
  for (std::size_t i = 0; i < sites.size(); ++i) {
    INFO(sites[i].name);
    const bool read_by_all = sites[i].kind == SiteKind::key || sites[i].kind == SiteKind::value;
    const bool firsts = sites[i].kind == SiteKind::pooler || (sites[i].layer == 1 && !read_by_all);
    REQUIRE(all.seen[i].size() == (sites[i].kind == SiteKind::pooler ? 3 : 18));
    REQUIRE(few.seen[i].size() == (firsts ? 3 : 18));
    for (const auto& [example, position] : few.seen[i]) REQUIRE((!firsts || position == 0));
  }
}

TEST_CASE("Padding on the right changes nothing; on the left it shifts the positions", "[runner]") {
  const BertRunner runner(test::tiny_bert());
  const auto examples = test::random_examples({5, 9});
  const Matrix expected = logits_of(runner, examples, 2);
  const std::size_t width = 12;
  const auto padded = [&](bool left) {
    std::vector<std::int32_t> ids(2 * width, 0);
    std::vector<std::uint8_t> types(2 * width, 0), mask(2 * width, 0);
    for (std::size_t e = 0; e < 2; ++e) {
      const std::size_t length = examples[e].token_ids.size(), start = left ? width - length : 0;
      for (std::size_t t = 0; t < length; ++t) {
        ids[e * width + start + t] = examples[e].token_ids[t];
        types[e * width + start + t] = examples[e].token_types[t];
        mask[e * width + start + t] = 1;
      }
    }
    return make_batch_from_padded(ids, types, mask, width);
  };
  REQUIRE(same_bits(runner.logits(padded(false)), expected));
  Batch left = padded(true);
  REQUIRE(left.positions.front() == 7);
  REQUIRE_FALSE(same_bits(runner.logits(left), expected));
  for (std::size_t e = 0; e < 2; ++e) {
    for (std::size_t t = left.offsets[e]; t < left.offsets[e + 1]; ++t) {
      left.positions[t] = static_cast<std::int32_t>(t - left.offsets[e]);
    }
  }
  REQUIRE(same_bits(runner.logits(left), expected));
}

TEST_CASE("Ids, types and lengths that the model does not have are refused", "[runner]") {
  const BertRunner runner(test::tiny_bert());
  Batch batch = make_batches(test::random_examples({5}), 1).front();
  batch.token_ids[3] = 50;
  REQUIRE_ERROR(runner.logits(batch), "example 0, token 3", "50");
  batch.token_ids[3] = -1;
  REQUIRE_ERROR(runner.logits(batch), "token 3", "-1");
  batch.token_ids[3] = 4;
  batch.token_types[2] = 2;
  REQUIRE_ERROR(runner.logits(batch), "token 2", "token type");
  const Batch longer = make_batches(test::random_examples({41}), 1).front();
  REQUIRE_ERROR(runner.logits(longer), "40 positions", "position 40");
}

TEST_CASE("Logits and hidden states agree with Hugging Face on a real checkpoint", "[runner][data]") {
  const auto folder = test::data("minilm-qnli");
  SKIP_WITHOUT_DATA(folder);
  const auto golden = nlohmann::json::parse(read_file(folder / "expected.json"));
  const BertRunner runner(BertWeights::load(folder));
  std::vector<EncodedExample> examples;
  for (const auto& entry : golden["examples"]) {
    EncodedExample e;
    e.index = static_cast<std::uint32_t>(examples.size());
    e.token_ids = entry["input_ids"].get<std::vector<std::int32_t>>();
    e.token_types = entry["token_type_ids"].get<std::vector<std::uint8_t>>();
    examples.push_back(e);
  }
  REQUIRE(examples.size() == 31);
  const Matrix logits = logits_of(runner, examples, 8);
  double worst = 0;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    for (std::size_t c = 0; c < 2; ++c) {
      worst = std::max(worst, std::fabs(logits(i, c) - golden["examples"][i]["logits"][c].get<double>()));
    }
    const Batch batch = make_batch(examples, {i});
    Matrix hidden = runner.embed(batch);
    const auto& states = golden["examples"][i]["hidden_states"];
    for (std::size_t s = 0; s < states.size(); ++s) {
      if (s > 0) hidden = runner.layer(s - 1, batch, hidden);
      double sum = 0, largest = 0;
      for (std::size_t k = 0; k < hidden.size(); ++k) {
        sum += hidden.data()[k];
        largest = std::max(largest, static_cast<double>(std::fabs(hidden.data()[k])));
      }
      INFO("example " << i << " state " << s);
      REQUIRE(sum / static_cast<double>(hidden.size()) ==
              Approx(states[s]["mean"].get<double>()).margin(1e-5));
      REQUIRE(largest == Approx(states[s]["absmax"].get<double>()).epsilon(1e-4));
      for (std::size_t k = 0; k < 4; ++k) {
        REQUIRE(hidden(0, k) == Approx(states[s]["first4"][k].get<double>()).margin(1e-4));
      }
    }
  }
  INFO("largest difference of a logit: " << worst);
  REQUIRE(worst <= 1e-4);
}

TEST_CASE("A hook is told when each product begins and ends", "[runner]") {
  struct Counter : SiteHook {
    std::atomic<int> begun{0}, ended{0};
    void visit(const SiteTile&, int) override {}
    void product_begins(int thread) override { begun += thread >= 0 && thread < threads(); }
    void product_ends(int) override { ++ended; }
  };
  const BertRunner runner(test::tiny_bert());
  Counter counter;
  runner.logits(make_batches(test::random_examples({5}), 1)[0], &counter);
  // One example is one chunk of rows: per layer three projections, three products behind them, two per head;
  // then pooler and classifier.
  REQUIRE(counter.begun == 2 * (6 + 2 * 3) + 2);
  REQUIRE(counter.ended == counter.begun);
}

TEST_CASE("A copy of a runner computes the same after the original is gone", "[runner]") {
  auto runner = std::make_unique<BertRunner>(test::tiny_bert());
  const auto examples = test::random_examples(lengths);
  const Matrix logits = logits_of(*runner, examples, 7);
  const BertRunner copy = runner->copy();
  runner.reset();
  REQUIRE(same_bits(logits, logits_of(copy, examples, 7)));
}
