#include "report/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/quantile.h"
#include "report/deployment.h"

namespace outlierlab {

namespace {

constexpr const char* kinds[] = {"fp32", "bf16", "int8"};

/// "bf16" of "float:bf16".
std::string after_colon(const std::string& variant) {
  return variant.substr(variant.find(':') + 1);
}

/// "bert-base" and 2 of "gemm of bert-base, 2 threads"; false for another parameter.
bool parse_place(const std::string& parameter, std::string& network, int& threads) {
  const std::string beginning = "gemm of ";
  const std::size_t comma = parameter.rfind(", ");
  if (parameter.rfind(beginning, 0) != 0 || comma == std::string::npos) return false;
  network = parameter.substr(beginning.size(), comma - beginning.size());
  return std::sscanf(parameter.c_str() + comma, ", %d thread", &threads) == 1;
}

Roofline::Product& product_of(Roofline& found, const Roofline::Product& key) {
  for (Roofline::Product& p : found.products) {
    if (p.kind == key.kind && p.network == key.network && p.shape == key.shape && p.threads == key.threads)
      return p;
  }
  found.products.push_back(key);
  return found.products.back();
}

const Roofline::Product* find(const Roofline& in, const std::string& kind, const std::string& network,
                              const std::string& shape, int threads) {
  for (const Roofline::Product& p : in.products) {
    if (p.kind == kind && p.network == network && p.shape == shape && p.threads == threads) return &p;
  }
  return nullptr;
}

std::string threads_text(int count) {
  return std::to_string(count) + (count == 1 ? " thread" : " threads");
}

Table roofs_table(const Roofline& found) {
  Table table{"roofline", {"roof", "measured by", "threads", "GOP/s or GB/s"}, {}};
  for (const Roofline::Peak& p : found.peaks)
    table.rows.push_back(
        {arithmetic_label(p.kind), p.instruction, std::to_string(p.threads), fmt::format("{:.0f}", p.gops)});
  for (const Roofline::Bandwidth& b : found.bandwidths)
    table.rows.push_back({"memory", "triad", std::to_string(b.threads), fmt::format("{:.1f}", b.gbytes)});
  for (const Roofline::DevicePeak& p : found.device_peaks)
    table.rows.push_back({arithmetic_label(p.kind) + " on " + deployment_device(p.device).label,
                          "a large product", "-", fmt::format("{:.0f}", p.gops)});
  return table;
}

Table products_table(const Roofline& found, int threads) {
  Table table{
      "roofline: products on " + threads_text(threads), {"network", "rows x depth x columns"}, {}, true};
  std::vector<std::string> used;
  for (const char* kind : kinds) {
    const bool there = std::any_of(found.products.begin(), found.products.end(),
                                   [&](const auto& p) { return p.kind == kind && p.threads == threads; });
    if (!there) continue;
    used.push_back(kind);
    const std::string label = arithmetic_label(kind);
    for (const char* column : {" GOP/s", ": % of peak", ": op/byte", ": % of roof"})
      table.columns.push_back(label + column);
  }
  for (const Roofline::Product& line : found.products) {
    if (line.threads != threads) continue;
    const auto known = std::find_if(table.rows.begin(), table.rows.end(), [&](const auto& row) {
      return row[0] == line.network && row[1] == line.shape;
    });
    if (known != table.rows.end()) continue;
    std::vector<std::string> row = {line.network, line.shape};
    for (const std::string& kind : used) {
      const Roofline::Product* p = find(found, kind, line.network, line.shape, threads);
      row.push_back(p ? fmt::format("{:.0f}", p->gops) : "-");
      row.push_back(p ? fmt::format("{:.1f}", p->share_of_peak) : "-");
      row.push_back(p ? fmt::format("{:.1f}", p->intensity) : "-");
      row.push_back(p ? fmt::format("{:.1f}", p->share_of_roof) : "-");
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

int Roofline::most_threads() const {
  int most = 0;
  for (const Product& p : products) most = std::max(most, p.threads);
  return most;
}

const Roofline::Peak* Roofline::best_peak(const std::string& kind, int threads) const {
  const Peak* best = nullptr;
  for (const Peak& p : peaks) {
    if (p.kind == kind && p.threads == threads && (!best || p.gops > best->gops)) best = &p;
  }
  return best;
}

double Roofline::bandwidth(int threads) const {
  for (const Bandwidth& b : bandwidths) {
    if (b.threads == threads) return b.gbytes;
  }
  return 0;
}

double Roofline::median_share_of_peak(const std::string& kind) const {
  std::vector<double> shares;
  for (const Product& p : products) {
    if (p.kind == kind && p.threads == most_threads()) shares.push_back(p.share_of_peak);
  }
  return median(shares);
}

Roofline roofline_of(const std::vector<Measurement>& all) {
  Roofline found;
  for (const Measurement& m : all) {
    const std::string kind = after_colon(m.variant);
    int threads = 0;
    std::string network;
    if (m.variant.rfind("peak:", 0) == 0) {
      if (std::sscanf(m.parameter.c_str(), "%d thread", &threads) != 1) continue;
      if (m.metric == "gops") found.peaks.push_back({kind, m.value, threads, m.estimate()});
      if (m.metric == "gbytes") found.bandwidths.push_back({threads, m.estimate()});
    } else if (const auto at = m.variant.find(" peak:"); at != std::string::npos) {
      if (m.metric == "gops") found.device_peaks.push_back({m.variant.substr(0, at), kind, m.estimate()});
    } else if (parse_place(m.parameter, network, threads)) {
      Roofline::Product key;
      key.kind = kind;
      key.network = network;
      key.shape = m.value;
      key.threads = threads;
      Roofline::Product& p = product_of(found, key);
      if (m.metric == "gops") p.gops = m.estimate();
      if (m.metric == "share_of_peak") p.share_of_peak = m.estimate();
      if (m.metric == "arithmetic_intensity") p.intensity = m.estimate();
      if (m.metric == "share_of_roof") p.share_of_roof = m.estimate();
    }
  }
  return found;
}

std::string arithmetic_label(const std::string& kind) {
  return kind == "fp32"   ? "float32"
         : kind == "fp16" ? "float16"
         : kind == "fp8"  ? "float8"
         : kind == "bf16" ? "bfloat16"
                          : kind;
}

std::string read_roofline(const std::vector<Measurement>& all) {
  const Roofline found = roofline_of(all);
  const int threads = found.most_threads();
  std::string parts;
  for (const char* kind : kinds) {
    const Roofline::Peak* peak = found.best_peak(kind, threads);
    const double share = found.median_share_of_peak(kind);
    if (!peak || share == 0) continue;
    parts += fmt::format("{}{:.1f} % of {} ({:.0f} GOP/s with {})", parts.empty() ? "" : ", ", share,
                         arithmetic_label(kind), peak->gops, peak->instruction);
  }
  if (parts.empty()) return "No products and peaks are there yet.";
  return "On " + threads_text(threads) +
         " the products reach, in the median over shapes, these shares of the peaks: " + parts + ".";
}

std::vector<Table> roofline_tables(const std::vector<Measurement>& all) {
  const Roofline found = roofline_of(all);
  std::vector<Table> tables = {roofs_table(found)};
  std::vector<int> counts;
  for (const Roofline::Product& p : found.products) {
    if (std::find(counts.begin(), counts.end(), p.threads) == counts.end()) counts.push_back(p.threads);
  }
  for (const int count : counts) tables.push_back(products_table(found, count));
  return tables;
}

}  // namespace outlierlab
