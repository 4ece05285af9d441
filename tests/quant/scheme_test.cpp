#include "quant/scheme.h"

#include <set>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "quant/distributions.h"

using namespace outlierlab;

namespace {
const SiteTable& sites() {
  static const SiteTable table(test::tiny_bert().config);
  return table;
}

std::vector<std::string> weight_names() {
  std::vector<std::string> names;
  BertWeights w = test::tiny_bert();
  w.for_each_matrix([&](const std::string& name, const std::string&, Matrix&) { names.push_back(name); });
  return names;
}

Scheme parse(const std::string& text) {
  return Scheme::parse(Ini::parse(text, "s.ini"), "s");
}
void check(const std::string& text) {
  parse(text).check(sites(), weight_names());
}
ActivationRule rule(const Scheme& scheme, const std::string& site) {
  return ActivationRule::read(scheme.activation_rule(sites(), sites().index(site)));
}

std::filesystem::path folder_with(const std::string& name,
                                  const std::vector<std::pair<std::string, std::string>>& files) {
  const auto folder = test::scratch(name);
  for (const auto& [file, text] : files) write_file_atomically(folder / (file + ".ini"), text);
  return folder;
}
}  // namespace

TEST_CASE("an empty scheme is float; sections give the defaults", "[quant][scheme]") {
  const Scheme none = parse("");
  REQUIRE_FALSE(none.quantizes_activations(sites()));
  REQUIRE_FALSE(none.quantizes_weights());
  const Scheme w8a8 = parse("[weights]\nbits = 8\n[activations]\nbits = 8\n");
  REQUIRE(w8a8.quantizes_activations(sites()));
  REQUIRE(w8a8.quantizes_weights());
  const ActivationRule r = rule(w8a8, "layer.1.scores");
  REQUIRE(r.bits == 8);
  REQUIRE_FALSE(r.symmetric);
  REQUIRE(r.granularity == Granularity::tensor);
  REQUIRE(r.calibrator);
  REQUIRE_FALSE(parse("[weights]\nbits = 32\n").quantizes_weights());
}

TEST_CASE("patterns override in file order, by glob and by letter", "[quant][scheme]") {
  const Scheme s = parse(
      "[activations]\nbits = 8\n[activations.x]\nbits = 16\n[activations.layer.1.*]\nbits = 4\n"
      "[activations.*.ffn_output]\nbits = 32\n");
  REQUIRE(rule(s, "embeddings.sum").bits == 8);
  REQUIRE(rule(s, "layer.0.ffn_input").bits == 16);
  REQUIRE(rule(s, "layer.1.ffn_input").bits == 4);
  REQUIRE(rule(s, "layer.1.ffn_output").is_float());
  const Scheme w = parse("[weights]\nbits = 8\n[weights.layer.0.*]\nbits = 4\n[weights.*.query]\nbits = 6\n");
  REQUIRE(WeightRule::read(w.weight_rule("layer.0.key")).bits == 4);
  REQUIRE(WeightRule::read(w.weight_rule("layer.0.query")).bits == 6);
  REQUIRE(WeightRule::read(w.weight_rule("pooler")).bits == 8);
}

TEST_CASE("inheritance, overrides and the keys that go with them", "[quant][scheme]") {
  const auto folder = folder_with(
      "scheme", {{"a",
                  "description = A\n[activations]\nbits = 8\ncalibrator = percentile\npercentile = 99.5\n"
                  "[activations.y]\npercentile = 99.1\n"},
                 {"b-99.9", "base = a\n[activations]\nbits = 6\n"},
                 {"c", "base = b-99.9\n[activations]\ncalibrator = mse\n"}});
  const Scheme b = Scheme::load("b-99.9", folder);
  REQUIRE(b.name() == "b-99.9");
  REQUIRE(b.description() == "A");
  REQUIRE(rule(b, "pooler").bits == 6);
  REQUIRE(b.activation_rule(sites(), 0).text("percentile") == "99.5");
  b.check(sites(), weight_names());
  // The percentiles of the base go with its calibrator, in the patterns as well.
  const Scheme c = Scheme::load("c", folder);
  c.check(sites(), weight_names());
  REQUIRE_FALSE(c.activation_rule(sites(), sites().index("layer.0.ffn_residual")).has("percentile"));
  b.with({"activations.calibrator=kl"}).check(sites(), weight_names());
  const Scheme clip = b.with({"activations.calibrator=clip", "activations.sigmas=3"});
  clip.check(sites(), weight_names());
  // A key given beside a calibrator that does not have it is a mistake.
  REQUIRE_ERROR(c.with({"activations.percentile=99"}).check(sites(), weight_names()), "--set", "percentile",
                "calibrator = mse");
  REQUIRE_ERROR(
      b.with({"activations.calibrator=kl", "activations.percentile=99"}).check(sites(), weight_names()),
      "percentile", "calibrator = kl");
  REQUIRE_ERROR(check("[activations]\nbits = 8\npercentile = 99\n"), "s.ini:3", "calibrator = minmax");
  // Overrides of single sites and of the whole.
  REQUIRE(rule(b.with({"activations.x.bits=16"}), "layer.0.ffn_input").bits == 16);
  REQUIRE(rule(b.with({"activations.*.ffn_input.bits=16"}), "layer.1.ffn_input").bits == 16);
  REQUIRE(rule(b.with({"activations.bits=4"}), "pooler").bits == 4);
  REQUIRE(b.with({"calibration.order=sequential"}).sequential());
  const Scheme grouped = b.with({"activations.x.granularity=group", "activations.x.groups=5"});
  REQUIRE(rule(grouped, "layer.0.ffn_input").groups == 5);
  REQUIRE(rule(grouped.with({"activations.x.granularity=token", "activations.x.calibrator=minmax"}),
               "layer.0.ffn_input")
              .granularity == Granularity::token);
  REQUIRE_ERROR(b.with({"nonsense"}), "nonsense");
  // By path, with the base from the folder.
  REQUIRE(Scheme::load((folder / "c.ini").string(), folder).name() == "c");
}

TEST_CASE("bases that are missing or go in circles", "[quant][scheme]") {
  const auto folder = folder_with("scheme-cycle", {{"a", "base = b\n"},
                                                   {"b", "base = a\n"},
                                                   {"c", "base = w8a\n"},
                                                   {"w8a8", "[weights]\nbits = 8\n"},
                                                   {"self", "base = self\n"}});
  REQUIRE_ERROR(Scheme::load("a", folder), "cycle", "a.ini");
  REQUIRE_ERROR(Scheme::load("self", folder), "cycle", "self.ini");
  REQUIRE_ERROR(Scheme::load("c", folder), "c.ini:1", "w8a", "did you mean 'w8a8'");
  REQUIRE_ERROR(Scheme::load("w8a9", folder), "w8a9", "did you mean 'w8a8'");
}

TEST_CASE("mistakes are named with file and line", "[quant][scheme]") {
  REQUIRE_ERROR(check("[activations]\nbit = 8\n"), "s.ini:2", "bit", "did you mean 'bits'");
  REQUIRE_ERROR(check("[activation]\nbits = 8\n"), "s.ini:1", "did you mean 'activations'");
  REQUIRE_ERROR(check("desc = x\n"), "s.ini:1", "description");
  REQUIRE_ERROR(check("[calibration]\norder = serial\n"), "s.ini:2", "serial");
  REQUIRE_ERROR(check("[activations]\nbits = 8\n[activations.layer.9.*]\nbits = 4\n"), "s.ini:3", "layer.9");
  REQUIRE_ERROR(check("[weights]\nbits = 8\n[weights.layr.*]\nbits = 4\n"), "s.ini:3", "layr");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ncalibrator = percentil\n"), "s.ini:3",
                "did you mean 'percentile'");
  REQUIRE_ERROR(check("[weights]\nbits = 8\nquantizer = absmx\n"), "s.ini:3", "did you mean 'absmax'");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ncalibrator = percentile\npercentile = 50\n"), "s.ini:4",
                "50");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngrid = sym\n"), "s.ini:3", "sym");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngranularity = row\n"), "s.ini:3", "row");
  REQUIRE_ERROR(check("[activations]\ncalibrator = mse\n"), "s.ini:1", "bits");
  REQUIRE_ERROR(check("[activations.x]\ngranularity = channel\n"), "s.ini:1", "bits");
  REQUIRE_ERROR(check("base = w8a8\n"), "s.ini:1", "base");
  for (const std::string bits : {"0", "1", "17", "31", "33", "-8", "8.5", "eight"}) {
    REQUIRE_ERROR(check("[activations]\nbits = " + bits + "\n"), "s.ini:2", bits);
    REQUIRE_ERROR(check("[weights]\nbits = " + bits + "\n"), "s.ini:2", bits);
  }
  for (int bits = 2; bits <= 16; ++bits) check("[activations]\nbits = " + std::to_string(bits) + "\n");
}

TEST_CASE("groups, blocks and shares outside their limits", "[quant][scheme]") {
  const std::string x = "[activations]\nbits = 8\n[activations.x]\ngranularity = group\n";
  check(x + "groups = 30\n");
  REQUIRE_ERROR(check(x), "groups", "at least 1");
  REQUIRE_ERROR(check(x + "groups = 0\n"), "s.ini:5", "at least 1");
  REQUIRE_ERROR(check(x + "groups = 31\n"), "s.ini:5", "at most 30", "layer.0.ffn_input");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngranularity = group\ngroups = 4\n"), "at most 3",
                "layer.0.scores");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngroups = 4\n"), "s.ini:3", "granularity = tensor");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngranularity = block\n"), "block");
  REQUIRE_ERROR(check("[weights]\nbits = 8\ngranularity = block\nblock = 0\n"), "s.ini:4");
  REQUIRE_ERROR(check("[weights]\nbits = 8\ngranularity = group\n"), "s.ini:3", "group");
  REQUIRE_ERROR(check("[activations]\nbits = 8\nkeep_channels = 1.5\n"), "s.ini:3", "1.5");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngranularity = token\ncalibrator = mse\n"), "own range");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngranularity = token\nkeep_channels = 0.1\n"),
                "keep_channels");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngranularity = channel\ncalibrator = running_minmax\n"),
                "channels and groups");
  const std::string token = "[activations]\nbits = 8\ngranularity = token\noutlier_threshold = ";
  check(token + "6.0\n");
  for (const std::string bad : {"0", "-6", "1e-60", "1e60", "six", "nan", "inf"})
    REQUIRE_ERROR(check(token + bad + "\n"), "s.ini:4", bad);
  REQUIRE_ERROR(check("[activations]\nbits = 8\noutlier_threshold = 6\n"), "s.ini:3", "granularity = tensor");
  REQUIRE_ERROR(check("[activations]\nbits = 8\ngranularity = block\nblock = 8\noutlier_threshold = 6\n"),
                "s.ini:5", "granularity = block");
}

TEST_CASE("every scheme of the suite loads and fits a network", "[quant][scheme]") {
  const auto folder = test::source("configs/schemes");
  BertConfig config = test::tiny_bert().config;
  config.heads = 15;  // heads of two channels: the Hadamard transform needs a power of two
  const SiteTable network(config);
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const Scheme scheme = Scheme::load(file.path().stem().string(), folder);
    CAPTURE(scheme.name());
    REQUIRE(scheme.name() == file.path().stem().string());
    REQUIRE_FALSE(scheme.description().empty());
    scheme.check(network, weight_names());
    names.insert(scheme.name());
  }
  for (const char* name : {"fp32", "w8", "a8", "w8a8", "w8a8-token", "mp-xhy", "peg-4", "peg-6-permuted"}) {
    REQUIRE(names.count(name) == 1);
  }
  const Scheme peg = Scheme::load("peg-6-permuted", folder);
  REQUIRE(rule(peg, "layer.0.ffn_residual").groups == 6);
  REQUIRE(rule(peg, "layer.0.ffn_residual").permute_by_range);
  REQUIRE(rule(peg, "layer.0.ffn_hidden").granularity == Granularity::tensor);
  const Scheme llm = Scheme::load("llm-int8", folder);
  REQUIRE(rule(llm, "layer.0.output").outlier_threshold == 6.0f);
  REQUIRE(rule(llm, "layer.0.output").symmetric);
  for (const char* site :
       {"embeddings.sum", "layer.0.query", "layer.0.probs", "layer.0.ffn_residual", "pooler"})
    REQUIRE(rule(llm, site).is_float());
  REQUIRE(WeightRule::read(llm.weight_rule("layer.1.ffn_output")).granularity == Granularity::channel);
  REQUIRE(WeightRule::read(llm.weight_rule("embeddings.word")).is_float());
  REQUIRE(WeightRule::read(llm.weight_rule("classifier")).is_float());
  const Scheme without = llm.with({"activations.granularity=tensor"});
  REQUIRE(std::isinf(rule(without, "layer.0.output").outlier_threshold));
}

TEST_CASE("groups of channels: sizes, order, ties", "[quant][scheme]") {
  ChannelStatistics channels;
  channels.min = {-1, -5, 0, -2, 0, 0, -9};
  channels.max = {1, 0, 0, 0, 2, 2, 9};
  const auto plain = peg_groups(channels, 3, false);
  REQUIRE(plain == std::vector<std::vector<std::size_t>>{{0, 1, 2}, {3, 4}, {5, 6}});
  const auto sorted = peg_groups(channels, 3, true);
  REQUIRE(sorted == std::vector<std::vector<std::size_t>>{{2, 0, 3}, {4, 5}, {1, 6}});
  REQUIRE(peg_groups(channels, 7, false).size() == 7);
  REQUIRE_ERROR(peg_groups(channels, 0, false), "1 to 7");
  REQUIRE_ERROR(peg_groups(channels, 8, true), "1 to 7");
}
