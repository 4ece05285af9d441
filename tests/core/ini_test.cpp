#include "core/ini.h"

#include "catch.h"

using namespace outlierlab;

TEST_CASE("INI: sections, keys, comments and types", "[ini]") {
  const Ini ini = Ini::parse(
      "top = 1\n# comment\n[a]\nx = 2.5 ; why\nlist = p, q ,r\nflag = yes\n[a.*.b]\nn=-3\n", "f.ini");
  REQUIRE(ini.find("")->integer("top") == 1);
  REQUIRE(ini.find("a")->number("x") == 2.5);
  REQUIRE(ini.find("a")->list("list") == std::vector<std::string>{"p", "q", "r"});
  REQUIRE(ini.find("a")->boolean("flag") == true);
  REQUIRE(ini.find("a.*.b")->integer("n") == -3);
  REQUIRE_FALSE(ini.find("a")->text("missing").has_value());
  REQUIRE(ini.find("b") == nullptr);
  ini.require_all_used();
}

TEST_CASE("INI: errors name file and line", "[ini]") {
  REQUIRE_ERROR(Ini::parse("[a]\nx 1\n", "f.ini"), "f.ini:2", "key = value", "x 1");
  REQUIRE_ERROR(Ini::parse("[a\n", "f.ini"), "f.ini:1", "[section]");
  REQUIRE_ERROR(Ini::parse("[a]\nx=1\nx=2\n", "f.ini"), "f.ini:3", "'x' again");
  REQUIRE_ERROR(Ini::parse("[a]\n[b]\n[a]\n", "f.ini"), "f.ini:3", "[a] again");
  const Ini ini = Ini::parse("[a]\nx = 1.5\ny = 2z\nz = maybe\n", "f.ini");
  REQUIRE_ERROR(ini.find("a")->integer("x"), "f.ini:2", "'x'", "whole number", "1.5");
  REQUIRE_ERROR(ini.find("a")->number("y"), "f.ini:3", "number", "2z");
  REQUIRE_ERROR(ini.find("a")->boolean("z"), "f.ini:4", "true or false", "maybe");
  REQUIRE_ERROR(ini.find("a")->required("w"), "[a]", "'w'");
  REQUIRE_ERROR(Ini::parse("[a]\nx=1\n", "g.ini").require_all_used(), "g.ini:2", "unknown key 'x'");
  const Ini misspelled = Ini::parse("[a]\nseeed=1\n", "g.ini");
  misspelled.find("a")->integer("steps");
  misspelled.find("a")->integer("seed");
  REQUIRE_ERROR(misspelled.require_all_used(), "[a]; did you mean 'seed'?");
  REQUIRE_ERROR(Ini::read("no/such.ini"), "no/such.ini");
}

TEST_CASE("INI: --set and merging override", "[ini]") {
  Ini base = Ini::parse("[a]\nx = 1\ny = 2\n", "base.ini");
  base.merge(Ini::parse("[a]\ny = 3\n[b]\nz = 4\n", "over.ini"));
  base.set("a.x=9");
  base.set("a.layer.*.b.k=v=w");
  REQUIRE(base.find("a")->integer("x") == 9);
  REQUIRE(base.find("a")->integer("y") == 3);
  REQUIRE(base.find("b")->integer("z") == 4);
  REQUIRE(base.find("a.layer.*.b")->text("k") == "v=w");
  REQUIRE_ERROR(base.set("x=1"), "--set", "section.key=value");
  REQUIRE_ERROR(base.set("a.x"), "--set", "a.x");
}

TEST_CASE("Glob patterns", "[ini]") {
  REQUIRE(glob_match("layer.*.ffn_output", "layer.11.ffn_output"));
  REQUIRE(glob_match("*.ffn_residual", "layer.0.ffn_residual"));
  REQUIRE(glob_match("*", ""));
  REQUIRE(glob_match("a*b*c", "axxbyyc"));
  REQUIRE(glob_match("a*b*c", "abbc"));
  REQUIRE_FALSE(glob_match("layer.*.output", "layer.0.ffn_output"));
  REQUIRE_FALSE(glob_match("a*b", "a"));
  REQUIRE_FALSE(glob_match("", "a"));
}
