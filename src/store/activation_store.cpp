#include "store/activation_store.h"

#include <algorithm>
#include <cstddef>

#include "core/error.h"
#include "core/files.h"
#include "store/hdf5_file.h"

namespace outlierlab {

namespace {

constexpr const char* format_name = "outlierlab activation statistics";
constexpr std::uint64_t layout_version = 1;
constexpr std::size_t most_sites = 100000;

const std::vector<Hdf5Field>& moments_fields() {
  static const std::vector<Hdf5Field> fields = {
      {"count", offsetof(Moments, count), hdf5_type<std::uint64_t>()},
      {"mean", offsetof(Moments, mean), hdf5_type<double>()},
      {"m2", offsetof(Moments, m2), hdf5_type<double>()},
      {"m3", offsetof(Moments, m3), hdf5_type<double>()},
      {"m4", offsetof(Moments, m4), hdf5_type<double>()}};
  return fields;
}

const std::vector<Hdf5Field>& range_fields() {
  static const std::vector<Hdf5Field> fields = {
      {"example", offsetof(ExampleRange, example), hdf5_type<std::uint32_t>()},
      {"min", offsetof(ExampleRange, min), hdf5_type<float>()},
      {"max", offsetof(ExampleRange, max), hdf5_type<float>()}};
  return fields;
}

/// Writes one site's group.
class SiteWriter {
 public:
  SiteWriter(Hdf5File& file, const std::string& site, const SiteStatistics& statistics)
      : file_(file), group_("/sites/" + site), statistics_(statistics), state_(statistics.state()) {}

  void write() {
    file_.create_group(group_);
    file_.write_attribute(group_, "channels", statistics_.channels());
    file_.write_attribute(group_, "channel_kind", std::string(state_.by_head ? "head" : "channel"));
    file_.write_compound(path("moments"), 1, sizeof(Moments), moments_fields(), &state_.moments, true);
    describe("moments", "mk in activation^k, sum of (v - mean)^k", "");
    write_channels();
    write_histogram();
    write_sample();
    const std::vector<ExampleRange>& ranges = state_.example_ranges;
    file_.write_compound(path("example_ranges"), ranges.size(), sizeof(ExampleRange), range_fields(),
                         ranges.data());
    describe("example_ranges", "activation", "examples");
  }

 private:
  std::string path(const std::string& name) const { return group_ + "/" + name; }

  void describe(const std::string& name, const std::string& units, const std::string& axes) {
    file_.write_attribute(path(name), "units", units);
    file_.write_attribute(path(name), "axes", axes);
  }

  template <typename T>
  void write(const std::string& name, const std::vector<T>& values, const std::vector<std::size_t>& shape,
             const std::string& units, const std::string& axes) {
    file_.write(path(name), shape, values.data());
    describe(name, units, axes);
  }

  void write_channels() {
    const ChannelStatistics& c = state_.by_channel;
    const std::vector<std::size_t> shape = {statistics_.channels()};
    file_.create_group(path("channels"));
    write("channels/count", c.count, shape, "values", "channels");
    write("channels/min", c.min, shape, "activation", "channels");
    write("channels/max", c.max, shape, "activation", "channels");
    write("channels/mean", c.mean, shape, "activation", "channels");
    write("channels/m2", c.m2, shape, "activation^2, sum of (v - mean)^2", "channels");
    write("channels/energy", c.energy, shape, "activation^2, sum of v^2", "channels");
  }

  void write_histogram() {
    const std::vector<std::uint32_t> bins = state_.histogram.sorted_indices();
    std::vector<std::uint64_t> counts;
    std::vector<float> edges;
    for (const Histogram::Bin& bin : state_.histogram.sorted()) {
      counts.push_back(bin.count);
      edges.insert(edges.end(), {bin.lower, bin.upper});
    }
    file_.create_group(path("histogram"));
    write("histogram/bins", bins, {bins.size()}, "top 17 bits of the value's binary32 representation",
          "bins");
    write("histogram/counts", counts, {bins.size()}, "values", "bins");
    write("histogram/edges", edges, {bins.size(), 2}, "activation", "bins, (lower, upper)");
  }

  void write_sample() {
    const std::vector<const SampleRow*> rows = statistics_.sorted_sample();
    std::vector<float> values;
    std::vector<std::uint32_t> tokens, heads, lengths;
    for (const SampleRow* row : rows) {
      const float* of_row = statistics_.values(*row);
      values.insert(values.end(), of_row, of_row + row->length);
      tokens.insert(tokens.end(), {row->token.example, row->token.position});
      heads.push_back(row->head);
      lengths.push_back(row->length);
    }
    if (state_.by_head) {
      write("sample", values, {values.size()}, "activation", "values of one row after the other");
      write("sample_heads", heads, {rows.size()}, "head", "rows");
      write("sample_lengths", lengths, {rows.size()}, "values", "rows");
    } else {
      write("sample", values, {rows.size(), statistics_.channels()}, "activation", "rows, channels");
    }
    write("sample_tokens", tokens, {rows.size(), 2}, "1", "rows, (example, position)");
    file_.write_attribute(path("sample"), "hash_limit", state_.sample_limit);
  }

  Hdf5File& file_;
  const std::string group_;
  const SiteStatistics& statistics_;
  const SiteStatistics::State& state_;
};

/// Reads one site's group.
class SiteReader {
 public:
  SiteReader(const Hdf5File& file, const std::string& site) : file_(file), group_("/sites/" + site) {}

  SiteStatistics read() {
    read_kind();
    file_.read_compound(path("moments"), 1, sizeof(Moments), moments_fields(), &state_.moments, true);
    read_channels();
    read_histogram();
    read_sample();
    read_example_ranges();
    return SiteStatistics::from_state(std::move(state_));
  }

 private:
  std::string path(const std::string& name) const { return group_ + "/" + name; }

  template <typename T>
  std::vector<T> get(const std::string& name, const std::vector<std::size_t>& shape) const {
    return file_.read<T>(path(name), shape);
  }

  /// The extent of a dataset's first dimension, bounded before memory is asked for.
  std::size_t extent(const std::string& name, std::size_t most) const {
    const std::vector<std::size_t> shape = file_.shape(path(name));
    const std::size_t found = shape.empty() ? 1 : shape[0];
    if (shape.empty() || found > most) {
      fail_expected(file_.place(path(name)), "a list of at most " + std::to_string(most),
                    shape.empty() ? "a scalar" : std::to_string(found));
    }
    return found;
  }

  void read_kind() {
    const std::string kind = file_.read_text_attribute(group_, "channel_kind");
    if (kind != "head" && kind != "channel") {
      fail_expected(file_.place(group_ + "@channel_kind"), "head or channel", "'" + kind + "'");
    }
    state_.by_head = kind == "head";
    channels_ = extent("channels/count", std::size_t{1} << 24);
    const std::uint64_t stated = file_.read_number_attribute(group_, "channels");
    if (stated != channels_) {
      fail_expected(file_.place(path("channels/count")), std::to_string(stated) + " channels",
                    std::to_string(channels_));
    }
  }

  void read_channels() {
    ChannelStatistics& c = state_.by_channel;
    c.count = get<std::uint64_t>("channels/count", {channels_});
    c.min = get<float>("channels/min", {channels_});
    c.max = get<float>("channels/max", {channels_});
    c.mean = get<double>("channels/mean", {channels_});
    c.m2 = get<double>("channels/m2", {channels_});
    c.energy = get<double>("channels/energy", {channels_});
    std::uint64_t sum = 0;
    for (const std::uint64_t count : c.count) sum += count;
    require_total("channels/count", sum);
    if (state_.by_head) return;
    for (const std::uint64_t count : c.count) {
      if (count == c.count[0]) continue;
      fail_expected(file_.place(path("channels/count")), "the same count for every channel",
                    std::to_string(c.count[0]) + " and " + std::to_string(count));
    }
  }

  void require_total(const std::string& name, std::uint64_t found) const {
    if (found == state_.moments.count) return;
    fail_expected(file_.place(path(name)), "counts that add up to " + std::to_string(state_.moments.count),
                  std::to_string(found));
  }

  void read_histogram() {
    const std::size_t n = extent("histogram/bins", Histogram::bins);
    const auto bins = get<std::uint32_t>("histogram/bins", {n});
    const auto counts = get<std::uint64_t>("histogram/counts", {n});
    get<float>("histogram/edges", {n, 2});
    std::vector<Histogram::BinCount> entries;
    for (std::size_t i = 0; i < n; ++i) {
      if (bins[i] >= Histogram::bins) {
        fail_expected(file_.place(path("histogram/bins")), "bins below " + std::to_string(Histogram::bins),
                      std::to_string(bins[i]));
      }
      entries.emplace_back(bins[i], counts[i]);
    }
    state_.histogram = Histogram::from_bins(std::move(entries));
    require_total("histogram/counts", state_.histogram.total());
  }

  void read_sample() {
    const std::size_t rows = extent("sample_tokens", SiteStatistics::max_sample_values);
    const auto tokens = get<std::uint32_t>("sample_tokens", {rows, 2});
    std::vector<std::uint32_t> heads(rows, 0);
    std::vector<std::uint32_t> lengths(rows, static_cast<std::uint32_t>(channels_));
    if (state_.by_head) {
      heads = get<std::uint32_t>("sample_heads", {rows});
      lengths = get<std::uint32_t>("sample_lengths", {rows});
    }
    std::size_t total = 0;
    for (const std::uint32_t length : lengths) total += length;
    if (total > SiteStatistics::max_sample_values) {
      fail_expected(file_.place(path("sample")),
                    "at most " + std::to_string(SiteStatistics::max_sample_values) + " values",
                    std::to_string(total));
    }
    const auto values = get<float>("sample", state_.by_head ? std::vector<std::size_t>{total}
                                                            : std::vector<std::size_t>{rows, channels_});
    state_.sample_values.assign(values.begin(), values.end());
    std::size_t offset = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      if (state_.by_head && heads[r] >= channels_) {
        fail_expected(file_.place(path("sample_heads")), "heads below " + std::to_string(channels_),
                      std::to_string(heads[r]));
      }
      const TokenId token{tokens[2 * r], tokens[2 * r + 1]};
      state_.sample.push_back(
          {SiteStatistics::sample_hash(token, heads[r]), token, heads[r], lengths[r], offset});
      offset += lengths[r];
    }
    state_.sample_limit = file_.read_number_attribute(path("sample"), "hash_limit");
  }

  void read_example_ranges() {
    std::vector<ExampleRange>& ranges = state_.example_ranges;
    ranges.resize(extent("example_ranges", SiteStatistics::max_example_ranges));
    file_.read_compound(path("example_ranges"), ranges.size(), sizeof(ExampleRange), range_fields(),
                        ranges.data());
    const auto unordered = std::adjacent_find(
        ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.example >= b.example; });
    if (unordered != ranges.end()) {
      fail_expected(
          file_.place(path("example_ranges")), "ascending examples",
          std::to_string(unordered->example) + " before " + std::to_string((unordered + 1)->example));
    }
  }

  const Hdf5File& file_;
  const std::string group_;
  std::size_t channels_ = 0;
  SiteStatistics::State state_;
};

std::map<std::string, std::string> read_provenance(const Hdf5File& file) {
  std::map<std::string, std::string> provenance;
  for (const std::string& name : file.attribute_names("/provenance")) {
    provenance[name] = file.read_text_attribute("/provenance", name);
  }
  return provenance;
}

void require_format(const Hdf5File& file) {
  const std::vector<std::string> names = file.attribute_names("/");
  if (std::find(names.begin(), names.end(), "format") == names.end() ||
      file.read_text_attribute("/", "format") != format_name) {
    fail_expected(file.place("/"), std::string("attribute format = '") + format_name + "'",
                  "another HDF5 file");
  }
  const std::uint64_t version = file.read_number_attribute("/", "layout_version");
  if (version != layout_version) {
    fail_expected(file.place("/"), "layout_version " + std::to_string(layout_version),
                  std::to_string(version));
  }
}

}  // namespace

void write_activation_store(const std::filesystem::path& path, const NetworkStatistics& statistics,
                            const std::map<std::string, std::string>& provenance) {
  for (std::size_t s = 0; s < statistics.sites.size(); ++s) {
    statistics.sites[s].require_finite(statistics.names[s]);
  }
  write_atomically(path, [&](const std::filesystem::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary, path);
    file.write_attribute("/", "format", std::string(format_name));
    file.write_attribute("/", "layout_version", layout_version);
    file.create_group("/provenance");
    for (const auto& [name, value] : provenance) file.write_attribute("/provenance", name, value);
    file.write_texts("/site_names", statistics.names);
    file.create_group("/sites");
    for (std::size_t s = 0; s < statistics.sites.size(); ++s) {
      SiteWriter(file, statistics.names[s], statistics.sites[s]).write();
    }
    file.close();
  });
}

NetworkStatistics read_activation_store(const std::filesystem::path& path, const std::string& expected_model,
                                        std::map<std::string, std::string>* provenance) {
  const Hdf5File file = Hdf5File::open(path);
  require_format(file);
  const std::map<std::string, std::string> stated = read_provenance(file);
  if (!expected_model.empty()) {
    const auto found = stated.find("model_sha256");
    if (found == stated.end() || found->second != expected_model) {
      fail_expected(file.place("/provenance@model_sha256"), expected_model,
                    (found == stated.end() ? "none" : found->second) + " (captured from another model)");
    }
  }
  NetworkStatistics statistics;
  statistics.names = file.read_texts("/site_names", most_sites);
  for (const std::string& name : statistics.names) statistics.sites.push_back(SiteReader(file, name).read());
  if (provenance) *provenance = stated;
  return statistics;
}

}  // namespace outlierlab
