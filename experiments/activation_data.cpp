#include "experiments/activation_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "experiments/calibrations.h"

namespace outlierlab {

namespace {

constexpr std::size_t histogram_bins = 400;

/// Counts single channels of one site, a histogram for each channel and thread.
class ChannelHistograms : public SiteHook {
 public:
  ChannelHistograms(std::size_t site, std::vector<std::size_t> channels)
      : site_(site), channels_(std::move(channels)), counts_(static_cast<std::size_t>(threads())) {
    for (auto& of_thread : counts_) of_thread.resize(channels_.size());
  }

  void visit(const SiteTile& tile, int thread) override {
    if (tile.site != site_) return;
    for (std::size_t i = 0; i < channels_.size(); ++i) {
      counts_[static_cast<std::size_t>(thread)][i].add(tile.data + channels_[i], tile.rows, 1, tile.stride);
    }
  }

  Histogram histogram(std::size_t i) const {
    Histogram sum;
    for (const auto& of_thread : counts_) sum.merge(of_thread[i]);
    return sum;
  }

 private:
  std::size_t site_;
  std::vector<std::size_t> channels_;
  std::vector<std::vector<Histogram>> counts_;  ///< [thread][channel]
};

double median_magnitude(const Histogram& histogram) {
  std::vector<std::pair<double, std::uint64_t>> magnitudes;
  for (const Histogram::Bin& bin : histogram.sorted()) {
    magnitudes.emplace_back(std::fabs(0.5 * (double{bin.lower} + double{bin.upper})), bin.count);
  }
  std::sort(magnitudes.begin(), magnitudes.end());
  std::uint64_t seen = 0;
  for (const auto& [magnitude, count] : magnitudes) {
    seen += count;
    if (2 * seen >= histogram.total()) return magnitude;
  }
  return 0;
}

/// Equal bins in asinh(v / scale) between two values.
class AsinhBins {
 public:
  AsinhBins(double low, double high, double scale)
      : scale_(scale),
        first_(std::asinh(low / scale)),
        width_((std::asinh(high / scale) - first_) / histogram_bins) {}

  double edge(std::size_t i) const { return scale_ * std::sinh(first_ + width_ * static_cast<double>(i)); }
  std::size_t index(double value) const {
    const double position = width_ > 0 ? (std::asinh(value / scale_) - first_) / width_ : 0;
    return static_cast<std::size_t>(std::clamp(position, 0.0, histogram_bins - 1.0));
  }

 private:
  double scale_, first_, width_;
};

std::vector<std::uint64_t> rebinned(const Histogram& histogram, const AsinhBins& bins) {
  std::vector<std::uint64_t> counts(histogram_bins);
  for (const Histogram::Bin& bin : histogram.sorted()) {
    counts[bins.index(0.5 * (double{bin.lower} + double{bin.upper}))] += bin.count;
  }
  return counts;
}

}  // namespace

std::string channels_csv(const SiteTable& sites, const std::vector<std::size_t>& chosen,
                         const NetworkStatistics& statistics) {
  std::string csv = "site,layer,channel,min,max,mean,absmax,energy\n";
  for (const std::size_t s : chosen) {
    const ChannelStatistics& by_channel = statistics.sites[s].by_channel();
    for (std::size_t c = 0; c < sites[s].channels; ++c) {
      csv += fmt::format("{},{},{},{:.7g},{:.7g},{:.7g},{:.7g},{:.7g}\n", sites[s].name, sites[s].layer, c,
                         by_channel.min[c], by_channel.max[c], by_channel.mean[c], by_channel.absmax(c),
                         by_channel.energy[c]);
    }
  }
  return csv;
}

std::size_t loudest_site(const SiteTable& sites, const NetworkStatistics& statistics) {
  std::size_t loudest = sites.index(SiteKind::ffn_output, 0);
  for (std::size_t s = 0; s < sites.size(); ++s) {
    if (sites[s].kind != SiteKind::ffn_output && sites[s].kind != SiteKind::ffn_residual) continue;
    if (statistics.sites[s].moments().kurtosis() > statistics.sites[loudest].moments().kurtosis())
      loudest = s;
  }
  return loudest;
}

std::string histograms_csv(Study& study, std::size_t site, const SiteStatistics& statistics) {
  Evaluator& evaluator = study.evaluator();
  const std::vector<std::size_t> by_energy = statistics.channels_by_energy();
  const std::size_t loud = by_energy.front(), quiet = by_energy[by_energy.size() / 2];
  ChannelHistograms channels(site, {loud, quiet});
  run_batches(evaluator.float_runner(), evaluator.batches(), evaluator.size(), &channels);

  const double scale = median_magnitude(statistics.histogram());
  const AsinhBins bins(statistics.min(), statistics.max(), scale > 0 ? scale : 1);
  std::string csv = "site,part,channel,lower,upper,count\n";
  const auto append = [&](const std::string& part, const std::string& channel, const Histogram& histogram) {
    const std::vector<std::uint64_t> counts = rebinned(histogram, bins);
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      csv += fmt::format("{},{},{},{:.7g},{:.7g},{}\n", evaluator.sites()[site].name, part, channel,
                         bins.edge(i), bins.edge(i + 1), counts[i]);
    }
  };
  append("site", "", statistics.histogram());
  append("loud", std::to_string(loud), channels.histogram(0));
  append("quiet", std::to_string(quiet), channels.histogram(1));
  return csv;
}

std::string ranges_csv(Study& study, std::size_t site) {
  Evaluator& evaluator = study.evaluator();
  const SiteStatistics& statistics = evaluator.statistics().sites[site];
  const std::string name = evaluator.sites()[site].name;
  const Distribution distribution = statistics.distribution();
  std::string csv = "site,calibrator,parameter,value,lo,hi\n";
  for (const Calibration& c : calibrations(study.options().scheme_folder)) {
    const ActivationRule rule =
        ActivationRule::read(study.scheme("w8a8", c.overrides()).activation_rule(evaluator.sites(), site));
    if (!rule.calibrator) continue;
    CalibrationContext context;
    context.bits = rule.bits;
    context.symmetric = rule.symmetric;
    context.example_ranges = &statistics.example_ranges();
    context.place = name;
    const Range range = rule.calibrator->range(distribution, context);
    csv += fmt::format("{},{},{},{},{:.7g},{:.7g}\n", name, c.calibrator, c.key, c.value, range.lo, range.hi);
  }
  return csv;
}

}  // namespace outlierlab
