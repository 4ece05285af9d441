// A strict reader of XML, as far as the report's page uses it.
#pragma once
#include <cctype>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

struct Xml {
  std::vector<std::string> ids;         ///< in order
  std::vector<std::string> references;  ///< local ones: href="#x", aria-labelledby, aria-controls, for
  std::string text;                     ///< all character data, entities as they stand
};

/// Throws std::runtime_error at the first violation: tags that do not nest, attributes without quotes or
/// twice, bare & or <, entities that XML does not define.
class XmlReader {
 public:
  explicit XmlReader(const std::string& source) : source_(source) {}

  Xml read() {
    if (starts("<!DOCTYPE html>")) at_ += 15;
    do {
      step();
    } while (!open_.empty() || at_ < source_.size());
    return xml_;
  }

 private:
  void step() {
    if (at_ >= source_.size()) fail("the end within <" + open_.back() + ">");
    if (starts("<!--")) {
      skip_past("-->");
    } else if (starts("<![CDATA[")) {
      skip_past("]]>");
    } else if (starts("</")) {
      close_tag();
    } else if (source_[at_] == '<') {
      open_tag();
    } else {
      character(xml_.text);
    }
  }

  void open_tag() {
    ++at_;
    const std::string tag = name();
    std::set<std::string> attributes;
    while (true) {
      const bool space = skip_space();
      if (starts("/>")) {
        at_ += 2;
        return;
      }
      if (starts(">")) {
        ++at_;
        open_.push_back(tag);
        return;
      }
      if (!space) fail("no space before an attribute of <" + tag + ">");
      attribute(tag, attributes);
    }
  }

  void attribute(const std::string& tag, std::set<std::string>& attributes) {
    const std::string key = name();
    if (!attributes.insert(key).second) fail(key + " twice in <" + tag + ">");
    if (!starts("=\"")) fail("expected =\" after " + key);
    at_ += 2;
    std::string value;
    while (at_ < source_.size() && source_[at_] != '"') character(value);
    ++at_;
    if (key == "id") xml_.ids.push_back(value);
    if (key == "aria-labelledby" || key == "aria-controls" || key == "for") xml_.references.push_back(value);
    if ((key == "href" || key == "xlink:href") && value[0] == '#') xml_.references.push_back(value.substr(1));
  }

  void close_tag() {
    at_ += 2;
    const std::string tag = name();
    if (open_.empty() || open_.back() != tag) fail("</" + tag + ">");
    open_.pop_back();
    if (!starts(">")) fail("expected >");
    ++at_;
  }

  void character(std::string& into) {
    const char c = source_[at_];
    if (c == '<') fail("a bare <");
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') fail("a control character");
    if (c != '&') {
      into += c;
      ++at_;
      return;
    }
    const auto end = source_.find(';', at_);
    if (end == std::string::npos || end - at_ > 8) fail("a bare &");
    const std::string entity = source_.substr(at_ + 1, end - at_ - 1);
    static const std::set<std::string> known = {"amp", "lt", "gt", "quot", "apos", "#39"};
    if (!known.count(entity)) fail("the entity &" + entity + ";");
    into += "&" + entity + ";";
    at_ = end + 1;
  }

  std::string name() {
    const auto start = at_;
    while (at_ < source_.size() && (std::isalnum(static_cast<unsigned char>(source_[at_])) ||
                                    source_[at_] == '-' || source_[at_] == ':' || source_[at_] == '_')) {
      ++at_;
    }
    if (start == at_) fail("expected a name");
    return source_.substr(start, at_ - start);
  }

  bool skip_space() {
    const auto start = at_;
    while (at_ < source_.size() && std::isspace(static_cast<unsigned char>(source_[at_]))) ++at_;
    return at_ > start;
  }
  void skip_past(const std::string& end) {
    const auto found = source_.find(end, at_);
    if (found == std::string::npos) fail("expected " + end);
    at_ = found + end.size();
  }
  bool starts(const std::string& what) const { return source_.compare(at_, what.size(), what) == 0; }
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(what + " near: " + source_.substr(at_ < 60 ? 0 : at_ - 60, 120));
  }

  const std::string& source_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  Xml xml_;
};

}  // namespace test
