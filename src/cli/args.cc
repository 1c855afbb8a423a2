// Option parsing over CLI11, with our own words: every message says which option, what was expected and what
// was found, and a misspelt name gets the nearest right one. Called by cli/main.cc.
#include "cli/args.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "base/text_format.h"

namespace octavo::cli {

namespace {

template <class T>
Status read_number(const std::string& word, T& into) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool whole = error == std::errc() && end == word.data() + word.size();
  if constexpr (std::is_floating_point_v<T>) {
    if (whole && std::isfinite(value)) {
      into = value;
      return {};
    }
    return invalid_argument("expected a number, found " + base::quoted(word));
  } else {
    if (whole) {
      into = value;
      return {};
    }
    if (error == std::errc::result_out_of_range) {
      return invalid_argument("expected an integer from " + std::to_string(std::numeric_limits<T>::min()) +
                              " to " + std::to_string(std::numeric_limits<T>::max()) + ", found " +
                              base::quoted(word));
    }
    return invalid_argument(std::string("expected an integer") +
                            (std::is_unsigned_v<T> ? " not below 0" : "") + ", found " + base::quoted(word));
  }
}

template <class T>
auto number_store(T& into) {
  return [&into](const std::string& word) { return read_number(word, into); };
}
template <class T>
auto number_store(std::optional<T>& into) {
  return [&into](const std::string& word) {
    T value{};
    OCTAVO_RETURN_IF_ERROR(read_number(word, value));
    into = value;
    return Status();
  };
}

// "--output" of "-o,--output".
std::string long_name(const std::string& names) { return names.substr(names.rfind(',') + 1); }

}  // namespace

void Options::add(std::string names, std::string placeholder, std::string help, Store store) {
  Entry entry;
  entry.names = std::move(names);
  entry.placeholder = std::move(placeholder);
  entry.help = std::move(help);
  entry.store = std::move(store);
  entries_.push_back(std::move(entry));
}

void Options::positional(std::string placeholder, std::string& into, std::string help) {
  optional_positional(std::move(placeholder), into, std::move(help));
  required();
}
void Options::optional_positional(std::string placeholder, std::string& into, std::string help) {
  option(placeholder, placeholder, into, std::move(help));
  entries_.back().is_positional = true;
}
void Options::option(std::string names, std::string placeholder, std::string& into, std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), [&into](const std::string& word) {
    into = word;
    return Status();
  });
}
void Options::option(std::string names, std::string placeholder, std::optional<std::string>& into,
                     std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), [&into](const std::string& word) {
    into = word;
    return Status();
  });
}
void Options::option(std::string names, std::string placeholder, std::vector<std::string>& into,
                     std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), [&into](const std::string& word) {
    into.push_back(word);
    return Status();
  });
  entries_.back().is_repeatable = true;
}
void Options::option(std::string names, std::string placeholder, int& into, std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), number_store(into));
}
void Options::option(std::string names, std::string placeholder, int64_t& into, std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), number_store(into));
}
void Options::option(std::string names, std::string placeholder, uint64_t& into, std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), number_store(into));
}
void Options::option(std::string names, std::string placeholder, std::optional<int32_t>& into,
                     std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), number_store(into));
}
void Options::option(std::string names, std::string placeholder, std::optional<int64_t>& into,
                     std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), number_store(into));
}
void Options::option(std::string names, std::string placeholder, std::optional<uint64_t>& into,
                     std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), number_store(into));
}
void Options::option(std::string names, std::string placeholder, std::optional<float>& into,
                     std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), number_store(into));
}

void Options::threads(int& into) {
  add("--threads", "N", "Default: every core this process may use", [&into](const std::string& word) {
    constexpr int kMaxThreads = 1024;
    OCTAVO_RETURN_IF_ERROR(read_number(word, into));
    if (into >= 0 && into <= kMaxThreads) return Status();
    return invalid_argument("expected 0 (every core) to " + std::to_string(kMaxThreads) + ", found " + word);
  });
}

void Options::flag(std::string names, bool& into, std::string help) {
  add(std::move(names), "", std::move(help), {});
  entries_.back().flag = &into;
}

void Options::required() { entries_.back().is_required = true; }

std::vector<std::string> Options::all_names() const {
  std::vector<std::string> names = {"--help"};
  for (const Entry& entry : entries_) {
    if (!entry.is_positional) names.push_back(long_name(entry.names));
  }
  return names;
}

// "--name=" of an option that takes a value as the two words "--name" and "": CLI11 gives it the word after
// it. What follows such an option is a text, whatever it looks like.
std::vector<std::string> Options::with_empty_values_apart(const std::vector<std::string>& words) const {
  const auto takes_value = [&](const std::string& word) {
    return std::ranges::any_of(entries_, [&](const Entry& entry) {
      return !entry.is_positional && entry.flag == nullptr &&
             ("," + entry.names + ",").find("," + word + ",") != std::string::npos;
    });
  };
  std::vector<std::string> apart;
  bool is_value = false, options_ended = false;
  for (const std::string& word : words) {
    options_ended = options_ended || (word == "--" && !is_value);
    const std::string name = word.substr(0, word.find('='));
    if (!is_value && !options_ended && word.starts_with("--") && word == name + "=" && takes_value(name)) {
      apart.push_back(name);
      apart.emplace_back();
      continue;
    }
    apart.push_back(word);
    is_value = !is_value && takes_value(word);
  }
  return apart;
}

Status Options::parse(const std::vector<std::string>& words, bool& help_wanted) {
  CLI::App app;
  app.set_help_flag("");
  app.allow_extras();
  app.add_flag("-h,--help", help_wanted);
  std::vector<CLI::Option*> parsed;
  for (const Entry& entry : entries_) {
    if (entry.flag != nullptr) {
      parsed.push_back(app.add_flag(entry.names, *entry.flag));
      continue;
    }
    // The callback only marks the option as wanting words; they are read below, in our own words.
    CLI::Option* option = app.add_option(entry.names, [](const CLI::results_t&) { return true; });
    option->expected(1)->allow_extra_args(false);
    option->multi_option_policy(entry.is_repeatable ? CLI::MultiOptionPolicy::TakeAll
                                                    : CLI::MultiOptionPolicy::Throw);
    parsed.push_back(option);
  }
  try {
    std::vector<std::string> last_first = with_empty_values_apart(words);
    std::reverse(last_first.begin(), last_first.end());  // as CLI11 takes them
    app.parse(last_first);
  } catch (const CLI::ParseError& error) {
    return invalid_argument(error.what());
  }
  if (help_wanted) return {};

  for (const std::string& word : app.remaining()) {
    if (word == "--") continue;
    if (word.size() < 2 || word[0] != '-')
      return invalid_argument("unexpected argument " + base::quoted(word));
    const std::string name = word.substr(0, word.find('='));
    const std::string near = base::nearest(name, all_names());
    return invalid_argument("unknown option " + base::quoted(name) +
                            (near.empty() ? std::string() : "; did you mean '" + near + "'?"));
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (parsed[i]->count() == 0) {
      if (!entry.is_required) continue;
      return invalid_argument(entry.is_positional
                                  ? "missing argument " + entry.placeholder
                                  : "missing option " + long_name(entry.names) + " " + entry.placeholder);
    }
    if (entry.flag != nullptr) continue;
    for (const std::string& word : parsed[i]->results()) {
      OCTAVO_RETURN_IF_ERROR(entry.store(word).with_context(long_name(entry.names)));
    }
  }
  return {};
}

std::string Options::help(std::string_view command, std::string_view summary) const {
  std::string usage = "Usage: octavo " + std::string(command);
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Entry& entry : entries_) {
    std::string name = entry.is_positional ? entry.placeholder : entry.names;
    if (const size_t comma = name.find(','); comma != std::string::npos) name.insert(comma + 1, " ");
    if (!entry.is_positional && !entry.placeholder.empty()) name += " " + entry.placeholder;
    if (entry.is_required) {
      usage +=
          " " + (entry.is_positional ? entry.placeholder : long_name(entry.names) + " " + entry.placeholder);
    }
    if (entry.is_positional && !entry.is_required) usage += " [" + entry.placeholder + "]";
    lines.emplace_back(std::move(name), entry.help);
  }
  lines.emplace_back("-h, --help", "Show this help");

  size_t width = 0;
  for (const auto& [name, help] : lines) width = std::max(width, name.size());
  std::string text = std::string(summary) + ".\n\n" + usage + " [options]\n\n";
  for (const auto& [name, help] : lines) {
    text += "  " + name + std::string(width - name.size() + 2, ' ');
    for (const char c : help) {
      text += c;
      if (c == '\n') text += std::string(width + 4, ' ');
    }
    text += '\n';
  }
  if (!epilogue_.empty()) text += "\n" + epilogue_ + "\n";
  return text;
}

}  // namespace octavo::cli
