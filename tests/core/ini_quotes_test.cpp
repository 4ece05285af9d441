#include "catch.h"
#include "core/ini.h"

using namespace outlierlab;

TEST_CASE("INI: quotes keep comment signs and commas in a value") {
  const Ini ini = Ini::parse(
      "[a]\n"
      "columns = \"#1 String\", plain, \"x, y ; z\"   # a comment with \"quotes\"\n"
      "text = \"# kept\" # dropped\n"
      "inner = say \"a\" and \"b\"\n"
      "none =\n",
      "t.ini");
  const IniSection& a = *ini.find("a");
  REQUIRE(a.list("columns") == std::vector<std::string>{"#1 String", "plain", "x, y ; z"});
  REQUIRE(a.text("text") == "# kept");
  REQUIRE(a.required("text") == "# kept");
  REQUIRE(a.text("inner") == "say \"a\" and \"b\"");
  REQUIRE(a.list("none").empty());

  SECTION("the canonical text reads back the same") {
    const Ini again = Ini::parse(ini.to_string(), "again.ini");
    REQUIRE(again.find("a")->list("columns") == a.list("columns"));
  }
}

TEST_CASE("INI: a quote without its partner is an error with its line") {
  REQUIRE_ERROR(Ini::parse("[a]\n\nkey = \"open\n", "t.ini"), "t.ini:3", "closing quote");
}
