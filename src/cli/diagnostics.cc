// The program's voice, in one form for all commands. Used by every cmd_*.cc.
#include "cli/diagnostics.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "base/log.h"

namespace octavo::cli {

namespace {

// One write a line, so that lines of threads do not mix.
void print_line_to_stderr(std::string_view kind, std::string_view message) {
  const std::string line = "octavo: " + std::string(kind) + ": " + std::string(message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

int report_error(const Status& status) {
  if (status.code() == StatusCode::kCancelled) {
    std::fputs("octavo: stopped\n", stderr);
    return kExitInterrupted;
  }
  print_line_to_stderr("error", status.message());
  return kExitFailure;
}

int report_refusal(const Status& status) {
  const int exit_code = report_error(status);
  return status.code() == StatusCode::kInvalidArgument ? kExitUsage : exit_code;
}

int report_usage(std::string_view message, std::string_view command) {
  print_line_to_stderr("error", message);
  const std::string full = command.empty() ? "octavo" : "octavo " + std::string(command);
  std::fprintf(stderr, "Try '%s --help'.\n", full.c_str());
  return kExitUsage;
}

void show_warnings() {
  base::set_log_sink([](base::LogLevel level, std::string_view message) {
    if (level == base::LogLevel::kWarning) print_line_to_stderr("warning", message);
  });
}

Status print(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
  return io_error("cannot write to standard output: " + std::generic_category().message(errno));
}

bool is_terminal(int file_descriptor) { return isatty(file_descriptor) == 1; }

}  // namespace octavo::cli
