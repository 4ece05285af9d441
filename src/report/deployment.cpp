#include "report/deployment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/quantile.h"

namespace outlierlab {

namespace {

/// A simulated method faster than this over FP32 would speak against the claim.
constexpr double no_speed = 1.05;
constexpr const char* tokenizer = "tokenizer";
/// Of fewer passes experiments/timing.cpp writes no such percentile.
constexpr int passes_for_p95 = 20, passes_for_p99 = 100;

using Cell = DeploymentMethod::Cell;
using CellFigure = std::optional<double> Cell::*;
constexpr std::pair<const char*, CellFigure> figures_by_metric[] = {
    {"latency_p50_ms", &Cell::latency},
    {"latency_p95_ms", &Cell::latency_p95},
    {"latency_p99_ms", &Cell::latency_p99},
    {"throughput_examples", &Cell::examples_per_second},
    {"throughput_tokens", &Cell::tokens_per_second}};

const DeploymentMethod* find(const std::vector<DeploymentMethod>& methods, const std::string& variant) {
  for (const DeploymentMethod& m : methods) {
    if (m.variant == variant) return &m;
  }
  return nullptr;
}

std::string times(const DeploymentMethod& m) {
  return fmt::format("{} {:.2f} times FP32's speed", deployment_label(m.variant), m.median_speedup());
}

std::string or_dash(const std::optional<double>& value, int decimals) {
  return value ? fmt::format("{:.{}f}", *value, decimals) : "-";
}

Table by_cell(const std::string& title, const std::vector<DeploymentMethod>& methods,
              const std::function<std::optional<std::string>(const DeploymentMethod::Cell&)>& text) {
  Table table{title, {"method"}, {}, true};
  for (const DeploymentMethod& m : methods) {
    for (const auto& cell : m.cells) {
      if (text(cell) &&
          std::find(table.columns.begin(), table.columns.end(), cell.value) == table.columns.end())
        table.columns.push_back(cell.value);
    }
  }
  for (const DeploymentMethod& m : methods) {
    if (std::none_of(m.cells.begin(), m.cells.end(),
                     [&](const auto& cell) { return text(cell).has_value(); }))
      continue;
    std::vector<std::string> line(table.columns.size(), "-");
    line[0] = deployment_label(m.variant);
    for (const auto& cell : m.cells) {
      const std::optional<std::string> found = text(cell);
      if (!found) continue;
      const auto at =
          std::find(table.columns.begin(), table.columns.end(), cell.value) - table.columns.begin();
      line[static_cast<std::size_t>(at)] = *found;
    }
    table.rows.push_back(std::move(line));
  }
  return table;
}

/// "cuda" and "float:fp16" of "cuda float:fp16"; no device before other variants.
std::pair<std::string, std::string> split_device(const std::string& variant) {
  const std::size_t colon = variant.find(':'), blank = variant.find(' ');
  if (blank == std::string::npos || colon == std::string::npos || blank > colon) return {"", variant};
  return {variant.substr(0, blank), variant.substr(blank + 1)};
}

/// "deployment" or "deployment on CUDA".
std::string title_on(const std::string& experiment, const std::string& device) {
  return device.empty() ? experiment : experiment + " on " + deployment_device(device).label;
}

/// Rows label float methods "float:fp32" and "float:bf16"; files of former versions leave the label out.
std::string without_float_label(const std::string& variant) {
  return variant.rfind("float:", 0) == 0 ? variant.substr(6) : variant;
}

/// Empty of the parameter "batch x length", say, "bert-base" of "bert-base batch x length"; none of others.
std::optional<std::string> network_of(const std::string& parameter, const std::string& what) {
  if (parameter == what) return "";
  if (parameter.size() <= what.size() + 1 ||
      parameter.compare(parameter.size() - what.size() - 1, std::string::npos, " " + what) != 0)
    return std::nullopt;
  return parameter.substr(0, parameter.size() - what.size() - 1);
}

/// Of the rows of one parameter. Beside the time, where the same rows have it, what the method's weights
/// take.
Table time_shares(const std::string& title, const std::vector<Measurement>& profile) {
  const std::string prefix = "time_share_";
  Table table{title, {"method"}, {}, true};
  struct Column {
    std::string metric;
    const char* label;
    double unit;
  };
  std::vector<Column> columns;
  for (const Column& column :
       {Column{prefix + "products", "products", 1}, Column{prefix + "quantize", "quantize", 1},
        Column{prefix + "dequantize", "dequantize", 1},
        Column{prefix + "quantize_dequantize", "both in one pass", 1}, Column{prefix + "rest", "rest", 1},
        Column{"weight_bytes", "weights (MB)", 1e-6}}) {
    const auto has = [&](const Measurement& m) { return m.metric == column.metric; };
    if (std::none_of(profile.begin(), profile.end(), has)) continue;
    columns.push_back(column);
    table.columns.push_back(column.label);
  }
  for (const Measurement& m : profile) {
    const auto at = std::find_if(columns.begin(), columns.end(),
                                 [&](const Column& column) { return m.metric == column.metric; });
    if (at == columns.end()) continue;
    const std::string label = deployment_label(m.variant);
    if (table.rows.empty() || table.rows.back()[0] != label) {
      table.rows.emplace_back(table.columns.size(), "-");
      table.rows.back()[0] = label;
    }
    table.rows.back()[static_cast<std::size_t>(at - columns.begin()) + 1] =
        fmt::format("{:.1f}", at->unit * m.estimate());
  }
  return table;
}

/// One for each network that has a profile on the device.
std::vector<Table> time_shares(const std::string& experiment, const std::string& device,
                               const std::vector<Measurement>& all) {
  std::vector<std::pair<std::string, std::vector<Measurement>>> profiles;  // by title
  for (const Measurement& m : all) {
    const auto network = network_of(m.parameter, "profile");
    if (!network || split_device(m.variant).first != device) continue;
    const std::string title = experiment + ": share of the time (%) at batch x length " +
                              (network->empty() ? "" : *network + " ") + m.value;
    auto at = std::find_if(profiles.begin(), profiles.end(), [&](const auto& p) { return p.first == title; });
    if (at == profiles.end()) at = profiles.insert(at, {title, {}});
    at->second.push_back(m);
  }
  std::vector<Table> tables;
  for (const auto& [title, profile] : profiles) tables.push_back(time_shares(title, profile));
  return tables;
}

/// Without the columns in which no line has a figure.
Table without_empty_columns(const Table& table) {
  Table kept{table.title, {}, std::vector<std::vector<std::string>>(table.rows.size())};
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (std::all_of(table.rows.begin(), table.rows.end(), [&](const auto& row) { return row[c] == "-"; }))
      continue;
    kept.columns.push_back(table.columns[c]);
    for (std::size_t r = 0; r < table.rows.size(); ++r) kept.rows[r].push_back(table.rows[r][c]);
  }
  return kept;
}

}  // namespace

bool is_deployment(const std::string& experiment) {
  return experiment == "deployment" || experiment == "deployment_shapes";
}

const DeploymentMethod* fastest_of_kind(const std::vector<DeploymentMethod>& methods,
                                        const std::string& kind) {
  const DeploymentMethod* best = nullptr;
  for (const DeploymentMethod& m : methods) {
    if (m.kind() != kind || m.compared().empty()) continue;
    if (!best || m.median_speedup() > best->median_speedup()) best = &m;
  }
  return best;
}

std::string DeploymentMethod::kind() const {
  const std::size_t colon = variant.find(':');
  return colon == std::string::npos ? "float" : variant.substr(0, colon);
}

double DeploymentMethod::median_speedup() const {
  std::vector<double> values;
  for (const Cell& cell : compared()) values.push_back(*cell.speedup);
  return median(values);
}

std::vector<DeploymentMethod::Cell> DeploymentMethod::compared() const {
  std::vector<Cell> found;
  std::copy_if(cells.begin(), cells.end(), std::back_inserter(found),
               [](const Cell& cell) { return cell.speedup.has_value(); });
  return found;
}

std::string DeploymentMethod::device() const {
  return split_device(variant).first;
}

std::vector<DeploymentMethod> methods_of(const std::vector<DeploymentMethod>& methods,
                                         const std::string& device) {
  std::vector<DeploymentMethod> found;
  std::copy_if(methods.begin(), methods.end(), std::back_inserter(found),
               [&](const DeploymentMethod& m) { return m.device() == device; });
  return found;
}

std::vector<std::string> devices_of(const std::vector<DeploymentMethod>& methods) {
  std::vector<std::string> devices;
  for (const DeploymentMethod& m : methods) {
    const std::string device = m.device();
    if (!device.empty() && std::find(devices.begin(), devices.end(), device) == devices.end())
      devices.push_back(device);
  }
  return devices;
}

DeploymentDevice deployment_device(const std::string& name) {
  if (name.empty()) return {"", "", "fp32", "FP32"};
  return {name, name == "cuda" ? "CUDA" : name, name + " float:fp16", "FP16"};
}

std::string deployment_label(const std::string& labelled) {
  const std::string variant = without_float_label(split_device(labelled).second);
  if (variant == "fp32") return "FP32";
  if (variant == "bf16") return "bfloat16";
  if (variant == "fp16") return "FP16";
  if (variant == "fp8") return "FP8 (e4m3)";
  const std::size_t colon = variant.find(':');
  return colon == std::string::npos ? variant : variant.substr(0, colon) + " " + variant.substr(colon + 1);
}

namespace {

/// Takes a method's peaks from the cell of 32 examples with the most tokens up to 128 of each.
void set_usual_memory(DeploymentMethod& method) {
  double longest = 0;
  for (const DeploymentMethod::Cell& cell : method.cells) {
    if (cell.examples != 32 || cell.length > 128 || cell.length < longest) continue;
    if (!cell.process_mb && !cell.device_mb) continue;
    longest = cell.length;
    method.process_mb = cell.process_mb;
    method.device_mb = cell.device_mb;
  }
}

}  // namespace

std::vector<DeploymentMethod> deployment_methods(const std::vector<Measurement>& all) {
  std::vector<DeploymentMethod> methods;
  const auto method = [&](const std::string& variant) -> DeploymentMethod& {
    for (DeploymentMethod& m : methods) {
      if (m.variant == variant) return m;
    }
    DeploymentMethod made;
    made.variant = variant;
    methods.push_back(made);
    return methods.back();
  };
  const auto cell = [](DeploymentMethod& m, const std::string& network,
                       const std::string& size) -> DeploymentMethod::Cell& {
    const std::string value = network.empty() ? size : network + " " + size;
    for (DeploymentMethod::Cell& c : m.cells) {
      if (c.value == value) return c;
    }
    DeploymentMethod::Cell made;
    made.value = value;
    if (std::sscanf(size.c_str(), "%lfx%lf", &made.examples, &made.length) != 2)
      fail_expected("deployment: batch x length", "such as 8x64", "'" + size + "'");
    m.cells.push_back(made);
    return m.cells.back();
  };
  for (const Measurement& m : all) {
    if (m.variant == tokenizer) continue;
    DeploymentMethod& target = method(without_float_label(m.variant));
    if (m.parameter.empty() && m.metric == "weight_bytes") target.stored_mb = 1e-6 * m.estimate();
    if (m.parameter.empty() && m.metric == "memory_weights_mb") target.weights_mb = m.estimate();
    if (m.metric == "joules_per_example") target.joules = m.estimate();
    if (m.metric == "engine_agreement") target.agreement = m.estimate();
    if (m.metric == "simulation_agreement") target.noise_floor = m.estimate();
    if (m.metric == "engine_exact_agreement") {
      target.exact_agreement = m.estimate();
      if (m.fixed) target.compared_examples = m.fixed->n;
    }
    if (m.metric == "float32_exact_agreement") target.float32_agreement = m.estimate();
    if (m.parameter == "process" && m.metric == "memory_process_mb")
      cell(target, "", m.value).process_mb = m.estimate();
    if (m.parameter == "device memory" && m.metric == "memory_device_peak_mb")
      cell(target, "", m.value).device_mb = m.estimate();
    const std::optional<std::string> network = network_of(m.parameter, "batch x length");
    if (!network) continue;
    for (const auto& [metric, figure] : figures_by_metric) {
      if (m.metric == metric) cell(target, *network, m.value).*figure = m.estimate();
    }
    if (m.metric == "speedup") {
      DeploymentMethod::Cell& c = cell(target, *network, m.value);
      c.low = c.high = m.estimate();
      c.speedup = m.estimate();
      if (const auto interval = m.interval()) std::tie(c.low, c.high) = *interval;
    }
  }
  for (DeploymentMethod& m : methods) set_usual_memory(m);
  return methods;
}

Verdict judge_deployment(const ResultSet& results) {
  Verdict verdict{
      "C7",
      "Simulated int8 gives no speed and no memory",
      Outcome::no_data,
      fmt::format("confirmed: no simulated method is more than {:.0f} % faster than FP32 in the median over "
                  "batch sizes and lengths, and its weights take FP32's memory; partly: one of the two",
                  100 * (no_speed - 1)),
      "",
      "58 to 59 ms and 484 to 486 MB for every method (RTX 3050)"};
  const auto methods = deployment_methods(measurements(results.rows("deployment")));
  const DeploymentMethod* fp32 = find(methods, "fp32");
  const DeploymentMethod* simulated = fastest_of_kind(methods, "simulated");
  if (!fp32 || !fp32->weights_mb || !simulated || !simulated->weights_mb) {
    verdict.figures = "no latency and memory of fp32 and simulated methods in deployment";
    return verdict;
  }
  const bool slow = simulated->median_speedup() <= no_speed,
             large = *simulated->weights_mb >= *fp32->weights_mb;
  verdict.outcome = slow && large   ? Outcome::confirmed
                    : slow || large ? Outcome::partly
                                    : Outcome::not_confirmed;
  verdict.figures = fmt::format("fastest {}, weights {:.1f} MB against {:.1f}", times(*simulated),
                                *simulated->weights_mb, *fp32->weights_mb);
  if (fp32->process_mb && simulated->process_mb)
    verdict.figures +=
        fmt::format(", process {:.0f} MB against {:.0f}", *simulated->process_mb, *fp32->process_mb);
  if (const auto* integer = fastest_of_kind(methods, "integer"); integer && integer->weights_mb) {
    verdict.figures +=
        fmt::format("; executed in integers: fastest {}, {:.1f} MB", times(*integer), *integer->weights_mb);
    if (integer->process_mb) verdict.figures += fmt::format(", process {:.0f} MB", *integer->process_mb);
  }
  return verdict;
}

namespace {

/// A sentence per device; empty without.
std::string read_devices(const std::vector<DeploymentMethod>& methods) {
  std::string text;
  for (const std::string& device : devices_of(methods)) {
    const DeploymentMethod* const integer = fastest_of_kind(methods, device + " integer");
    if (!integer) continue;
    text += fmt::format(
        "{}On {} the fastest integer execution, {}, runs at {:.2f} times the speed of {} there, in the "
        "median.",
        text.empty() ? "" : " ", deployment_device(device).label,
        integer->variant.substr(integer->variant.find(':') + 1), integer->median_speedup(),
        deployment_device(device).reference_label);
  }
  return text;
}

}  // namespace

std::string read_deployment(const std::vector<Measurement>& all) {
  const auto methods = deployment_methods(all);
  const std::string on_devices = read_devices(methods);
  const DeploymentMethod* simulated = fastest_of_kind(methods, "simulated");
  const DeploymentMethod* integer = fastest_of_kind(methods, "integer");
  if ((!simulated || !integer) && !on_devices.empty()) return on_devices;
  if (!simulated || !integer) return "No latencies of simulated and integer methods are there yet.";
  const auto runs = [](const DeploymentMethod& m) {
    return fmt::format("{}, runs at {:.2f} times FP32's speed", m.variant.substr(m.variant.find(':') + 1),
                       m.median_speedup());
  };
  std::string text = fmt::format(
      "In the median over batch sizes and lengths the fastest simulation, {}, and the fastest integer "
      "execution, {}",
      runs(*simulated), runs(*integer));
  const std::vector<DeploymentMethod::Cell> cells = integer->compared();
  const auto [low, high] = std::minmax_element(
      cells.begin(), cells.end(), [](const auto& a, const auto& b) { return *a.speedup < *b.speedup; });
  text += fmt::format(" (from {:.2f} at {} to {:.2f} at {}).", *low->speedup, low->value, *high->speedup,
                      high->value);
  if (integer->agreement && integer->noise_floor)
    text += fmt::format(
        " It gives {:.2f} % of its simulation's predictions; the simulation with its sums rounded otherwise "
        "gives {:.2f} % of its own.",
        *integer->agreement, *integer->noise_floor);
  if (integer->exact_agreement && integer->float32_agreement)
    text += fmt::format(
        " It gives {:.2f} % of the predictions of its simulation in double precision{}; the simulation in "
        "float32 gives {:.2f} %.",
        *integer->exact_agreement,
        integer->compared_examples ? fmt::format(" on the first {} examples", *integer->compared_examples)
                                   : "",
        *integer->float32_agreement);
  return on_devices.empty() ? text : text + " " + on_devices;
}

namespace {

using Text = std::optional<std::string>;

Table figure_by_cell(const std::string& title, const std::vector<DeploymentMethod>& methods,
                     CellFigure figure) {
  return by_cell(title + " by batch x length", methods,
                 [&](const Cell& c) { return c.*figure ? format_number(*(c.*figure)) : Text(); });
}

/// A timed cell keeps its column where no method has the percentile: left out, it would look untimed.
Table percentile_by_cell(const std::string& title, const std::vector<DeploymentMethod>& methods,
                         CellFigure figure, int least_passes) {
  const bool any = std::any_of(methods.begin(), methods.end(), [&](const DeploymentMethod& m) {
    return std::any_of(m.cells.begin(), m.cells.end(),
                       [&](const Cell& c) { return (c.*figure).has_value(); });
  });
  if (!any) return {};
  return by_cell(
      fmt::format("{} by batch x length; a dash where fewer than {} passes were timed, too few to tell",
                  title, least_passes),
      methods, [&](const Cell& c) -> Text {
        if (!c.latency) return std::nullopt;
        return c.*figure ? format_number(*(c.*figure)) : "-";
      });
}

std::vector<Table> latency_and_throughput(const std::string& title,
                                          const std::vector<DeploymentMethod>& methods) {
  return {figure_by_cell(title + ": median latency (ms)", methods, &Cell::latency),
          percentile_by_cell(title + ": 95th percentile of the latency (ms)", methods, &Cell::latency_p95,
                             passes_for_p95),
          percentile_by_cell(title + ": 99th percentile of the latency (ms)", methods, &Cell::latency_p99,
                             passes_for_p99),
          figure_by_cell(title + ": throughput (examples per second)", methods, &Cell::examples_per_second),
          figure_by_cell(title + ": throughput (tokens per second)", methods, &Cell::tokens_per_second)};
}

/// Of the methods on one device.
std::vector<Table> tables_on(const std::string& device, const std::string& experiment,
                             const std::vector<DeploymentMethod>& methods,
                             const std::vector<Measurement>& all) {
  const auto any = [&](std::optional<double> DeploymentMethod::*member) {
    return std::any_of(methods.begin(), methods.end(),
                       [&](const auto& m) { return (m.*member).has_value(); });
  };
  struct Column {
    const char* title;
    std::optional<double> DeploymentMethod::*member;
    int decimals;
  };
  std::vector<Column> columns;
  const char* const held = device.empty() ? "weights and scratch (MB)" : "weights and workspace (MB)";
  for (const Column& column :
       {Column{"weights as stored (MB)", &DeploymentMethod::stored_mb, 1},
        Column{held, &DeploymentMethod::weights_mb, 1},
        Column{"peak of its process (MB)", &DeploymentMethod::process_mb, 0},
        Column{"peak on the device (MB)", &DeploymentMethod::device_mb, 1},
        Column{"energy (J per example)", &DeploymentMethod::joules, 4},
        Column{"equal predictions (%)", &DeploymentMethod::agreement, 2},
        Column{"simulation with itself (%)", &DeploymentMethod::noise_floor, 2},
        Column{"predictions of double precision (%)", &DeploymentMethod::exact_agreement, 2},
        Column{"float32 simulation (%)", &DeploymentMethod::float32_agreement, 2}}) {
    if (any(column.member)) columns.push_back(column);
  }
  const std::string title = title_on(experiment, device),
                    reference = deployment_device(device).reference_label;
  Table summary{title, {"method", "median speedup over " + reference}, {}};
  for (const Column& column : columns) summary.columns.push_back(column.title);
  for (const DeploymentMethod& m : methods) {
    std::vector<std::string> line = {deployment_label(m.variant),
                                     m.compared().empty() ? "-" : fmt::format("{:.2f}", m.median_speedup())};
    for (const Column& column : columns) line.push_back(or_dash(m.*column.member, column.decimals));
    summary.rows.push_back(std::move(line));
  }
  std::vector<Table> tables = {without_empty_columns(summary)};
  const auto add = [&tables](Table table) {
    if (!table.rows.empty()) tables.push_back(std::move(table));
  };
  for (Table& table : latency_and_throughput(title, methods)) add(std::move(table));
  add(by_cell(title + ": speedup over " + reference + " by batch x length", methods,
              [](const DeploymentMethod::Cell& c) {
                return c.speedup ? fmt::format("{:.2f} [{:.2f}, {:.2f}]", *c.speedup, c.low, c.high) : Text();
              }));
  for (Table& table : time_shares(title, device, all)) add(std::move(table));
  const auto add_peaks = [&](const char* of, std::optional<double> DeploymentMethod::Cell::*peak) {
    Table table = by_cell(title + ": peak " + of + " (MB) by batch x length", methods,
                          [&](const DeploymentMethod::Cell& c) {
                            return c.*peak ? fmt::format("{:.0f}", *(c.*peak)) : Text();
                          });
    if (table.columns.size() > 2) add(std::move(table));  // one cell's peaks stand in the summary
  };
  add_peaks("of its process", &DeploymentMethod::Cell::process_mb);
  add_peaks("on the device", &DeploymentMethod::Cell::device_mb);
  return tables;
}

}  // namespace

std::vector<Table> deployment_tables(const std::string& experiment, const std::vector<Measurement>& all) {
  const auto methods = deployment_methods(all);
  const std::vector<std::string> devices = devices_of(methods);
  std::vector<Table> tables;
  // Where only a device was timed, its tables stand alone.
  if (const auto here = methods_of(methods, ""); !here.empty() || devices.empty())
    tables = tables_on("", experiment, here, all);
  for (const std::string& device : devices) {
    for (Table& table : tables_on(device, experiment, methods_of(methods, device), all))
      tables.push_back(std::move(table));
  }
  Table text{experiment + ": tokenization, apart from the passes", {"unit", "per second"}, {}, true};
  for (const Measurement& m : all) {
    if (m.variant != tokenizer) continue;
    if (m.metric == "throughput_examples") text.rows.push_back({"examples", m.text()});
    if (m.metric == "throughput_tokens") text.rows.push_back({"tokens", m.text()});
  }
  if (!text.rows.empty()) tables.push_back(std::move(text));
  return tables;
}

}  // namespace outlierlab
