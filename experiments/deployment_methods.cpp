#include "experiments/deployment_methods.h"

#include "core/parallel.h"
#include "lower/tokens.h"

namespace outlierlab {

std::string Method::variant() const {
  switch (kind) {
    case Kind::real:
      return precision == engine::RealPrecision::bfloat16 ? "float:bf16" : "float:fp32";
    case Kind::simulated:
      return "simulated:" + scheme;
    default:
      return "integer:" + scheme;
  }
}

const std::vector<Method>& execution_methods() {
  static const std::vector<Method> all = [] {
    std::vector<Method> made = {{Method::Kind::real, "fp32"},
                                {Method::Kind::real, "fp32", engine::RealPrecision::bfloat16}};
    for (const char* scheme : {"w8a8", "percentile-99.99", "peg-6-permuted", "mp-xhy", "w8a8-token"})
      made.push_back({Method::Kind::simulated, scheme});
    for (const char* scheme : {"w8a8", "w8a8-channel-weights", "w8a8-token", "peg-6-permuted", "mp-xhy-16",
                               "mp-xhy", "mp-channel-1", "llm-int8"})
      made.push_back({Method::Kind::integer, scheme});
    return made;
  }();
  return all;
}

const Method& float_method() {
  return execution_methods().front();
}

ActivationQuantizer& Networks::quantizer(const std::string& scheme) {
  auto& made = quantizers_[scheme];
  if (!made) made = std::make_unique<ActivationQuantizer>(evaluator().quantizer(study_.scheme(scheme)));
  return *made;
}

std::shared_ptr<const engine::Model> Networks::model(const std::string& scheme) {
  auto& made = models_[scheme];
  if (!made) made = evaluator().lowered(study_.scheme(scheme));
  return made;
}

engine::CpuExecutor& Networks::executor(const Method& method) {
  auto& made = executors_[{method.scheme, method.precision}];
  if (!made) {
    engine::CpuOptions options;
    options.real = method.precision;
    options.threads = threads();
    made = std::make_unique<engine::CpuExecutor>(model(method.scheme), options);
  }
  return *made;
}

const Agreement& Networks::agreement(const Method& method) {
  constexpr std::size_t examples = 1000;
  const EngineKey key{method.scheme, method.precision};
  const auto known = agreements_.find(key);
  if (known != agreements_.end()) return known->second;
  return agreements_[key] =
             engine_agreement(evaluator(), study_.scheme(method.scheme), executor(method), 0, examples);
}

std::function<void()> Networks::pass(const Method& method, const Batch& batch) {
  if (method.on_engine()) {
    auto logits = std::make_shared<Matrix>(batch.size(), evaluator().config().labels.size());
    return [&engine = executor(method), &batch, logits] { engine.logits(tokens_of(batch), logits->data()); };
  }
  if (method.kind == Method::Kind::real)
    return [&runner = evaluator().float_runner(), &batch] { runner.logits(batch); };
  return [&runner = simulated_runner(), &hook = quantizer(method.scheme), &batch] {
    runner.logits(batch, &hook);
  };
}

}  // namespace outlierlab
