#include <fmt/format.h>

#include <set>

#include "core/error.h"
#include "core/files.h"
#include "report/clipping_html.h"
#include "report/html.h"
#include "report/report.h"
#include "report/web_assets.h"

namespace outlierlab {

namespace {

constexpr std::size_t longest_open_table = 30;  // rows; longer ones are folded

struct Badge {
  const char *style, *sign;
};

Badge badge_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::confirmed:
      return {"confirmed", "✓"};
    case Outcome::partly:
      return {"partly", "◐"};
    case Outcome::not_confirmed:
      return {"refuted", "✗"};
    case Outcome::too_few_examples:
    case Outcome::nothing_to_repair:
      return {"idle", "–"};
    case Outcome::no_data:
      break;
  }
  return {"missing", "?"};
}

std::string badge(Outcome outcome) {
  const auto [style, sign] = badge_of(outcome);
  return fmt::format("<span class=\"badge {}\"><span aria-hidden=\"true\">{}</span> {}</span>", style, sign,
                     to_string(outcome));
}

std::string model_name(const ModelReport& model) {
  return escape_html(model.model + " on " + model.task) +
         (model.planted ? " <span class=\"planted\">planted</span>" : "");
}

std::string command_line(const std::string& command) {
  return "<p class=\"command\"><span>To make it again:</span> <code>" + escape_html(command) +
         "</code></p>\n";
}

/// Running text: a number and its percent sign stay on one line.
std::string prose(const std::string& text) {
  std::string html = escape_html(text);
  for (std::size_t at = 0; (at = html.find(" %", at)) != std::string::npos;) html.replace(at, 1, "\u00a0");
  return html;
}

/// Figures are made for a page of paper; on a screen they are a third larger, and where there is little room
/// they scroll before they become illegible.
std::string figure_width(const std::string& svg) {
  const double width = 1.35 * svg_width_mm(svg);
  return width > 0 ? fmt::format(" style=\"width:{0:.1f}mm;min-width:min({0:.1f}mm,34rem)\"", width) : "";
}

std::string figure_html(const Figure& figure) {
  const std::string id = "figure-" + slug(figure.name), title = escape_html(figure.title);
  const std::string svg = inline_svg(read_file(figure.svg), id + "-", figure.svg.string());
  return fmt::format(
             "<figure id=\"{0}\" aria-labelledby=\"{0}-title\">\n<div class=\"scroll paper\" tabindex=\"0\" "
             "role=\"group\" aria-labelledby=\"{0}-title\"><div role=\"img\" aria-label=\"{1}. "
             "{2}\"{3}>\n{4}\n"
             "</div></div>\n<figcaption><strong id=\"{0}-title\">{1}.</strong> {5}</figcaption>\n",
             id, title, escape_html(figure.caption), figure_width(svg), svg, prose(figure.caption)) +
         command_line(figure.command) + "</figure>\n";
}

/// Figures of an experiment: those of all models (`model` empty), or of one.
std::string figures_html(const Report& report, const std::string& experiment, const std::string& model) {
  std::string html;
  for (const Figure& figure : report.figures) {
    if (figure.experiment == experiment && figure.model == model) html += figure_html(figure);
  }
  return html;
}

/// One panel per model; the script turns several of them into tabs.
template <typename Content>
std::string panels(const Report& report, const std::string& section, Content content) {
  std::string html = "<div class=\"models\">\n";
  for (const ModelReport& model : report.models) {
    const std::string id = section + "-" + slug(model.folder);
    html += "<section class=\"model\" id=\"" + id + "\" data-model=\"" + slug(model.folder) +
            "\" aria-labelledby=\"" + id + "-name\">\n<h3 id=\"" + id + "-name\">" + model_name(model) +
            "</h3>\n" + content(model, id) + "</section>\n";
  }
  return html + "</div>\n";
}

std::string overview_table(const Report& report) {
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"overview-caption\"><table "
      "class=\"overview\">\n<caption id=\"overview-caption\">Verdicts at a glance</caption>\n"
      "<thead><tr><th scope=\"col\">Claim</th><th scope=\"col\">Paper (BERT-base, QNLI)</th>";
  for (const ModelReport& model : report.models) html += "<th scope=\"col\">" + model_name(model) + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  const std::size_t claims = report.models.empty() ? 0 : report.models[0].verdicts.size();
  for (std::size_t claim = 0; claim < claims; ++claim) {
    const Verdict& first = report.models[0].verdicts[claim];
    html += "<tr><th scope=\"row\"><b>" + escape_html(first.claim) + "</b> " + escape_html(first.title) +
            "</th><td>" + escape_html(first.paper) + "</td>";
    for (const ModelReport& model : report.models) {
      html += "<td>" + badge(model.verdicts.at(claim).outcome) + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string verdict_html(const Verdict& verdict) {
  return fmt::format(
      "<article class=\"verdict {}\"><h4>{} {} {}</h4>\n<dl><dt>Here</dt><dd>{}</dd><dt>Paper</dt>"
      "<dd>{}</dd><dt>Rule</dt><dd>{}</dd></dl></article>\n",
      badge_of(verdict.outcome).style, badge(verdict.outcome), escape_html(verdict.claim),
      escape_html(verdict.title), prose(verdict.figures), escape_html(verdict.paper), prose(verdict.rule));
}

std::string run_command(const ModelReport& model, const std::string& experiment) {
  return "outlierlab run " + experiment + " --model " + model.model + " --task " + model.task;
}

std::string note(const std::string& html) {
  return "<div class=\"note\"><p>" + html + "</p></div>\n";
}

std::string missing_html(const Report& report, const std::vector<ExperimentInfo>& experiments) {
  std::string items;
  for (const ModelReport& model : report.models) {
    for (const ExperimentInfo& info : experiments) {
      if (!info.expected || model.find(info.name)) continue;
      items += "<li><code>" + escape_html(run_command(model, info.name)) + "</code></li>\n";
    }
  }
  if (items.empty()) return "";
  return "<div class=\"note\"><p>Not every experiment has results here. To fill the gaps, run:</p>\n<ul>\n" +
         items + "</ul></div>\n";
}

std::string claims_section(const Report& report, const std::vector<ExperimentInfo>& experiments) {
  return "<section id=\"claims\" aria-labelledby=\"claims-title\">\n"
         "<h2 id=\"claims-title\">Claims and verdicts</h2>\n"
         "<p>Each claim of the paper is judged by a fixed rule on the rows of the result files; the rule "
         "stands "
         "beside its verdict. Accuracy is in percent with its Wilson 95 % interval. A model marked "
         "<span class=\"planted\">planted</span> was given its outliers on purpose: it shows the mechanism "
         "and "
         "is no evidence about networks that were trained without them. The best of several settings was "
         "chosen on the "
         "examples that it is evaluated on.</p>\n" +
         overview_table(report) + missing_html(report, experiments) + figures_html(report, "overview", "") +
         panels(report, "claims",
                [&](const ModelReport& model, const std::string&) {
                  std::string html =
                      figures_html(report, "overview", model.folder) + "<div class=\"verdicts\">\n";
                  for (const Verdict& verdict : model.verdicts) html += verdict_html(verdict);
                  return html + "</div>\n";
                }) +
         "</section>\n";
}

std::string foldable(const Table& table, const std::string& id) {
  if (table.rows.size() <= longest_open_table) return table_html(table, id);
  return fmt::format("<details><summary>{} ({} rows)</summary>\n{}</details>\n", escape_html(table.title),
                     table.rows.size(), table_html(table, id));
}

std::string experiment_panel(const Report& report, const ModelReport& model, const ExperimentInfo& info,
                             const std::string& id) {
  const std::string& name = info.name;
  const ExperimentReport* experiment = model.find(name);
  if (!experiment) {
    return info.expected
               ? note("Not run on this model yet: <code>" + escape_html(run_command(model, name)) + "</code>")
               : note("Not run on this model.");
  }
  std::string html = "<p class=\"reading\">" + prose(experiment->reading) + "</p>\n" +
                     figures_html(report, name, model.folder);
  for (std::size_t i = 0; i < experiment->tables.size(); ++i) {
    html += foldable(experiment->tables[i], id + "-table-" + std::to_string(i + 1));
  }
  return html + command_line(experiment->command);
}

/// Where an experiment's figure stands if not in its own section.
std::string figures_elsewhere(const Report& report, const std::string& experiment) {
  std::string html;
  for (const Figure& figure : report.figures) {
    if (figure.rests_on == experiment && figure.experiment != experiment)
      html += "<p>Figure: <a href=\"#figure-" + slug(figure.name) + "\">" + escape_html(figure.title) +
              "</a>, above.</p>\n";
  }
  return html;
}

std::string experiment_section(const Report& report, const ExperimentInfo& info) {
  const std::string id = "experiment-" + slug(info.name);
  std::string html = "<section id=\"" + id + "\" aria-labelledby=\"" + id + "-title\">\n<h2 id=\"" + id +
                     "-title\">" + escape_html(info.name);
  if (!info.claims.empty()) html += " <span class=\"claims\">" + escape_html(info.claims) + "</span>";
  html += "</h2>\n";
  if (!info.question.empty()) {
    html += "<p class=\"question\"><b>" + escape_html(info.question) +
            "</b> <span>Measured: " + escape_html(info.summary) + ".</span></p>\n";
  }
  return html + figures_elsewhere(report, info.name) + figures_html(report, info.name, "") +
         panels(report, id,
                [&](const ModelReport& model, const std::string& panel) {
                  return experiment_panel(report, model, info, panel);
                }) +
         "</section>\n";
}

bool any_clipping(const Report& report) {
  for (const ModelReport& model : report.models) {
    if (model.clipping) return true;
  }
  return false;
}

std::string clipping_section(const Report& report) {
  return "<section id=\"clipping\" aria-labelledby=\"clipping-title\">\n"
         "<h2 id=\"clipping-title\">Why it breaks: one grid for an outlier channel and a quiet one</h2>\n"
         "<p>All channels of a site share one grid, so its widest values set the step for all of them: with "
         "the bound at its widest, see how few of the levels fall within the quiet channel's range. Drag the "
         "bound inwards and the quiet channel gains levels, while the outlier channel's large values are "
         "clipped: "
         "where the network needs those, no bound serves both.</p>\n" +
         panels(report, "clipping",
                [](const ModelReport& model, const std::string& id) {
                  if (model.clipping) return clipping_html(*model.clipping, id);
                  return note("No histograms of this model yet: <code>" +
                              escape_html(run_command(model, "activations")) + "</code>");
                }) +
         "</section>\n";
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return or_dash(text);
}

std::string provenance_panel(const ModelReport& model, const std::string& id) {
  Table table{"How the rows were made",
              {"experiment", "wall time, s", "peak memory, MB", "threads", "started (UTC)", "program",
               "machine", "command"},
              {}};
  std::set<std::vector<std::string>> files;
  for (const ExperimentReport& experiment : model.experiments) {
    if (!experiment.record) {
      table.rows.push_back(
          {experiment.name, "-", "-", "-", "-", "-", "-", "no " + experiment.name + ".json"});
      continue;
    }
    const RunRecord& r = *experiment.record;
    table.rows.push_back({experiment.name, fmt::format("{:.1f}", r.wall_seconds),
                          fmt::format("{:.0f}", static_cast<double>(r.peak_memory_bytes) / 1e6),
                          std::to_string(r.threads), or_dash(r.started),
                          join({r.version, r.revision, r.compiler}),
                          join({r.cpu, r.executors.empty() ? r.instructions : execution_text(r), r.device}),
                          or_dash(r.command)});
    for (const RunRecord::File& file : r.files) files.insert({file.role, file.name, file.sha256});
  }
  std::string html = table_html(table, id + "-runs");
  if (files.empty()) return html;
  return html +
         table_html({"What they were made from", {"role", "file", "SHA-256"}, {files.begin(), files.end()}},
                    id + "-files");
}

std::string provenance_section(const Report& report) {
  std::string html =
      "<section id=\"provenance\" aria-labelledby=\"provenance-title\">\n"
      "<h2 id=\"provenance-title\">Provenance</h2>\n"
      "<p>From the <code>.json</code> file beside each result file. Sentences, verdicts and tables on this "
      "page "
      "are composed from the rows by rule; the same files give the same page, byte for byte.</p>\n" +
      panels(report, "provenance", provenance_panel);
  if (!report.skipped.empty()) {
    html += "<div class=\"note\"><p>Figures that could not be made:</p>\n<ul>\n";
    for (const SkippedFigure& figure : report.skipped) {
      html += "<li><b>" + escape_html(figure.name) + "</b>: " + escape_html(figure.reason) + "</li>\n";
    }
    html += "</ul></div>\n";
  }
  return html + command_line("outlierlab report") + "</section>\n";
}

std::string contents(const std::vector<ExperimentInfo>& experiments, bool clipping) {
  const auto item = [](const std::string& id, const std::string& text) {
    return "<li><a href=\"#" + id + "\">" + escape_html(text) + "</a></li>\n";
  };
  std::string html = "<nav aria-label=\"Contents\"><ul>\n" + item("claims", "Verdicts");
  if (clipping) html += item("clipping", "Why it breaks");
  for (const ExperimentInfo& info : experiments) html += item("experiment-" + slug(info.name), info.name);
  return html + item("provenance", "Provenance") + "</ul></nav>\n";
}

std::string head() {
  return std::string("<head>\n<meta charset=\"utf-8\"/>\n") +
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
         "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
         "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\"/>\n"
         "<title>Activation outliers in transformer quantization: results</title>\n"
         "<style>/*<![CDATA[*/\n" +
         page_css + "/*]]>*/</style>\n</head>\n";
}

std::string page_header() {
  return "<a class=\"skip\" href=\"#claims\">Skip to the verdicts</a>\n<header>\n"
         "<div><h1>Activation outliers in transformer quantization</h1>\n"
         "<p>What the runs collected here say about the claims of arXiv 2603.04308.</p></div>\n"
         "<div class=\"theme\" role=\"group\" aria-label=\"Colours\" hidden=\"hidden\">"
         "<button type=\"button\" data-theme-choice=\"auto\">Auto</button>"
         "<button type=\"button\" data-theme-choice=\"light\">Light</button>"
         "<button type=\"button\" data-theme-choice=\"dark\">Dark</button></div>\n</header>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  const std::vector<ExperimentInfo> experiments = experiments_of(report.models, report.experiments);
  const bool clipping = any_clipping(report);
  const std::string leading =
      report.models.empty() ? "" : slug(report.models[leading_model(report.models)].folder);
  std::string html = "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n" + head() +
                     "<body data-leading=\"" + leading + "\">\n" + page_header() +
                     contents(experiments, clipping) + "<main>\n" + claims_section(report, experiments);
  if (clipping) html += clipping_section(report);
  for (const ExperimentInfo& info : experiments) html += experiment_section(report, info);
  return html + provenance_section(report) + "</main>\n<script>/*<![CDATA[*/\n" + page_js +
         "/*]]>*/</script>\n</body>\n</html>\n";
}

}  // namespace outlierlab
