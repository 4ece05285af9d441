#pragma once

#include <string>
#include <vector>

#include "app/study.h"
#include "stats/statistics.h"

namespace outlierlab {

/// The data behind the pictures of activations, as CSV with plain fields and seven significant digits.

/// `site,layer,channel,min,max,mean,absmax,energy` of the given sites; energy is the sum of squares.
std::string channels_csv(const SiteTable& sites, const std::vector<std::size_t>& chosen,
                         const NetworkStatistics& statistics);

/// The site whose values are told in full: the largest kurtosis among layer.*.ffn_output and
/// layer.*.ffn_residual.
std::size_t loudest_site(const SiteTable& sites, const NetworkStatistics& statistics);

/// `site,part,channel,lower,upper,count` of one site over the evaluated split: the whole site, its loudest
/// channel (by energy) and a quiet one (of median energy). Non-empty bins only; the edges are shared by the
/// three parts and equally spaced in asinh(v / m), m being the median of |v| over the site.
std::string histograms_csv(Study& study, std::size_t site, const SiteStatistics& statistics);

/// `site,calibrator,parameter,value,lo,hi`: the 8-bit ranges that the compared calibrations choose at a site
/// from the calibration set.
std::string ranges_csv(Study& study, std::size_t site);

}  // namespace outlierlab
