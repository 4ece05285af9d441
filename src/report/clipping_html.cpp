#include "report/clipping_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "report/html.h"

namespace outlierlab {

namespace {

constexpr double left = 60, right = 704;  // of both plots, in units of the drawing
constexpr std::size_t columns = 161;      // of a histogram, each four units wide
constexpr int bits = 8;

/// A plot's place in the drawing and its range of values. Its axis is linear within about +-scale and
/// logarithmic beyond: position goes by asinh(value / scale).
struct Plot {
  double top, bottom;
  double low, high, scale;
  double levels_top, levels_bottom;  ///< of the lines that stand for the grid's levels

  double warped(double value) const { return std::asinh(value / scale); }
  double x(double value) const {
    return left + (warped(value) - warped(low)) / (warped(high) - warped(low)) * (right - left);
  }
  double value(double x) const {
    const double share = (x - left) / (right - left);
    return scale * std::sinh(warped(low) + share * (warped(high) - warped(low)));
  }
  bool linear() const { return scale > high - low; }
  bool shows(double value) const { return value >= low && value <= high; }
};

std::string number(double value) {
  return fmt::format("{:.3g}", value + 0.0);
}

std::string percent(double share) {
  return fmt::format("{:.3g} %", 100 * share);
}

/// Counts in columns of equal width; a bin that straddles columns is shared out by overlap.
std::vector<double> resampled(const ClippingExample::Part& part, const Plot& plot) {
  const auto edge = [&](std::size_t c) {
    return plot.value(left + static_cast<double>(c) / columns * (right - left));
  };
  std::vector<double> counts(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    const double from = edge(c), to = edge(c + 1);
    for (const ClippingExample::Bin& bin : part.bins) {
      const double overlap = std::min(bin.upper, to) - std::max(bin.lower, from);
      if (overlap > 0) counts[c] += static_cast<double>(bin.count) * overlap / (bin.upper - bin.lower);
    }
  }
  return counts;
}

double height_of(double count, double largest) {
  return std::log10(1 + count) / std::log10(1 + largest);
}

std::string bars(const std::vector<double>& counts, double largest, const Plot& plot, const char* style) {
  const double width = (right - left) / columns;
  std::string path = fmt::format("M{:.1f} {:.1f}", left, plot.bottom);
  for (std::size_t c = 0; c < columns; ++c) {
    const double height = height_of(counts[c], largest);
    path += fmt::format("V{:.1f}H{:.1f}", plot.bottom - height * (plot.bottom - plot.top),
                        left + static_cast<double>(c + 1) * width);
  }
  return fmt::format("<path class=\"{}\" d=\"{}V{:.1f}Z\"/>\n", style, path, plot.bottom);
}

/// Multiples of a round step, about six of them.
std::vector<double> linear_ticks(const Plot& plot) {
  const double rough = (plot.high - plot.low) / 6, power = std::pow(10, std::floor(std::log10(rough)));
  const double ratio = rough / power, step = power * (ratio < 1.5   ? 1
                                                      : ratio < 3.5 ? 2
                                                      : ratio < 7.5 ? 5
                                                                    : 10);
  std::vector<double> chosen;
  for (double k = std::ceil(plot.low / step); k * step <= plot.high; ++k) chosen.push_back(k * step + 0.0);
  return chosen;
}

/// Zero and powers of ten, and five times and twice these where there is room.
std::vector<double> warped_ticks(const Plot& plot) {
  constexpr double room = 44;
  std::vector<double> chosen;
  const auto offer = [&](double value) {
    const bool free = std::all_of(chosen.begin(), chosen.end(), [&](double other) {
      return std::fabs(plot.x(value) - plot.x(other)) >= room;
    });
    if (plot.shows(value) && free) chosen.push_back(value);
  };
  offer(0);
  const double largest = std::max(std::fabs(plot.low), std::fabs(plot.high));
  const int top = static_cast<int>(std::floor(std::log10(largest)));
  for (const double factor : {1.0, 5.0, 2.0}) {
    for (int decade = top; decade > top - 8; --decade) {
      for (const double sign : {1.0, -1.0}) offer(sign * factor * std::pow(10, decade));
    }
  }
  return chosen;
}

std::string value_axis(const Plot& plot) {
  std::string svg = fmt::format("<path class=\"axis\" d=\"M{0} {1}H{2}\"/>\n", left, plot.bottom, right);
  for (const double tick : plot.linear() ? linear_ticks(plot) : warped_ticks(plot)) {
    svg += fmt::format(
        "<path class=\"axis\" d=\"M{0:.1f} {1}v4\"/><text x=\"{0:.1f}\" y=\"{2}\" text-anchor=\"middle\">{3}"
        "</text>\n",
        plot.x(tick), plot.bottom, plot.bottom + 18, fmt::format("{:g}", tick));
  }
  return svg;
}

std::string title(double y, const std::string& text) {
  return fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n", left, y, escape_html(text));
}

/// "100", "10k", "1M".
std::string short_count(double count) {
  if (count >= 1e6) return fmt::format("{:.0f}M", count / 1e6);
  return count >= 1e4 ? fmt::format("{:.0f}k", count / 1e3) : fmt::format("{:.0f}", count);
}

std::string count_axis(const Plot& plot, double largest) {
  std::string svg;
  for (double count = 1; count <= largest; count *= largest > 1e4 ? 100 : 10) {
    const double y = plot.bottom - height_of(count, largest) * (plot.bottom - plot.top);
    svg += fmt::format(
        "<path class=\"axis\" d=\"M{0} {1:.1f}h-4\"/><text x=\"{2}\" y=\"{3:.1f}\" "
        "text-anchor=\"end\">{4}</text>\n",
        left, y, left - 8, y + 4, short_count(count));
  }
  return svg;
}

double largest_of(const std::vector<double>& counts) {
  return std::max(1.0, *std::max_element(counts.begin(), counts.end()));
}

/// Both channels over the grid's widest range; linear over the quiet channel.
Plot plot_of_both(const ClippingExample& example, const ClippingReading& widest) {
  return {66, 216, widest.lo, widest.hi, example.quiet.absmax() / 2, 50, 62};
}

/// The quiet channel alone, with a margin; linear.
Plot plot_of_quiet(const ClippingExample& example) {
  const double low = std::min(0.0, example.quiet.low()), high = std::max(0.0, example.quiet.high());
  const double margin = 0.04 * (high - low);
  return {290, 420, low - margin, high + margin, 1e4 * (high - low), 290, 420};
}

/// The lines of the grid's levels within a plot; the script draws the same.
std::string levels_path(const ClippingReading& reading, const Plot& plot) {
  const double zero = std::nearbyint(-reading.lo / reading.step);
  std::string path;
  for (int q = 0; q < reading.levels; ++q) {
    const double value = (q - zero) * reading.step;
    if (plot.shows(value))
      path += fmt::format("M{:.1f} {}V{}", plot.x(value), plot.levels_top, plot.levels_bottom);
  }
  return path;
}

std::string shades(const char* place, const Plot& plot) {
  std::string svg;
  for (const char* side : {"lo", "hi"}) {
    svg += fmt::format(
        "<rect class=\"shade\" data-shade=\"{}-{}\" x=\"{}\" y=\"{}\" width=\"0\" height=\"{}\"/>\n", place,
        side, left, plot.top, plot.bottom - plot.top);
  }
  return svg;
}

std::string plot_data(const char* name, const Plot& plot) {
  return fmt::format(
      " data-{0}=\"{{&quot;low&quot;:{1:.9g},&quot;high&quot;:{2:.9g},&quot;scale&quot;:{3:.9g},&quot;top&"
      "quot;:{4},"
      "&quot;bottom&quot;:{5},&quot;levelsTop&quot;:{6},&quot;levelsBottom&quot;:{7}}}\"",
      name, plot.low, plot.high, plot.scale, plot.top, plot.bottom, plot.levels_top, plot.levels_bottom);
}

std::string bins_json(const ClippingExample::Part& part) {
  std::string json;
  for (const ClippingExample::Bin& bin : part.bins) {
    json += fmt::format("{}{:.7g},{:.7g},{}", json.empty() ? "" : ",", bin.lower, bin.upper, bin.count);
  }
  return "[" + json + "]";
}

std::string summary(const ClippingExample& example, const ClippingReading& r) {
  return fmt::format(
      "With {} bits and the bound at ±{} one step is {}: {} of the outlier channel's values are clipped, and "
      "the "
      "quiet channel gets {} of {} levels.",
      bits, number(example.largest_bound()), number(r.step), percent(r.loud_clipped), r.quiet_levels,
      r.levels);
}

std::string readout(const std::string& label, const char* key, const std::string& value) {
  return fmt::format("<div><dt>{}</dt><dd data-out=\"{}\">{}</dd></div>\n", label, key, value);
}

std::string readouts(const ClippingReading& r) {
  return "<dl class=\"readout\">\n" + readout("Step", "step", number(r.step)) +
         readout("Outlier channel clipped", "loud-clipped", percent(r.loud_clipped)) +
         readout("Whole site clipped", "whole-clipped", percent(r.whole_clipped)) +
         readout("Levels of the outlier channel", "loud-levels",
                 fmt::format("{} of {}", r.loud_levels, r.levels)) +
         readout("Levels of the quiet channel", "quiet-levels",
                 fmt::format("{} of {}", r.quiet_levels, r.levels)) +
         "</dl>\n";
}

Table bounds_table(const ClippingExample& example) {
  Table table{
      "The same in numbers, at 8 bits",
      {"bound ±", "step", "outlier channel clipped", "whole site clipped", "levels of the quiet channel"},
      {}};
  for (double bound = example.largest_bound(); bound > 1.01 * example.quiet.absmax(); bound /= 4) {
    const ClippingReading r = read_clipping(example, bound, bits);
    table.rows.push_back({number(bound), number(r.step), percent(r.loud_clipped), percent(r.whole_clipped),
                          std::to_string(r.quiet_levels)});
  }
  const ClippingReading r = read_clipping(example, example.quiet.absmax(), bits);
  table.rows.push_back({number(example.quiet.absmax()), number(r.step), percent(r.loud_clipped),
                        percent(r.whole_clipped), std::to_string(r.quiet_levels)});
  return table;
}

std::string drawing(const ClippingExample& example, const ClippingReading& reading, const std::string& id) {
  const Plot both = plot_of_both(example, reading), near = plot_of_quiet(example);
  const auto loud = resampled(example.loud, both), quiet = resampled(example.quiet, both),
             zoomed = resampled(example.quiet, near);
  const double largest = std::max(largest_of(loud), largest_of(quiet));
  const bool at_low = std::fabs(reading.lo) > reading.hi;
  const double handle = both.x(at_low ? reading.lo : reading.hi);
  const std::string label = fmt::format(
      "Histograms of channel {} (with outliers) and channel {} (quiet) of {}, and the grid's levels across "
      "the quiet "
      "channel's range",
      example.loud.channel, example.quiet.channel, example.site);
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 720 450\" xmlns=\"http://www.w3.org/2000/svg\" role=\"group\" "
      "aria-labelledby=\"{}\" "
      "data-left=\"{}\" data-right=\"{}\" data-side=\"{}\"{}{}>\n<title id=\"{}\">{}</title>\n",
      id + "-drawing", left, right, at_low ? -1 : 1, plot_data("both", both), plot_data("near", near),
      id + "-drawing", escape_html(label));
  const auto levels = [&](const char* name, const Plot& plot) {
    return fmt::format("<path class=\"levels\" data-levels=\"{}\" d=\"{}\"/>\n", name,
                       levels_path(reading, plot));
  };
  svg += title(14, "Both channels (counts, log); on top the grid's levels") + shades("both", both) +
         bars(loud, largest, both, "loud") + bars(quiet, largest, both, "quiet") + levels("both", both) +
         value_axis(both) + count_axis(both, largest);
  svg += fmt::format(
      "<text class=\"loud-label\" x=\"{0}\" y=\"{1}\">■ outliers: channel {2}</text>\n"
      "<text class=\"quiet-label\" x=\"{3}\" y=\"{1}\" text-anchor=\"middle\">■ quiet: channel {4}</text>\n"
      "<text class=\"minor\" x=\"{5}\" y=\"{1}\" text-anchor=\"end\">activation (log. beyond ±{6})</text>\n",
      left, both.bottom + 40, escape_html(example.loud.channel), (left + right) / 2,
      escape_html(example.quiet.channel), right, number(both.scale));
  svg += title(near.top - 10, "The quiet channel (counts, log); lines: the levels") + shades("near", near) +
         bars(zoomed, largest_of(zoomed), near, "quiet") + levels("near", near) + value_axis(near) +
         count_axis(near, largest_of(zoomed));
  svg += fmt::format(
      "<path class=\"bound\" data-mirror=\"\" d=\"M0 0\"/>\n"
      "<g class=\"handle\" transform=\"translate({:.1f} 0)\"><path class=\"bound\" d=\"M0 {}V{}\"/>"
      "<path class=\"grip\" d=\"M-7 {}h14v18l-7 8l-7 -8z\"/><rect class=\"touch\" x=\"-16\" y=\"{}\" "
      "width=\"32\" height=\"{}\"/></g>\n",
      handle, 46, both.bottom, 20, 18, both.bottom - 18);
  return svg + "</svg>\n";
}

}  // namespace

std::string clipping_html(const ClippingExample& example, const std::string& id) {
  const ClippingReading reading = read_clipping(example, example.largest_bound(), bits);
  std::string options;
  for (int b = 8; b >= 2; --b) options += fmt::format("<option value=\"{0}\">{0} bits</option>", b);
  std::string html = fmt::format(
      "<div class=\"clipping\" data-least=\"{:.9g}\" data-largest=\"{:.9g}\">\n<p>Site <code>{}</code>: "
      "channel {} "
      "has the most energy, channel {} the median.</p>\n",
      example.least_bound(), example.largest_bound(), escape_html(example.site),
      escape_html(example.loud.channel), escape_html(example.quiet.channel));
  html += fmt::format(
      "<p class=\"controls\" hidden=\"hidden\"><label for=\"{0}-bits\">Bit width</label> <select "
      "id=\"{0}-bits\" autocomplete=\"off\">{1}</select> <span>Drag the bound in the drawing, or focus it "
      "and use "
      "the arrow keys.</span></p>\n",
      id, options);
  html += drawing(example, reading, id) + readouts(reading) + "<p class=\"summary\" role=\"status\">" +
          escape_html(summary(example, reading)) + "</p>\n";
  html += "<script type=\"application/json\">{\"whole\":" + bins_json(example.whole) +
          ",\"loud\":" + bins_json(example.loud) + ",\"quiet\":" + bins_json(example.quiet) +
          "}</script>\n</div>\n";
  return html + table_html(bounds_table(example), id + "-bounds");
}

}  // namespace outlierlab
