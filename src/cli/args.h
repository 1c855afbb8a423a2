#pragma once
// The options of a command: declared once, then parsed and explained from the same list. args.cc is the only
// includer of CLI11.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

namespace octavo::cli {

class Options {
 public:
  // A required argument without a name; `placeholder` ("MODEL") stands for it in the help.
  void positional(std::string placeholder, std::string& into, std::string help);
  void optional_positional(std::string placeholder, std::string& into, std::string help);

  // names: "--seed" or "-o,--output". The variable keeps its value when the option is not given. Numbers are
  // whole words: "12x", "1e3" for an integer, and what does not fit are refused.
  void option(std::string names, std::string placeholder, std::string& into, std::string help);
  void option(std::string names, std::string placeholder, std::optional<std::string>& into, std::string help);
  void option(std::string names, std::string placeholder, int& into, std::string help);
  void option(std::string names, std::string placeholder, int64_t& into, std::string help);
  void option(std::string names, std::string placeholder, uint64_t& into, std::string help);
  void option(std::string names, std::string placeholder, std::optional<int32_t>& into, std::string help);
  void option(std::string names, std::string placeholder, std::optional<int64_t>& into, std::string help);
  void option(std::string names, std::string placeholder, std::optional<uint64_t>& into, std::string help);
  void option(std::string names, std::string placeholder, std::optional<float>& into, std::string help);
  // "--threads N", the same for every command: 0 to 1024.
  void threads(int& into);
  // May be given several times.
  void option(std::string names, std::string placeholder, std::vector<std::string>& into, std::string help);
  void flag(std::string names, bool& into, std::string help);
  // The option declared last must be given.
  void required();
  // Lines printed after the options in the help.
  void epilogue(std::string text) { epilogue_ = std::move(text); }

  // Fills the variables from the words after the command's name. kInvalidArgument names the word that is
  // wrong and the nearest right one. `help_wanted` is set when -h or --help is among them (nothing else is
  // checked then).
  Status parse(const std::vector<std::string>& words, bool& help_wanted);
  std::string help(std::string_view command, std::string_view summary) const;

 private:
  using Store = std::function<Status(const std::string& word)>;
  struct Entry {
    std::string names, placeholder, help;
    Store store;           // of a value
    bool* flag = nullptr;  // of a flag
    bool is_required = false, is_positional = false, is_repeatable = false;
  };
  void add(std::string names, std::string placeholder, std::string help, Store store);
  std::vector<std::string> all_names() const;
  std::vector<std::string> with_empty_values_apart(const std::vector<std::string>& words) const;

  std::vector<Entry> entries_;
  std::string epilogue_;
};

}  // namespace octavo::cli
