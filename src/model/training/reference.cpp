#include "model/training/reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"

namespace outlierlab {

namespace {

using torch::Tensor;

/// Dropout whose masks come from a counter: element i of the n-th mask of a step is kept or not by a hash of
/// (key, n, i), whatever the number of threads or the version of libtorch.
class Dropout {
 public:
  explicit Dropout(const std::optional<std::uint64_t>& key) : key_(key) {}

  Tensor operator()(const Tensor& x, float rate) {
    if (!key_ || rate <= 0) return x;
    Tensor mask = torch::empty_like(x, torch::TensorOptions().memory_format(torch::MemoryFormat::Contiguous));
    fill(mask.data_ptr<float>(), static_cast<std::size_t>(mask.numel()), rate, mix64(*key_ + masks_++));
    return x * mask;
  }

 private:
  static void fill(float* mask, std::size_t count, float rate, std::uint64_t key) {
    const auto threshold = static_cast<std::uint32_t>(static_cast<double>(rate) * 0x1p32);
    const float kept = 1.0f / (1.0f - rate);
    // A hash gives two elements; chunks are even, so that a pair is never cut.
    parallel_chunks(count, 1 << 16, [=](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; i += 2) {
        const std::uint64_t bits = mix64(key ^ i);
        mask[i] = static_cast<std::uint32_t>(bits) >= threshold ? kept : 0.0f;
        if (i + 1 < end) mask[i + 1] = static_cast<std::uint32_t>(bits >> 32) >= threshold ? kept : 0.0f;
      }
    });
  }

  std::optional<std::uint64_t> key_;
  std::uint64_t masks_ = 0;
};

std::vector<std::int64_t> sizes_of(const std::vector<std::size_t>& shape) {
  return {shape.begin(), shape.end()};
}

std::string layer_name(std::size_t layer) {
  return "bert.encoder.layer." + std::to_string(layer) + ".";
}

}  // namespace

PaddedBatch pad_batch(const std::vector<EncodedExample>& all, const std::vector<std::size_t>& which,
                      std::int32_t pad_id) {
  std::size_t width = 0;
  for (const std::size_t index : which) width = std::max(width, all[index].token_ids.size());
  const auto rows = static_cast<std::int64_t>(which.size());
  const auto cols = static_cast<std::int64_t>(width);
  PaddedBatch batch;
  batch.ids = torch::full({rows, cols}, static_cast<std::int64_t>(pad_id), torch::kInt64);
  batch.types = torch::zeros({rows, cols}, torch::kInt64);
  batch.mask = torch::zeros({rows, cols}, torch::kBool);
  batch.labels = torch::empty({rows}, torch::kInt64);
  for (std::size_t r = 0; r < which.size(); ++r) {
    const EncodedExample& example = all[which[r]];
    std::copy(example.token_ids.begin(), example.token_ids.end(),
              batch.ids.data_ptr<std::int64_t>() + r * width);
    std::copy(example.token_types.begin(), example.token_types.end(),
              batch.types.data_ptr<std::int64_t>() + r * width);
    std::fill_n(batch.mask.data_ptr<bool>() + r * width, example.token_ids.size(), true);
    batch.labels.data_ptr<std::int64_t>()[r] = example.label;
  }
  return batch;
}

ReferenceBert::ReferenceBert(const BertWeights& weights) : config_(weights.config), skeleton_(weights) {
  const auto total = static_cast<std::int64_t>(weights.parameter_count());
  values_ = torch::empty({total}, torch::kFloat32);
  gradients_ = torch::zeros({total}, torch::kFloat32);
  std::size_t offset = 0;
  weights.for_each_parameter(
      [&](const std::string& name, const std::vector<std::size_t>& shape, const float* source) {
        std::size_t count = 1;
        for (const std::size_t extent : shape) count *= extent;
        const auto begin = static_cast<std::int64_t>(offset), length = static_cast<std::int64_t>(count);
        std::memcpy(values() + offset, source, count * sizeof(float));
        Tensor view = values_.narrow(0, begin, length).view(sizes_of(shape)).detach().set_requires_grad(true);
        // Autograd adds to a gradient that is already defined, so all of them stay in one buffer.
        view.mutable_grad() = gradients_.narrow(0, begin, length).view(sizes_of(shape));
        views_.emplace(name, view);
        parameters_.push_back({name, shape, offset, count});
        offset += count;
      });
}

BertWeights ReferenceBert::weights() const {
  BertWeights copy = skeleton_;
  const float* source = values_.data_ptr<float>();
  std::size_t index = 0;
  copy.for_each_parameter([&](const std::string&, const std::vector<std::size_t>&, float* target) {
    const Parameter& parameter = parameters_[index++];
    std::memcpy(target, source + parameter.offset, parameter.count * sizeof(float));
  });
  return copy;
}

const Tensor& ReferenceBert::at(const std::string& name) const {
  const auto found = views_.find(name);
  if (found == views_.end()) throw Error("the model has no parameter '" + name + "'");
  return found->second;
}

Tensor ReferenceBert::linear(const std::string& name, const Tensor& x) const {
  return torch::nn::functional::linear(x, at(name + ".weight"), at(name + ".bias"));
}

Tensor ReferenceBert::layer_norm(const std::string& name, const Tensor& x) const {
  return torch::layer_norm(x, {x.size(-1)}, at(name + ".weight"), at(name + ".bias"),
                           static_cast<double>(config_.layer_norm_epsilon));
}

Tensor ReferenceBert::encode(const PaddedBatch& batch, const ForwardOptions& options) const {
  const auto site = [&](const std::string& name, const Tensor& values) {
    return options.visit ? options.visit(name, values) : values;
  };
  Dropout dropout(options.dropout_key);
  const std::int64_t examples = batch.ids.size(0), width = batch.ids.size(1);
  const auto heads = static_cast<std::int64_t>(config_.heads);
  const auto head_size = static_cast<std::int64_t>(config_.head_size());
  const auto split_heads = [&](const Tensor& x) {
    return x.view({examples, width, heads, head_size}).transpose(1, 2);
  };
  const Tensor padding = batch.mask.logical_not().view({examples, 1, 1, width});

  Tensor x = torch::embedding(at("bert.embeddings.word_embeddings.weight"), batch.ids) +
             at("bert.embeddings.position_embeddings.weight").narrow(0, 0, width) +
             torch::embedding(at("bert.embeddings.token_type_embeddings.weight"), batch.types);
  x = site("embeddings.sum", x);
  x = site("embeddings.norm", layer_norm("bert.embeddings.LayerNorm", x));
  x = dropout(x, config_.hidden_dropout);

  for (std::size_t i = 0; i < config_.layers; ++i) {
    const std::string parameters = layer_name(i), sites = "layer." + std::to_string(i) + ".";
    const Tensor query = split_heads(site(sites + "query", linear(parameters + "attention.self.query", x)));
    const Tensor key = split_heads(site(sites + "key", linear(parameters + "attention.self.key", x)));
    const Tensor value = split_heads(site(sites + "value", linear(parameters + "attention.self.value", x)));
    Tensor scores = torch::matmul(query, key.transpose(-1, -2)) / std::sqrt(static_cast<double>(head_size));
    scores = site(sites + "scores", scores).masked_fill(padding, -std::numeric_limits<float>::infinity());
    const Tensor probs = dropout(site(sites + "probs", scores.softmax(-1)), config_.attention_dropout);
    const Tensor context =
        torch::matmul(probs, value).transpose(1, 2).reshape({examples, width, heads * head_size});
    Tensor attended = linear(parameters + "attention.output.dense", site(sites + "context", context));
    attended = dropout(site(sites + "attention_output", attended), config_.hidden_dropout);
    attended = site(sites + "attention_residual", x + attended);
    const Tensor ffn_input =
        site(sites + "ffn_input", layer_norm(parameters + "attention.output.LayerNorm", attended));
    const Tensor hidden =
        site(sites + "ffn_hidden", torch::gelu(linear(parameters + "intermediate.dense", ffn_input)));
    Tensor output = site(sites + "ffn_output", linear(parameters + "output.dense", hidden));
    output = site(sites + "ffn_residual", ffn_input + dropout(output, config_.hidden_dropout));
    x = site(sites + "output", layer_norm(parameters + "output.LayerNorm", output));
  }
  return x;
}

Tensor ReferenceBert::classify(const Tensor& hidden, const ForwardOptions& options) const {
  Tensor pooled = torch::tanh(linear("bert.pooler.dense", hidden.select(1, 0)));
  if (options.visit) pooled = options.visit("pooler", pooled);
  const auto key = options.dropout_key ? std::optional(mix64(*options.dropout_key)) : std::nullopt;
  return linear("classifier", Dropout(key)(pooled, options.head_dropout));
}

Tensor ReferenceBert::mlm_logits(const Tensor& hidden) const {
  const Tensor transformed = layer_norm("cls.predictions.transform.LayerNorm",
                                        torch::gelu(linear("cls.predictions.transform.dense", hidden)));
  return torch::nn::functional::linear(transformed, at("bert.embeddings.word_embeddings.weight"),
                                       at("cls.predictions.bias"));
}

}  // namespace outlierlab
