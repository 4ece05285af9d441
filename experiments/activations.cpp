// Claims C2 and C3: activations grow heavy-tailed with depth, and few channels carry most of the energy.
// Statistics of every site over the evaluated split; the channels of most energy of each site; how many sites
// of the residual stream share outlier channels. Beside the rows: every channel of the residual stream, and
// the histograms of the site with the heaviest tails and the ranges that calibrators choose there
// (activation_data.h).
#include <algorithm>
#include <map>
#include <memory>

#include "app/study.h"
#include "experiments/activation_data.h"
#include "experiments/experiments.h"

namespace outlierlab {

namespace {

constexpr std::size_t top_channels = 5;

bool in_residual_stream(SiteKind kind) {
  switch (kind) {
    case SiteKind::attention_output:
    case SiteKind::attention_residual:
    case SiteKind::ffn_input:
    case SiteKind::ffn_output:
    case SiteKind::ffn_residual:
    case SiteKind::output:
      return true;
    default:
      return false;
  }
}

/// Channels whose largest magnitude exceeds six times the site's median over channels.
std::vector<std::size_t> loud_channels(const SiteStatistics& site) {
  std::vector<float> absmax;
  for (std::size_t c = 0; c < site.channels(); ++c) absmax.push_back(site.by_channel().absmax(c));
  std::vector<float> sorted = absmax;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                   sorted.end());
  const float median = sorted[sorted.size() / 2];
  std::vector<std::size_t> loud;
  for (std::size_t c = 0; c < absmax.size(); ++c) {
    if (absmax[c] > 6 * median) loud.push_back(c);
  }
  return loud;
}

std::vector<Row> figures_of(const SiteStatistics& site) {
  std::vector<Row> rows = {
      figure("mean", site.moments().mean),
      figure("stddev", site.moments().stddev()),
      figure("min", site.min()),
      figure("max", site.max()),
      figure("absmax", site.absmax()),
      figure("skewness", site.moments().skewness()),
      figure("kurtosis", site.moments().kurtosis()),
      figure("top1_energy", 100 * site.top_energy_share(0.01)),
      figure("loud_channels", static_cast<double>(loud_channels(site).size())),
  };
  for (Row& row : rows) row.n = site.moments().count;
  return rows;
}

std::vector<Row> figures_of_channel(const SiteStatistics& site, std::size_t channel) {
  double total = 0;
  for (const double energy : site.by_channel().energy) total += energy;
  const double share = total > 0 ? 100 * site.by_channel().energy[channel] / total : 0;
  return {figure("channel", static_cast<double>(channel)), figure("energy", share),
          figure("absmax", site.by_channel().absmax(channel)),
          figure("mean", site.by_channel().mean[channel])};
}

}  // namespace

void activations(Study& study) {
  const SiteTable& sites = study.evaluator().sites();
  const auto captured = std::make_shared<std::unique_ptr<NetworkStatistics>>();
  const auto network = [&study, captured]() -> const NetworkStatistics& {
    if (!*captured)
      *captured = std::make_unique<NetworkStatistics>(study.evaluator().evaluation_statistics());
    return **captured;
  };
  const auto statistics = [network](std::size_t site) -> const SiteStatistics& {
    return network().sites[site];
  };

  for (std::size_t s = 0; s < sites.size(); ++s) {
    study.measure(sites[s].name, "layer", std::to_string(sites[s].layer),
                  [=] { return figures_of(statistics(s)); });
  }
  for (std::size_t s = 0; s < sites.size(); ++s) {
    if (!in_residual_stream(sites[s].kind)) continue;
    for (std::size_t rank = 1; rank <= std::min(top_channels, sites[s].channels); ++rank) {
      study.measure(sites[s].name, "rank", std::to_string(rank), [=] {
        const SiteStatistics& site = statistics(s);
        return figures_of_channel(site, site.channels_by_energy()[rank - 1]);
      });
    }
  }

  const std::size_t hidden = study.evaluator().config().hidden_size;
  study.measure("shared_loud_channels", "", "", [=, &sites] {
    std::map<std::size_t, std::size_t> sites_of_channel;
    std::size_t observed = 0;
    for (std::size_t s = 0; s < sites.size(); ++s) {
      if (!in_residual_stream(sites[s].kind)) continue;
      ++observed;
      for (const std::size_t channel : loud_channels(statistics(s))) ++sites_of_channel[channel];
    }
    std::vector<Row> rows = {figure("sites", static_cast<double>(observed)),
                             figure("channels_loud_anywhere", static_cast<double>(sites_of_channel.size()))};
    std::size_t shared = 0, widest = 0;
    for (const auto& [channel, count] : sites_of_channel) {
      shared += 2 * count >= observed;
      if (count > widest) widest = count;
    }
    rows.push_back(figure("channels_loud_in_half_of_the_sites", static_cast<double>(shared)));
    rows.push_back(figure("most_sites_sharing_a_channel", static_cast<double>(widest)));
    for (Row& row : rows) row.n = hidden;
    return rows;
  });

  study.attach("channels", [=, &sites] {
    std::vector<std::size_t> stream;
    for (std::size_t s = 0; s < sites.size(); ++s) {
      if (in_residual_stream(sites[s].kind)) stream.push_back(s);
    }
    return channels_csv(sites, stream, network());
  });
  study.attach("histograms", [=, &study, &sites] {
    const std::size_t site = loudest_site(sites, network());
    return histograms_csv(study, site, statistics(site));
  });
  study.attach("ranges", [=, &study, &sites] { return ranges_csv(study, loudest_site(sites, network())); });
}

}  // namespace outlierlab
