#include "data/batch.h"

#include "catch.h"

using namespace outlierlab;

namespace {
EncodedExample example(std::uint32_t index, std::vector<std::int32_t> ids, int label = 0) {
  EncodedExample e;
  e.index = index;
  e.token_types.assign(ids.size(), 0);
  e.token_types.back() = 1;
  e.token_ids = std::move(ids);
  e.label = label;
  return e;
}
}  // namespace

TEST_CASE("Batch: examples lie end to end in the order asked for") {
  const std::vector<EncodedExample> all = {example(0, {1, 2, 3}, 1), example(1, {4, 5}),
                                           example(2, {6, 7, 8, 9}, 2)};
  const Batch batch = make_batch(all, {2, 0});
  REQUIRE(batch.size() == 2);
  REQUIRE(batch.token_count() == 7);
  REQUIRE(batch.token_ids == std::vector<std::int32_t>{6, 7, 8, 9, 1, 2, 3});
  REQUIRE(batch.token_types == std::vector<std::uint8_t>{0, 0, 0, 1, 0, 0, 1});
  REQUIRE(batch.positions == std::vector<std::int32_t>{0, 1, 2, 3, 0, 1, 2});
  REQUIRE(batch.offsets == std::vector<std::size_t>{0, 4, 7});
  REQUIRE(batch.examples == std::vector<std::uint32_t>{2, 0});
  REQUIRE(batch.labels == std::vector<int>{2, 1});
  REQUIRE(batch.length(1) == 3);
  REQUIRE(batch.tokens[5].example == 0);
  REQUIRE(batch.tokens[5].position == 1);
}

TEST_CASE("Batch: none at all") {
  const Batch batch = make_batch({}, {});
  REQUIRE(batch.size() == 0);
  REQUIRE(batch.offsets == std::vector<std::size_t>{0});
  REQUIRE(make_batches({}, 4).empty());
}

TEST_CASE("Batch: an example without tokens or with too few types is an error") {
  EncodedExample empty;
  empty.index = 7;
  REQUIRE_ERROR(make_batch({empty}, {0}), "example 7", "0 tokens");
  EncodedExample uneven = example(3, {1, 2});
  uneven.token_types.pop_back();
  REQUIRE_ERROR(make_batch({uneven}, {0}), "example 3", "2 tokens and 1 types");
}

TEST_CASE("Batch: padding on either side is dropped and positions count columns") {
  const std::vector<std::int32_t> ids = {1, 2, 3, 0, 0, 0, 4, 5};
  const std::vector<std::uint8_t> types = {0, 0, 1, 0, 0, 0, 0, 1}, mask = {1, 1, 1, 0, 0, 0, 1, 1};
  const Batch batch = make_batch_from_padded(ids, types, mask, 4);
  REQUIRE(batch.token_ids == std::vector<std::int32_t>{1, 2, 3, 4, 5});
  REQUIRE(batch.token_types == std::vector<std::uint8_t>{0, 0, 1, 0, 1});
  REQUIRE(batch.positions == std::vector<std::int32_t>{0, 1, 2, 2, 3});
  REQUIRE(batch.offsets == std::vector<std::size_t>{0, 3, 5});
  REQUIRE(batch.examples == std::vector<std::uint32_t>{0, 1});
  REQUIRE(batch.labels == std::vector<int>{-1, -1});
  REQUIRE(batch.tokens[3].example == 1);
  REQUIRE(batch.tokens[3].position == 0);  // [CLS], wherever padding moved it

  REQUIRE_ERROR(make_batch_from_padded(ids, types, mask, 3), "multiple of the width 3", "8");
  REQUIRE_ERROR(make_batch_from_padded(ids, types, mask, 0), "width 0");
  REQUIRE_ERROR(make_batch_from_padded(ids, {0}, mask, 4), "types", "8", "1");
  REQUIRE_ERROR(make_batch_from_padded(ids, types, {1}, 4), "mask", "8", "1");
  REQUIRE_ERROR(make_batch_from_padded(ids, types, {1, 1, 1, 0, 0, 0, 0, 0}, 4), "row 1", "not masked");
  REQUIRE_ERROR(make_batch_from_padded(ids, types, {1, 1, 1, 0, 0, 0, 1, 2}, 4), "row 1", "0 and 1", "2");
}

TEST_CASE("Batch: sorted by length, ties by index, the last batch may be smaller") {
  std::vector<EncodedExample> all;
  for (const std::size_t length : {3, 2, 3, 1, 2}) {
    all.push_back(example(static_cast<std::uint32_t>(all.size()), std::vector<std::int32_t>(length, 9)));
  }
  const auto batches = make_batches(all, 2);
  REQUIRE(batches.size() == 3);
  REQUIRE(batches[0].examples == std::vector<std::uint32_t>{3, 1});
  REQUIRE(batches[1].examples == std::vector<std::uint32_t>{4, 0});
  REQUIRE(batches[2].examples == std::vector<std::uint32_t>{2});
  REQUIRE(make_batches(all, 100).size() == 1);
  REQUIRE_THROWS_AS(make_batches(all, 0), UsageError);
}
