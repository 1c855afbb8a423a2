#pragma once
// The octavo program as a child process, and what tests give it to read.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace octavo::e2e {

struct Outcome {
  int exit_code = -1;  // 128 + signal when a signal ended it, 127 when it could not be started
  bool timed_out = false;
  std::string out, err;
};

struct RunOptions {
  std::string input;                        // of stdin
  std::vector<std::string> environment;     // "NAME=value", added to this process's own
  std::chrono::seconds timeout{300};        // then SIGKILL; generous, for sanitizers on a busy machine
  bool unprivileged = false;                // give up root, if this is root
  uint64_t data_limit_bytes = 0;            // RLIMIT_DATA of the child; 0: none
  uint64_t file_limit_bytes = 0;            // RLIMIT_FSIZE of the child; 0: none
  std::string send_interrupt_after_output;  // interrupt_signal once stdout or stderr holds this text
  int interrupt_signal = SIGINT;
  std::function<bool()> kill_when;  // asked about every millisecond; SIGKILL once it says true
};

Outcome run_octavo(const std::vector<std::string>& arguments, const RunOptions& options = {});
// The same for another program of this build.
Outcome run_program(const std::string& program, const std::vector<std::string>& arguments,
                    const RunOptions& options = {});

// Each line of `text` as JSON; a line that is none fails the test.
std::vector<base::Json> json_lines(const std::string& text);
base::Json json_of(const std::string& text);

std::string demo_model();   // models/demo
std::string data_folder();  // test data that is not in the repository, or "" when it is not there
std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

// A folder of its own for a test, removed with all in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // A copy of the demo model that may be broken, and its path.
  std::string copy_demo(const std::string& name = "model") const;

 private:
  std::string path_;
};

}  // namespace octavo::e2e
