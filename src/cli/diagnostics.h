#pragma once
// What the program tells people: errors and warnings on stderr, results on stdout, and the exit code.
#include <string_view>

#include "octavo/status.h"

namespace octavo::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;        // it did not work, or the model is broken
inline constexpr int kExitUsage = 2;          // the command line makes no sense
inline constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells expect

// "octavo: error: …" on stderr; kExitFailure, or kExitInterrupted for work that was cancelled.
int report_error(const Status& status);
// The same for an answer to a request that came from the command line: kExitUsage when the request makes no
// sense.
int report_refusal(const Status& status);
// A mistake on the command line, with a pointer to the command's help; kExitUsage.
int report_usage(std::string_view message, std::string_view command);

// The library's warnings on stderr, as "octavo: warning: …".
void show_warnings();

// To stdout, flushed. An error once the reader has gone or the disk is full.
Status print(std::string_view text);

bool is_terminal(int file_descriptor);

}  // namespace octavo::cli
