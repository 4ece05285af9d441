#include "quant/scheme.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/error.h"
#include "quant/options.h"

namespace outlierlab {

namespace {
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// A key whose values own further keys: `calibrator` owns each calibrator's keys.
struct Selector {
  std::string key;
  std::vector<std::pair<std::string, Words>> values;

  Words keys_of(const std::string& value) const {
    for (const auto& [name, keys] : values) {
      if (name == value) return keys;
    }
    return {};
  }
};

// The two kinds of sections and what may stand in them.
struct SectionKind {
  std::string name;
  Words plain;
  std::vector<Selector> selectors;

  Words all_keys() const {
    Words keys = plain;
    for (const Selector& selector : selectors) {
      keys.push_back(selector.key);
      for (const auto& value : selector.values)
        keys.insert(keys.end(), value.second.begin(), value.second.end());
    }
    return keys;
  }
};

template <typename Entry>
Selector selector_of(const std::string& key, const std::vector<Entry>& registry) {
  Selector selector{key, {}};
  for (const Entry& entry : registry) selector.values.push_back({entry.name, entry.keys});
  return selector;
}

const SectionKind& activations_kind() {
  static const SectionKind kind = {"activations",
                                   {"bits", "grid", "keep_channels"},
                                   {selector_of("calibrator", calibrators()),
                                    {"granularity",
                                     {{"tensor", {}},
                                      {"channel", {}},
                                      {"group", {"groups", "permute"}},
                                      {"token", {"outlier_threshold"}},
                                      {"block", {"block"}}}}}};
  return kind;
}

const SectionKind& weights_kind() {
  static const SectionKind kind = {
      "weights",
      {"bits"},
      {selector_of("quantizer", weight_quantizers()),
       {"granularity", {{"tensor", {}}, {"channel", {}}, {"block", {"block"}}}}}};
  return kind;
}

bool contains(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool has_key(const IniSection& section, const std::string& key) {
  return std::any_of(section.entries.begin(), section.entries.end(),
                     [&](const IniEntry& entry) { return entry.key == key; });
}

std::string value_of(const IniSection& section, const std::string& key) {
  for (const IniEntry& entry : section.entries) {
    if (entry.key == key) return entry.value;
  }
  return "";
}

// Drops from `section` the keys that the values of `selector` other than `chosen` own.
void drop_foreign_keys(IniSection& section, const Selector& selector, const std::string& chosen) {
  const Words kept = selector.keys_of(chosen);
  Words foreign;
  for (const auto& value : selector.values) {
    for (const std::string& key : value.second) {
      if (!contains(kept, key)) foreign.push_back(key);
    }
  }
  auto& entries = section.entries;
  entries.erase(std::remove_if(entries.begin(), entries.end(),
                               [&](const IniEntry& entry) { return contains(foreign, entry.key); }),
                entries.end());
}

void overlay_section(IniSection& target, const IniSection& top, const SectionKind& kind) {
  for (const Selector& selector : kind.selectors) {
    if (has_key(top, selector.key)) drop_foreign_keys(target, selector, value_of(top, selector.key));
  }
  for (const IniEntry& entry : top.entries) target.set(entry.key, entry.value, entry.place);
}

// "activations.x" -> "x" for kind activations; empty for "activations" itself and for other sections.
std::string pattern_of(const IniSection& section, const SectionKind& kind) {
  const std::string prefix = kind.name + ".";
  return section.name.compare(0, prefix.size(), prefix) == 0 ? section.name.substr(prefix.size()) : "";
}

// A new choice in [kind] also reaches the base's patterns that left that choice to [kind].
void drop_inherited_keys(std::vector<IniSection*> base, const IniSection& top, const SectionKind& kind) {
  for (const Selector& selector : kind.selectors) {
    if (!has_key(top, selector.key)) continue;
    for (IniSection* section : base) {
      if (!has_key(*section, selector.key))
        drop_foreign_keys(*section, selector, value_of(top, selector.key));
    }
  }
}

const std::string transforms_section = "transforms";

/// "smoothquant" for a section [transforms.smoothquant]; empty for others.
std::string transform_of(const IniSection& section) {
  return pattern_of(section, {transforms_section, {}, {}});
}

/// The names in `apply`; none for `apply = none`.
Words applied_transforms(const Ini& ini) {
  const IniSection* section = ini.find(transforms_section);
  if (!section || !has_key(*section, "apply")) return {};
  const Words names = section->list("apply");
  if (names.empty()) fail_value(*section, "apply", "names of transforms, or none");
  return names == Words{"none"} ? Words{} : names;
}

// Drops the options of transforms that the `apply` of the layer above leaves out.
void drop_inherited_options(Ini& base, const Ini& top) {
  const IniSection* general = top.find(transforms_section);
  if (!general || !has_key(*general, "apply")) return;
  const Words applied = applied_transforms(top);
  Words dropped;
  for (const IniSection& section : base.sections()) {
    const std::string name = transform_of(section);
    if (!name.empty() && !contains(applied, name)) dropped.push_back(section.name);
  }
  for (const std::string& name : dropped) base.at(name).entries.clear();
}

// Lays `top` over `base`, as Scheme's comment says.
Ini overlay(Ini base, const Ini& top) {
  for (const SectionKind* kind : {&activations_kind(), &weights_kind()}) {
    if (const IniSection* general = top.find(kind->name)) {
      std::vector<IniSection*> patterns;
      for (const IniSection& section : base.sections()) {
        if (!pattern_of(section, *kind).empty()) patterns.push_back(&base.at(section.name));
      }
      drop_inherited_keys(patterns, *general, *kind);
    }
    for (const IniSection& section : top.sections()) {
      if (section.name != kind->name && pattern_of(section, *kind).empty()) continue;
      if (!base.find(section.name)) continue;
      IniSection& target = base.at(section.name);
      for (const Selector& selector : kind->selectors) {
        if (has_key(section, selector.key))
          drop_foreign_keys(target, selector, value_of(section, selector.key));
      }
    }
  }
  drop_inherited_options(base, top);
  base.merge(top);
  return base;
}

void require_known_keys(const IniSection& section, const Words& known) {
  for (const IniEntry& entry : section.entries) {
    if (contains(known, entry.key)) continue;
    at_place(entry.place, [&] { fail_unknown("key in section [" + section.name + "]", entry.key, known); });
  }
}

const TransformEntry& transform_entry(const std::string& name, const std::string& place) {
  return at_place(place,
                  [&]() -> const TransformEntry& { return find_entry(transforms(), "transform", name); });
}

std::vector<std::shared_ptr<const Transform>> read_transforms(const Ini& ini) {
  std::vector<std::shared_ptr<const Transform>> made;
  Words seen;
  for (const std::string& name : applied_transforms(ini)) {
    const IniSection& general = *ini.find(transforms_section);
    if (contains(seen, name)) fail_value(general, "apply", "each transform once");
    seen.push_back(name);
    const std::string place = place_of(general, "apply");
    const IniSection* own = ini.find(transforms_section + "." + name);
    made.push_back(transform_entry(name, place).make(own ? *own : IniSection{"", place, {}}));
  }
  return made;
}

/// What can be said of a section [transforms...] alone.
void check_transforms_section(const IniSection& section) {
  if (section.name == transforms_section) return require_known_keys(section, {"apply"});
  require_known_keys(section, transform_entry(transform_of(section), section.place).keys);
}

Ini parse_overrides(const Words& overrides) {
  Ini ini = Ini::parse("", "--set");
  for (const std::string& assignment : overrides) ini.set(assignment);
  return ini;
}

int read_bits(const IniSection& rule) {
  const long bits = rule.integer("bits").value_or(0);
  if (bits != 32 && (bits < 2 || bits > 16)) fail_value(rule, "bits", "2 to 16, or 32 for float");
  return static_cast<int>(bits);
}

// What can be said of a section alone: its keys exist, its values are of the right kind.
void check_section(const IniSection& section, const SectionKind& kind) {
  require_known_keys(section, kind.all_keys());
  if (has_key(section, "bits")) read_bits(section);
  for (const Selector& selector : kind.selectors) {
    Words names;
    for (const auto& value : selector.values) names.push_back(value.first);
    if (has_key(section, selector.key)) word_option(section, selector.key, names);
  }
}

// The keys of an effective rule must belong to the values chosen in it.
void require_owned_keys(const IniSection& rule, const SectionKind& kind) {
  Words known = kind.plain;
  std::string choices;
  for (const Selector& selector : kind.selectors) {
    known.push_back(selector.key);
    const std::string chosen = rule.text(selector.key).value_or(selector.values.front().first);
    choices += (choices.empty() ? "" : ", ") + selector.key + " = " + chosen;
    for (const std::string& key : selector.keys_of(chosen)) known.push_back(key);
  }
  for (const IniEntry& entry : rule.entries) {
    if (!contains(known, entry.key)) {
      throw UsageError(entry.place + ": [" + rule.name + "]: expected a key that belongs to " + choices +
                       ", found '" + entry.key + "'");
    }
  }
}

IniSection effective_rule(const Ini& ini, const SectionKind& kind, const std::string& target,
                          const std::function<bool(const std::string& pattern)>& matches) {
  IniSection rule;
  rule.name = kind.name + "." + target;
  rule.place = ini.file_name();
  bool any = false;
  const auto apply = [&](const IniSection& section) {
    overlay_section(rule, section, kind);
    rule.place = section.place;
    any = true;
  };
  if (const IniSection* general = ini.find(kind.name)) apply(*general);
  for (const IniSection& section : ini.sections()) {
    const std::string pattern = pattern_of(section, kind);
    if (!pattern.empty() && matches(pattern)) apply(section);
  }
  if (!any) rule.set("bits", "32", rule.place);
  return rule;
}

fs::path scheme_path(const std::string& name_or_path, const fs::path& folder) {
  const fs::path named = folder / (name_or_path + ".ini");
  if (fs::is_regular_file(named)) return named;
  if (fs::is_regular_file(name_or_path)) return name_or_path;
  Words known;
  if (fs::is_directory(folder)) {
    for (const auto& file : fs::directory_iterator(folder)) {
      if (file.path().extension() == ".ini") known.push_back(file.path().stem().string());
    }
  }
  std::sort(known.begin(), known.end());
  fail_unknown("scheme", name_or_path, known);
}

Ini load_with_bases(const std::string& name_or_path, const fs::path& folder, Words chain) {
  const fs::path path = scheme_path(name_or_path, folder);
  Ini ini = Ini::read(path);
  const std::string self = fs::weakly_canonical(path).string();
  if (contains(chain, self)) {
    throw UsageError(path.string() +
                     ": expected a base without a cycle, found that this scheme inherits from itself");
  }
  chain.push_back(self);
  const IniSection* head = ini.find("");
  if (!head || !has_key(*head, "base")) return ini;
  const std::string base_name = value_of(*head, "base");
  const Ini base =
      at_place(place_of(*head, "base"), [&] { return load_with_bases(base_name, folder, chain); });
  auto& entries = ini.at("").entries;
  entries.erase(
      std::remove_if(entries.begin(), entries.end(), [](const IniEntry& e) { return e.key == "base"; }),
      entries.end());
  return overlay(base, ini);
}

}  // namespace

Scheme Scheme::load(const std::string& name_or_path, const fs::path& folder, const Words& overrides) {
  const std::string name = scheme_path(name_or_path, folder).stem().string();
  return parse(load_with_bases(name_or_path, folder, {}), name).with(overrides);
}

Scheme Scheme::with(const Words& overrides) const {
  return overrides.empty() ? *this : parse(overlay(ini_, parse_overrides(overrides)), name_);
}

Scheme Scheme::parse(const Ini& ini, const std::string& name) {
  Scheme scheme;
  scheme.name_ = name;
  scheme.ini_ = ini;
  for (const IniSection& section : scheme.ini_.sections()) {
    if (section.name.empty()) {
      require_known_keys(section, {"description"});
      scheme.description_ = section.text("description").value_or("");
    } else if (section.name == "calibration") {
      require_known_keys(section, {"order"});
      scheme.sequential_ = word_option(section, "order", {"parallel", "sequential"}) == "sequential";
    } else if (section.name == "activations" || !pattern_of(section, activations_kind()).empty()) {
      check_section(section, activations_kind());
    } else if (section.name == "weights" || !pattern_of(section, weights_kind()).empty()) {
      check_section(section, weights_kind());
    } else if (section.name == transforms_section || !transform_of(section).empty()) {
      check_transforms_section(section);
    } else {
      at_place(section.place, [&] {
        fail_unknown("section", section.name, {"calibration", "transforms", "weights", "activations"});
      });
    }
  }
  scheme.transforms_ = read_transforms(scheme.ini_);
  return scheme;
}

std::string Scheme::transforms_text() const {
  std::string text;
  for (const std::string& name : applied_transforms(ini_)) {
    text += name;
    if (const IniSection* own = ini_.find(transforms_section + "." + name)) {
      for (const IniEntry& entry : own->entries) text += " " + entry.key + "=" + entry.value;
    }
    text += "\n";
  }
  return text;
}

IniSection Scheme::activation_rule(const SiteTable& sites, std::size_t site) const {
  return effective_rule(ini_, activations_kind(), sites[site].name, [&](const std::string& pattern) {
    const std::vector<std::size_t> matched = sites.match(pattern);
    return std::find(matched.begin(), matched.end(), site) != matched.end();
  });
}

IniSection Scheme::weight_rule(const std::string& weight_name) const {
  return effective_rule(ini_, weights_kind(), weight_name,
                        [&](const std::string& pattern) { return glob_match(pattern, weight_name); });
}

bool Scheme::quantizes_activations(const SiteTable& sites) const {
  for (std::size_t i = 0; i < sites.size(); ++i) {
    if (read_bits(activation_rule(sites, i)) != 32) return true;
  }
  return false;
}

bool Scheme::quantizes_weights() const {
  for (const IniSection& section : ini_.sections()) {
    const bool weights = section.name == "weights" || !pattern_of(section, weights_kind()).empty();
    if (weights && has_key(section, "bits") && read_bits(section) != 32) return true;
  }
  return false;
}

void Scheme::check(const SiteTable& sites, const Words& weight_names) const {
  for (const IniSection& section : ini_.sections()) {
    if (const std::string pattern = pattern_of(section, activations_kind()); !pattern.empty()) {
      at_place(section.place, [&] { sites.match(pattern); });
    }
    const std::string pattern = pattern_of(section, weights_kind());
    const auto matches = [&](const std::string& name) { return glob_match(pattern, name); };
    if (!pattern.empty() && std::none_of(weight_names.begin(), weight_names.end(), matches)) {
      at_place(section.place, [&] { fail_unknown("weight or pattern", pattern, weight_names); });
    }
  }
  const Words applied = applied_transforms(ini_);
  for (const IniSection& section : ini_.sections()) {
    const std::string name = transform_of(section);
    if (name.empty() || section.entries.empty() || contains(applied, name)) continue;
    throw UsageError(section.entries.front().place + ": [" + section.name + "]: expected '" + name +
                     "' in the key apply of [transforms], found options for it alone");
  }
  for (const auto& transform : transforms_) transform->check(sites);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const IniSection section = activation_rule(sites, i);
    const ActivationRule rule = ActivationRule::read(section);
    if (rule.groups > sites[i].channels) {
      fail_value(section, "groups",
                 "at most " + std::to_string(sites[i].channels) + ", the channels of site " + sites[i].name);
    }
  }
  for (const std::string& name : weight_names) WeightRule::read(weight_rule(name));
}

ActivationRule ActivationRule::read(const IniSection& section) {
  ActivationRule rule;
  require_owned_keys(section, activations_kind());
  rule.bits = read_bits(section);
  rule.symmetric = word_option(section, "grid", {"affine", "symmetric"}) == "symmetric";
  rule.granularity =
      parse_granularity(section.text("granularity").value_or("tensor"), place_of(section, "granularity"));
  if (rule.granularity == Granularity::group) rule.groups = count_option(section, "groups");
  if (rule.granularity == Granularity::block) rule.block = count_option(section, "block");
  rule.permute_by_range = word_option(section, "permute", {"none", "range"}) == "range";
  rule.keep_channels = section.number("keep_channels").value_or(0);
  if (!(rule.keep_channels >= 0 && rule.keep_channels <= 1)) {
    fail_value(section, "keep_channels", "a share of the channels, 0 to 1");
  }
  if (const std::optional<double> threshold = section.number("outlier_threshold")) {
    rule.outlier_threshold = static_cast<float>(*threshold);
    if (!(rule.outlier_threshold > 0 && std::isfinite(rule.outlier_threshold)))
      fail_value(section, "outlier_threshold", "a magnitude above 0");
  }
  const std::string calibrator = section.text("calibrator").value_or("minmax");
  rule.calibrator =
      at_place(place_of(section, "calibrator"), [&] { return make_calibrator(calibrator, section); });
  if (rule.is_float()) {
    rule.calibrator = nullptr;
    return rule;
  }
  if (!rule.is_static() && calibrator != "minmax") {
    fail_value(section, "calibrator", "minmax, since granularity token or block takes each row's own range");
  }
  if (!rule.is_static() && rule.keep_channels > 0) {
    fail_value(section, "keep_channels", "0 for granularity token or block");
  }
  const bool whole_site = rule.granularity == Granularity::tensor && rule.keep_channels == 0;
  if (rule.calibrator->needs_example_ranges() && !whole_site) {
    fail_value(section, "calibrator", "one that serves channels and groups");
  }
  return rule;
}

WeightRule WeightRule::read(const IniSection& section) {
  WeightRule rule;
  require_owned_keys(section, weights_kind());
  rule.bits = read_bits(section);
  rule.granularity =
      parse_granularity(section.text("granularity").value_or("tensor"), place_of(section, "granularity"));
  if (rule.granularity == Granularity::block) rule.block = count_option(section, "block");
  const std::string quantizer = section.text("quantizer").value_or("absmax");
  if (!rule.is_float()) {
    rule.quantizer =
        at_place(place_of(section, "quantizer"), [&] { return make_weight_quantizer(quantizer, section); });
  }
  return rule;
}

BertWeights apply_transforms(const BertWeights& weights, const Scheme& scheme,
                             const std::function<NetworkStatistics(const BertWeights&)>& capture) {
  BertWeights result = weights;
  const BertWeights* current = &weights;
  const SiteTable sites(weights.config);
  for (const auto& transform : scheme.transforms()) {
    transform->check(sites);
    if (transform->needs_statistics()) {
      const NetworkStatistics statistics = capture(*current);
      transform->apply(result, &statistics);
    } else {
      transform->apply(result, nullptr);
    }
    current = &result;
  }
  return result;
}

std::vector<std::vector<std::size_t>> peg_groups(const ChannelStatistics& channels, std::size_t groups,
                                                 bool by_range) {
  const std::size_t count = channels.min.size();
  if (groups == 0 || groups > count) {
    throw UsageError("peg_groups: expected 1 to " + std::to_string(count) + " groups, found " +
                     std::to_string(groups));
  }
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (by_range) {
    const auto width = [&](std::size_t c) { return double{channels.max[c]} - double{channels.min[c]}; };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return width(a) < width(b); });
  }
  std::vector<std::vector<std::size_t>> result;
  auto next = order.begin();
  for (std::size_t k = 0; k < groups; ++k) {
    const auto end = next + static_cast<std::ptrdiff_t>(count / groups + (k < count % groups ? 1 : 0));
    result.emplace_back(next, end);
    next = end;
  }
  return result;
}

}  // namespace outlierlab
