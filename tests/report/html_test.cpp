#include "report/html.h"

#include "catch.h"
#include "xml.h"

using namespace outlierlab;

TEST_CASE("text is escaped for content and attributes, and is valid UTF-8 afterwards", "[html]") {
  REQUIRE(escape_html("a < b && c > \"d\" 'e'") == "a &lt; b &amp;&amp; c &gt; &quot;d&quot; &#39;e&#39;");
  REQUIRE(escape_html("± 1 ✓\tx\ny") == "± 1 ✓\tx\ny");
  const std::string bad = "\xEF\xBF\xBD";
  REQUIRE(escape_html(std::string("a\x01z\x7F")) == "a" + bad + "z" + bad);
  REQUIRE(escape_html("\xC3") == bad);                                     // cut off
  REQUIRE(escape_html("\x80x") == bad + "x");                              // continuation without a start
  REQUIRE(escape_html("\xC0\xAF") == bad + bad);                           // overlong
  REQUIRE(escape_html("\xED\xA0\x80").find('\xED') == std::string::npos);  // surrogate
  REQUIRE(escape_html("\xF0\x9F\x8E\xB2") == "\xF0\x9F\x8E\xB2");
  REQUIRE(slug("demo-planted on x/y_z") == "demo-planted-on-x-y-z");
}

TEST_CASE("a table has headers with scope, a caption, and figures to the right", "[html]") {
  const std::string html =
      table_html({"T <1>",
                  {"variant", "accuracy, %", "paper", "none"},
                  {{"w8a8", "54.00 [53, 55]; 54.1 ± 1 (2 seeds)", "up to 271", "-"}, {"<b>", "-", "-", "-"}}},
                 "t");
  const auto contains = [&](const std::string& part) { return html.find(part) != std::string::npos; };
  REQUIRE(contains("<caption id=\"t-caption\">T &lt;1&gt;</caption>"));
  REQUIRE(contains("<th scope=\"col\">variant</th><th scope=\"col\" class=\"n\">accuracy, %</th>"));
  REQUIRE(contains("<th scope=\"col\" class=\"n\">paper</th><th scope=\"col\">none</th>"));
  REQUIRE(contains("<td class=\"n\">54.00 [53, 55]<br/>54.1 ± 1 (2 seeds)</td>"));
  REQUIRE(contains("<th scope=\"row\" class=\"w\">&lt;b&gt;</th>"));
  REQUIRE_NOTHROW(test::XmlReader(html).read());
  REQUIRE(table_html({"", {"digest", "date"}, {{"00ff", "2026-01-01"}}}, "d").find("class=\"n\"") ==
          std::string::npos);
}

TEST_CASE("SVGs are put inline without prolog and with ids of their own", "[html]") {
  const std::string svg =
      "<?xml version=\"1.0\"?>\n<!DOCTYPE svg PUBLIC \"x\" \"y\">\n<!-- made by a program -->\n"
      "<svg viewBox=\"0 0 1 1\" xmlns=\"http://www.w3.org/2000/svg\">\n<title>Tool</title>"
      "<desc>Version 5</desc><titles/><defs>\n\t<circle id='gpDot' r='1'/><path id=\"clip\"/></defs>"
      "<use xlink:href=\"#gpDot\"/><use href='#gpDot'/><g clip-path=\"url(#clip)\" fill='url(#clip)' "
      "data-grid=\"1\"/></svg>\n";
  const std::string inlined = inline_svg(svg, "f1-", "f.svg");
  REQUIRE(inlined.rfind("<svg ", 0) == 0);
  REQUIRE(inlined ==
          "<svg viewBox=\"0 0 1 1\" xmlns=\"http://www.w3.org/2000/svg\">\n<titles/><defs>\n\t<circle "
          "id='f1-gpDot' r='1'/><path id=\"f1-clip\"/></defs><use xlink:href=\"#f1-gpDot\"/><use "
          "href='#f1-gpDot'/><g clip-path=\"url(#f1-clip)\" fill='url(#f1-clip)' data-grid=\"1\"/></svg>");
  REQUIRE(svg_width_mm("<svg \n width=\"89.5mm\" height=\"1mm\">") == 89.5);
  REQUIRE(svg_width_mm("<svg width=\"89\"><g stroke-width=\"3mm\"/></svg>") == 0);
  REQUIRE(svg_width_mm("") == 0);
  REQUIRE_ERROR(inline_svg("<html></html>", "a", "dir/f.svg"), "dir/f.svg", "<svg>");
  REQUIRE_ERROR(inline_svg("<svg><script>1</script></svg>", "a", "f.svg"), "f.svg", "script");
  REQUIRE_ERROR(inline_svg("<svg><!-- </svg>", "a", "f.svg"), "f.svg", "comment");
}
