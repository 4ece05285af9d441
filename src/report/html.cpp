#include "report/html.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace outlierlab {

namespace {

constexpr std::size_t longest_word = 24;         // cells up to this length are kept on one line
const char* const replacement = "\xEF\xBF\xBD";  // U+FFFD

bool continues(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

/// The length of the UTF-8 character at `at`, or 0 if there is none: stray bytes, overlong forms,
/// surrogates and what lies beyond U+10FFFF.
std::size_t character_length(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (!continues(static_cast<unsigned char>(second))) return 0;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (!continues(static_cast<unsigned char>(byte(2)))) return 0;
  if (first == 0xE0) return second >= 0xA0 ? 3 : 0;
  if (first == 0xED) return second <= 0x9F ? 3 : 0;
  if (first >= 0xE1 && first <= 0xEF) return 3;
  if (!continues(static_cast<unsigned char>(byte(3)))) return 0;
  if (first == 0xF0) return second >= 0x90 ? 4 : 0;
  if (first == 0xF4) return second <= 0x8F ? 4 : 0;
  return first >= 0xF1 && first <= 0xF3 ? 4 : 0;
}

std::string escape_ascii(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    case '\t':
    case '\n':
    case '\r':
      return std::string(1, c);
    default:
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? replacement : std::string(1, c);
  }
}

/// "54.33 [53.0, 55.6]", "up to 271", "3 %", "-"; neither a digest nor a date.
bool is_figure(std::string_view cell) {
  if (cell == "-") return true;
  if (cell.substr(0, 6) == "up to ") cell.remove_prefix(6);
  double value = 0;
  const char* end = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  return error == std::errc() && (stop == end || *stop == ' ' || *stop == ';');
}

/// A column of dashes alone is none.
std::vector<bool> numeric_columns(const Table& table) {
  std::vector<bool> numeric;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const auto all = std::all_of(table.rows.begin(), table.rows.end(),
                                 [c](const auto& row) { return is_figure(row.at(c)); });
    const auto any =
        std::any_of(table.rows.begin(), table.rows.end(), [c](const auto& row) { return row.at(c) != "-"; });
    numeric.push_back(all && any);
  }
  return numeric;
}

/// What a measurement says with and without seeds stands on two lines.
std::string figure_cell(const std::string& cell) {
  std::string text = escape_html(cell);
  const auto both = text.find("; ");
  if (both != std::string::npos) text.replace(both, 2, "<br/>");
  return text;
}

/// Removes every <name ...>...</name>.
std::string without_element(std::string svg, const std::string& name) {
  const std::string open = "<" + name, close = "</" + name + ">";
  for (std::size_t from = 0; (from = svg.find(open, from)) != std::string::npos;) {
    const auto after = from + open.size();
    const bool whole_name =
        after < svg.size() && std::string(" >/\n\t").find(svg[after]) != std::string::npos;
    const auto end = svg.find(close, from);
    if (!whole_name || end == std::string::npos) {
      from = after;
      continue;
    }
    svg.erase(from, end + close.size() - from);
  }
  return svg;
}

/// Puts `prefix` after every occurrence of `before`.
std::string prefixed(std::string text, const std::string& before, const std::string& prefix) {
  for (std::size_t at = 0; (at = text.find(before, at)) != std::string::npos; at += before.size()) {
    text.insert(at + before.size(), prefix);
  }
  return text;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string escaped;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text, at);
    if (length == 0) {
      escaped += replacement;
    } else {
      escaped += length == 1 ? escape_ascii(text[at]) : text.substr(at, length);
    }
    at += std::max<std::size_t>(1, length);
  }
  return escaped;
}

std::string slug(const std::string& text) {
  std::string id;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    id += plain ? c : '-';
  }
  return id;
}

std::string table_html(const Table& table, const std::string& id) {
  const std::vector<bool> numeric = numeric_columns(table);
  const std::string caption_id = id + "-caption";
  std::string html = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"" + caption_id +
                     "\"><table class=\"sortable\" id=\"" + id + "\">\n<caption id=\"" + caption_id + "\">" +
                     escape_html(table.title) + "</caption>\n<thead><tr>";
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    html += numeric[c] ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">";
    html += escape_html(table.columns[c]) + "</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string name = c == 0 ? "th" : "td";
      const char* style = numeric[c] ? " class=\"n\"" : row[c].size() <= longest_word ? " class=\"w\"" : "";
      html += "<" + name + (c == 0 ? " scope=\"row\"" : "") + style + ">";
      html += (numeric[c] ? figure_cell(row[c]) : escape_html(row[c])) + "</" + name + ">";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string inline_svg(const std::string& svg, const std::string& prefix, const std::string& file) {
  const auto begin = svg.find("<svg"), end = svg.rfind("</svg>");
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    fail_expected(file, "an <svg> element", "none");
  }
  std::string text = svg.substr(begin, end + 6 - begin);
  if (text.find("<script") != std::string::npos) fail_expected(file, "an SVG without script", "a script");
  for (std::size_t from; (from = text.find("<!--")) != std::string::npos;) {
    const auto close = text.find("-->", from);
    if (close == std::string::npos) fail_expected(file, "a closed comment", "the end of the file");
    text.erase(from, close + 3 - from);
  }
  for (const char* name : {"title", "desc", "metadata"}) text = without_element(text, name);
  for (const char quote : {'"', '\''}) {
    for (const std::string attribute : {" id=", "\nid=", "\tid="})
      text = prefixed(text, attribute + quote, prefix);
    text = prefixed(text, std::string("href=") + quote + "#", prefix);
    text = prefixed(text, std::string("url(") + quote + "#", prefix);
  }
  return prefixed(text, "url(#", prefix);
}

double svg_width_mm(const std::string& svg) {
  const std::string head = svg.substr(0, svg.find('>', std::min(svg.size(), svg.find("<svg"))));
  const std::string key = " width=\"";
  const auto start = head.find(key);
  if (start == std::string::npos) return 0;
  double width = 0;
  const auto [stop, error] =
      std::from_chars(head.data() + start + key.size(), head.data() + head.size(), width);
  const bool in_mm =
      std::string_view(stop, static_cast<std::size_t>(head.data() + head.size() - stop)).substr(0, 3) ==
      "mm\"";
  return error == std::errc() && in_mm ? width : 0;
}

}  // namespace outlierlab
