#include "data/batch.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/error.h"

namespace outlierlab {

namespace {
void reserve(Batch& batch, std::size_t tokens, std::size_t examples) {
  batch.token_ids.reserve(tokens);
  batch.token_types.reserve(tokens);
  batch.positions.reserve(tokens);
  batch.tokens.reserve(tokens);
  batch.offsets.reserve(examples + 1);
  batch.examples.reserve(examples);
  batch.labels.reserve(examples);
}

void begin_example(Batch& batch, std::uint32_t index, int label) {
  batch.examples.push_back(index);
  batch.labels.push_back(label);
  batch.offsets.push_back(batch.offsets.back());
}

void append_token(Batch& batch, std::int32_t id, std::uint8_t type, std::size_t position) {
  const auto place = static_cast<std::uint32_t>(batch.token_ids.size() - batch.offsets[batch.size() - 1]);
  batch.tokens.push_back({batch.examples.back(), place});
  batch.token_ids.push_back(id);
  batch.token_types.push_back(type);
  batch.positions.push_back(static_cast<std::int32_t>(position));
  ++batch.offsets.back();
}

void require_count(const char* what, std::size_t expected, std::size_t found) {
  if (expected != found) {
    fail_expected(std::string("padded batch: ") + what, std::to_string(expected), std::to_string(found));
  }
}
}  // namespace

void Batch::require_tokens(std::size_t vocabulary, std::size_t position_count, std::size_t type_count) const {
  for (std::size_t t = 0; t < token_count(); ++t) {
    const std::string place =
        "example " + std::to_string(tokens[t].example) + ", token " + std::to_string(tokens[t].position);
    if (token_ids[t] < 0 || static_cast<std::size_t>(token_ids[t]) >= vocabulary) {
      fail_expected(place, "a token id below the vocabulary's size " + std::to_string(vocabulary),
                    std::to_string(token_ids[t]));
    }
    if (static_cast<std::size_t>(positions[t]) >= position_count) {
      fail_expected(place, "at most " + std::to_string(position_count) + " positions",
                    "position " + std::to_string(positions[t]));
    }
    if (token_types[t] >= type_count) {
      fail_expected(place, "a token type below " + std::to_string(type_count),
                    std::to_string(token_types[t]));
    }
  }
}

Batch make_batch(const std::vector<EncodedExample>& all, const std::vector<std::size_t>& which) {
  Batch batch;
  std::size_t tokens = 0;
  for (const std::size_t i : which) tokens += all.at(i).token_ids.size();
  reserve(batch, tokens, which.size());
  batch.offsets.push_back(0);
  for (const std::size_t i : which) {
    const EncodedExample& example = all[i];
    if (example.token_ids.empty() || example.token_types.size() != example.token_ids.size()) {
      fail_expected("example " + std::to_string(example.index), "at least one token and one type for each",
                    std::to_string(example.token_ids.size()) + " tokens and " +
                        std::to_string(example.token_types.size()) + " types");
    }
    begin_example(batch, example.index, example.label);
    for (std::size_t t = 0; t < example.token_ids.size(); ++t) {
      append_token(batch, example.token_ids[t], example.token_types[t], t);
    }
  }
  return batch;
}

Batch make_batch_from_padded(const std::vector<std::int32_t>& ids, const std::vector<std::uint8_t>& types,
                             const std::vector<std::uint8_t>& mask, std::size_t width) {
  if (width == 0 || ids.size() % width != 0) {
    fail_expected("padded batch: ids", "a multiple of the width " + std::to_string(width),
                  std::to_string(ids.size()));
  }
  require_count("types", ids.size(), types.size());
  require_count("mask", ids.size(), mask.size());
  const std::size_t rows = ids.size() / width;
  Batch batch;
  reserve(batch, ids.size(), rows);
  batch.offsets.push_back(0);
  for (std::size_t row = 0; row < rows; ++row) {
    begin_example(batch, static_cast<std::uint32_t>(row), -1);
    for (std::size_t column = 0; column < width; ++column) {
      const std::size_t i = row * width + column;
      if (mask[i] > 1) {
        fail_expected("padded batch: row " + std::to_string(row), "a mask of 0 and 1",
                      std::to_string(mask[i]));
      }
      if (mask[i] == 1) append_token(batch, ids[i], types[i], column);
    }
    if (batch.length(row) == 0) {
      fail_expected("padded batch: row " + std::to_string(row), "a token that is not masked", "none");
    }
  }
  return batch;
}

std::vector<Batch> make_batches(const std::vector<EncodedExample>& examples, std::size_t batch_size) {
  if (batch_size == 0) throw UsageError("batch size: expected at least 1, found 0");
  std::vector<std::size_t> order(examples.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const std::size_t length_a = examples[a].token_ids.size(), length_b = examples[b].token_ids.size();
    return length_a != length_b ? length_a < length_b : a < b;
  });
  std::vector<Batch> batches;
  for (std::size_t begin = 0; begin < order.size(); begin += batch_size) {
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto count = std::min(batch_size, order.size() - begin);
    batches.push_back(make_batch(examples, {first, first + static_cast<std::ptrdiff_t>(count)}));
  }
  return batches;
}

}  // namespace outlierlab
