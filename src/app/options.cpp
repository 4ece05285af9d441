#include "app/options.h"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "core/error.h"

namespace outlierlab {

namespace po = boost::program_options;

namespace {

template <typename Number>
Number parse_number(const std::string& option, const std::string& text, Number minimum, Number maximum) {
  const char* kind = std::is_floating_point_v<Number> ? "a number" : "a whole number";
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool is_number = !text.empty() && stop == end && error != std::errc::invalid_argument;
  if (!is_number || error != std::errc() || !(value >= minimum && value <= maximum)) {
    throw UsageError(
        fmt::format("--{}: expected {} from {} to {}, found '{}'", option, kind, minimum, maximum, text));
  }
  return value;
}

}  // namespace

struct Options::Impl {
  struct Value {
    std::string name;
    bool repeatable;
    std::function<void(const std::string&)> assign;
  };
  std::string command, description, example;
  po::options_description named{"Options", 110};
  std::vector<Value> values;
  std::vector<std::pair<std::string, bool*>> flags;
  std::set<std::string> given;  ///< by the arguments parsed last
  std::string positional_name, positional_help;
  std::vector<std::string>* positional = nullptr;
  std::size_t positional_minimum = 0, positional_maximum = 0;

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& option : named.options()) all.push_back("--" + option->long_name());
    return all;
  }

  po::parsed_options parse(const std::vector<std::string>& arguments) const;
  void assign_positional(const std::vector<std::string>& found) const;
  /// " A A", " [A [A]]" or, of more than two, " A...".
  std::string positional_usage() const;
};

Options::Options(std::string command, std::string description, std::string example) : impl_(new Impl) {
  impl_->command = std::move(command);
  impl_->description = std::move(description);
  impl_->example = std::move(example);
}
Options::~Options() = default;

void Options::add_value(const std::string& name, const std::string& value, const std::string& help,
                        const std::string& shown_default, bool repeatable,
                        std::function<void(const std::string&)> assign) {
  const std::string text = shown_default.empty() ? help : help + " (default: " + shown_default + ")";
  impl_->named.add_options()(name.c_str(), po::value<std::vector<std::string>>()->value_name(value),
                             text.c_str());
  impl_->values.push_back({name, repeatable, std::move(assign)});
}

void Options::add(const std::string& name, const std::string& value, const std::string& help,
                  std::string* target) {
  add_value(name, value, help, *target, false, [target](const std::string& text) { *target = text; });
}

void Options::add(const std::string& name, const std::string& value, const std::string& help,
                  std::filesystem::path* target) {
  add_value(name, value, help, target->string(), false, [=](const std::string& text) {
    if (text.empty()) throw UsageError("--" + name + ": expected a path, found ''");
    *target = text;
  });
}

void Options::add(const std::string& name, const std::string& value, const std::string& help,
                  std::uint64_t* target, std::uint64_t minimum, std::uint64_t maximum) {
  add_value(name, value, help, std::to_string(*target), false, [=](const std::string& text) {
    *target = parse_number<std::uint64_t>(name, text, minimum, maximum);
  });
}

void Options::add(const std::string& name, const std::string& value, const std::string& help, int* target,
                  int minimum, int maximum) {
  add_value(name, value, help, std::to_string(*target), false,
            [=](const std::string& text) { *target = parse_number<int>(name, text, minimum, maximum); });
}

void Options::add(const std::string& name, const std::string& value, const std::string& help, double* target,
                  double minimum, double maximum) {
  add_value(name, value, help, fmt::format("{}", *target), false,
            [=](const std::string& text) { *target = parse_number<double>(name, text, minimum, maximum); });
}

void Options::add(const std::string& name, const std::string& value, const std::string& help,
                  std::vector<std::string>* target) {
  add_value(name, value, help, "", true, [target](const std::string& text) { target->push_back(text); });
}

void Options::flag(const std::string& name, const std::string& help, bool* target) {
  impl_->named.add_options()(name.c_str(), help.c_str());
  impl_->flags.emplace_back(name, target);
}

void Options::positional(const std::string& name, const std::string& help, std::vector<std::string>* target,
                         std::size_t minimum, std::size_t maximum) {
  impl_->positional_name = name;
  impl_->positional_help = help;
  impl_->positional = target;
  impl_->positional_minimum = minimum;
  impl_->positional_maximum = maximum;
}

po::parsed_options Options::Impl::parse(const std::vector<std::string>& arguments) const {
  po::options_description all;
  all.add(named);
  all.add_options()("help,h", "");
  using po::command_line_style::allow_guessing;
  using po::command_line_style::unix_style;
  try {
    // Unknown options are collected, not thrown, so that the message is ours.
    return po::command_line_parser(arguments)
        .options(all)
        .style(unix_style & ~allow_guessing)
        .allow_unregistered()
        .run();
  } catch (const po::invalid_command_line_syntax& error) {
    const bool missing = error.kind() == po::invalid_command_line_syntax::missing_parameter;
    throw UsageError(error.get_option_name() + ": expected " +
                     (missing ? "a value, found none" : "no value, found one"));
  } catch (const po::error& error) {
    throw UsageError(command + ": " + error.what());
  }
}

void Options::Impl::assign_positional(const std::vector<std::string>& found) const {
  if (!positional && !found.empty()) {
    throw UsageError(command + ": expected options only, found '" + found[0] + "'");
  }
  if (!positional) return;
  if (found.size() < positional_minimum || found.size() > positional_maximum) {
    const std::string expected = positional_minimum == positional_maximum
                                     ? std::to_string(positional_minimum)
                                     : fmt::format("{} or more", positional_minimum);
    const std::string most = positional_minimum < positional_maximum && found.size() > positional_maximum
                                 ? fmt::format("at most {}", positional_maximum)
                                 : expected;
    throw UsageError(
        fmt::format("{}: expected {} {}, found {}", command, most, positional_name, found.size()));
  }
  *positional = found;
}

std::string Options::Impl::positional_usage() const {
  std::string text;
  for (std::size_t i = 0; i < positional_minimum; ++i) text += " " + positional_name;
  if (positional_maximum > 2) return text + "...";
  for (std::size_t i = positional_minimum; i < positional_maximum; ++i) text += " [" + positional_name;
  return text + std::string(positional_maximum - positional_minimum, ']');
}

bool Options::parse(const std::vector<std::string>& arguments) const {
  const po::parsed_options parsed = impl_->parse(arguments);
  std::map<std::string, std::vector<std::string>> given;
  std::vector<std::string> unnamed;
  for (const po::option& option : parsed.options) {
    if (option.unregistered) fail_unknown("option", option.original_tokens.at(0), impl_->names());
    if (option.string_key == "help") {
      std::cout << help();
      return false;
    }
    std::vector<std::string>& values = option.position_key >= 0 ? unnamed : given[option.string_key];
    values.insert(values.end(), option.value.begin(), option.value.end());
  }
  for (const Impl::Value& value : impl_->values) {
    const auto found = given.find(value.name);
    if (found == given.end()) continue;
    const std::vector<std::string>& texts = found->second;
    if (texts.size() > 1 && !value.repeatable) {
      throw UsageError(fmt::format("--{}: expected once, found {} times", value.name, texts.size()));
    }
    for (const std::string& text : texts) value.assign(text);
  }
  for (const auto& [name, target] : impl_->flags) *target = *target || given.count(name) > 0;
  impl_->assign_positional(unnamed);
  impl_->given.clear();
  for (const auto& [name, texts] : given) impl_->given.insert(name);
  return true;
}

bool Options::given(const std::string& name) const {
  return impl_->given.count(name) > 0;
}

std::string Options::help() const {
  std::ostringstream text;
  text << "Usage: outlierlab " << impl_->command;
  if (impl_->positional) text << impl_->positional_usage();
  text << (impl_->named.options().empty() ? "" : " [options]") << "\n\n" << impl_->description << "\n";
  if (impl_->positional) text << "\n" << impl_->positional_name << ": " << impl_->positional_help << "\n";
  if (!impl_->named.options().empty()) text << "\n" << impl_->named;
  text << "\nExample:\n  " << impl_->example << "\n";
  return text.str();
}

void add_common(Options& options, CommonOptions& values, const std::vector<std::string>& names) {
  const std::map<std::string, std::function<void()>> known = {
      {"model",
       [&] {
         options.add("model", "M", "a name in configs/models or a Hugging Face folder", &values.model);
       }},
      {"task",
       [&] {
         options.add("task", "T", "a name in configs/tasks or an INI file; without it, the model's own",
                     &values.task);
       }},
      {"data",
       [&] {
         options.add("data", "DIR", "the task's files; without it, $OUTLIERLAB_DATA/<task>", &values.data);
       }},
      {"limit",
       [&] { options.add("limit", "N", "evaluate the first N examples only; 0: all", &values.limit); }},
      {"threads", [&] { options.add("threads", "N", "threads; 0: all cores", &values.threads, 0, 4096); }},
      {"out", [&] { options.add("out", "PATH", "where to write", &values.out); }},
      {"resume", [&] { options.flag("resume", "go on after the last finished row", &values.resume); }},
      {"seeds",
       [&] {
         options.add("seeds", "N", "further draws of the calibration set, for mean and deviation",
                     &values.seeds, 0, 10000);
       }},
      {"scheme",
       [&] { options.add("scheme", "S", "a name in configs/schemes or an INI file", &values.scheme); }},
      {"set",
       [&] {
         options.add("set", "KEY=VALUE", "overrides section.key of the INI file; repeatable", &values.set);
       }},
      {"json", [&] { options.add("json", "FILE", "writes the result as JSON", &values.json); }},
      {"batch-size",
       [&] { options.add("batch-size", "N", "examples per batch", &values.batch_size, 1, 65536); }},
      {"calibration-size",
       [&] {
         options.add("calibration-size", "N", "training examples that ranges are estimated from",
                     &values.calibration_size, 1);
       }},
      {"calibration-seed",
       [&] {
         options.add("calibration-seed", "N", "draws them with this seed; 0: the first ones",
                     &values.calibration_seed);
       }},
  };
  for (const std::string& name : names) known.at(name)();
}

}  // namespace outlierlab
