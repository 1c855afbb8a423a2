// The `octavo` program: finds the command, parses its options, runs it.
#include <csignal>
#include <new>
#include <string>
#include <vector>

#include "octavo/version.h"

#include "base/text_format.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"

namespace octavo::cli {
namespace {

std::string program_help() {
  std::string text =
      "Octavo quantizes large language models and runs them on the CPU.\n\nUsage: octavo COMMAND "
      "[options]\n\n";
  for (const CommandEntry& entry : kCommands) {
    text += "  " + std::string(entry.name) + std::string(15 - std::string_view(entry.name).size(), ' ') +
            entry.summary + "\n";
  }
  return text + "\n'octavo COMMAND --help' explains a command; 'octavo --version' prints the version.\n";
}

int finish(const Status& printed) { return printed.ok() ? kExitOk : report_error(printed); }

int run(const std::vector<std::string>& words) {
  if (words.empty()) return report_usage("missing command", "");
  for (const std::string& word : words) {  // prompts, and paths that end up in JSON
    if (!base::is_valid_utf8(word))
      return report_usage("argument " + base::quoted(word) + " is not valid UTF-8", "");
  }
  const std::string& first = words.front();
  if (first == "--help" || first == "-h" || first == "help") return finish(print(program_help()));
  if (first == "--version") return finish(print("octavo " + std::string(kVersion) + "\n"));

  std::vector<std::string> names = {"--help", "--version"};
  for (const CommandEntry& entry : kCommands) {
    names.emplace_back(entry.name);
    if (first != entry.name) continue;
    const auto command = entry.make();
    Options options;
    command->declare(options);
    bool help_wanted = false;
    const Status status = options.parse({words.begin() + 1, words.end()}, help_wanted);
    if (help_wanted) return finish(print(options.help(entry.name, entry.summary)));
    if (!status.ok()) return report_usage(status.message(), entry.name);
    show_warnings();
    return command->run();
  }
  const std::string near = base::nearest(first, names);
  return report_usage("unknown command " + base::quoted(first) +
                          (near.empty() ? std::string() : "; did you mean '" + near + "'?"),
                      "");
}

}  // namespace
}  // namespace octavo::cli

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is then an error of the write, like a full disk
  try {
    return octavo::cli::run({argv + 1, argv + argc});
  } catch (const std::bad_alloc&) {
    return octavo::cli::report_error(octavo::resource_exhausted("out of memory"));
  }
}
