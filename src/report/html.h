#pragma once

#include <string>

#include "report/table.h"

namespace outlierlab {

/// Text for HTML content and for attribute values in double quotes: & < > " and ' are escaped; control
/// characters that XML forbids become U+FFFD, and so do bytes that are no UTF-8.
std::string escape_html(const std::string& text);

/// A text as part of an id: letters, digits and '-' stay, everything else becomes '-'.
std::string slug(const std::string& text);

/// A table that the page's script makes sortable: its caption, column headers with scope, the first cell of
/// a row as its header, numeric columns to the right. `id` must be unique in the page.
std::string table_html(const Table& table, const std::string& id);

/// The <svg> element of an SVG file, to be put into a page: without prolog, comments, title, desc and
/// metadata; ids, and the references to them, get the prefix, so that several figures do not clash. Throws
/// Error naming `file` if there is no <svg> element, or if it holds a script.
std::string inline_svg(const std::string& svg, const std::string& prefix, const std::string& file);

/// The width that the <svg> element states in millimetres; 0 if it states none.
double svg_width_mm(const std::string& svg);

}  // namespace outlierlab
