// fork, exec and one poll loop over the child's three pipes, so that neither side can block the other.
#include "program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/test_environment.h"

namespace octavo::e2e {

namespace {

namespace fs = std::filesystem;

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == 0) {
      read_end = ends[0];
      write_end = ends[1];
    }
  }
  ~Pipe() {
    close_end(read_end);
    close_end(write_end);
  }
  static void close_end(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
};

[[noreturn]] void become(const std::string& program, const std::vector<std::string>& arguments,
                         const RunOptions& options, Pipe& in, Pipe& out, Pipe& err) {
  dup2(in.read_end, STDIN_FILENO);
  dup2(out.write_end, STDOUT_FILENO);
  dup2(err.write_end, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGXFSZ}) signal(number, SIG_DFL);
  constexpr uid_t kNobody = 65534;
  if (options.unprivileged && geteuid() == 0 && (setgid(kNobody) != 0 || setuid(kNobody) != 0)) _exit(127);
  if (options.data_limit_bytes > 0) {
    const rlimit limit{options.data_limit_bytes, options.data_limit_bytes};
    if (setrlimit(RLIMIT_DATA, &limit) != 0) _exit(127);
  }
  if (options.file_limit_bytes > 0) {
    const rlimit limit{options.file_limit_bytes, options.file_limit_bytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(127);
  }
  for (const std::string& variable : options.environment) putenv(const_cast<char*>(variable.c_str()));
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  execv(program.c_str(), words.data());
  _exit(127);
}

// Appends what can be read; closes the end at its end.
void drain(int& end, std::string& into) {
  std::array<char, 65536> buffer;
  const ssize_t n = read(end, buffer.data(), buffer.size());
  if (n > 0) {
    into.append(buffer.data(), static_cast<size_t>(n));
  } else {
    Pipe::close_end(end);
  }
}

void feed(int& end, const std::string& input, size_t& n_written) {
  const ssize_t n = write(end, input.data() + n_written, input.size() - n_written);
  if (n > 0) n_written += static_cast<size_t>(n);
  if (n < 0 || n_written == input.size()) Pipe::close_end(end);
}

}  // namespace

Outcome run_octavo(const std::vector<std::string>& arguments, const RunOptions& options) {
  return run_program(OCTAVO_PROGRAM, arguments, options);
}

Outcome run_program(const std::string& program, const std::vector<std::string>& arguments,
                    const RunOptions& options) {
  signal(SIGPIPE, SIG_IGN);  // a child may end before it has read its input
  Pipe in, out, err;
  const pid_t child = fork();
  if (child == 0) become(program, arguments, options, in, out, err);
  Pipe::close_end(in.read_end);
  Pipe::close_end(out.write_end);
  Pipe::close_end(err.write_end);
  fcntl(in.write_end, F_SETFL, O_NONBLOCK);

  Outcome outcome;
  const auto deadline = std::chrono::steady_clock::now() + options.timeout;
  size_t n_written = 0;
  bool interrupt_sent = options.send_interrupt_after_output.empty();
  bool may_kill = static_cast<bool>(options.kill_when);
  if (options.input.empty()) Pipe::close_end(in.write_end);
  while (out.read_end >= 0 || err.read_end >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      outcome.timed_out = true;
      kill(child, SIGKILL);
      break;
    }
    std::array<pollfd, 3> ends = {
        {{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}, {in.write_end, POLLOUT, 0}}};
    poll(ends.data(), ends.size(), may_kill ? 1 : static_cast<int>(left.count()));
    if (may_kill && options.kill_when()) {
      kill(child, SIGKILL);
      may_kill = false;
    }
    if (ends[0].revents != 0) drain(out.read_end, outcome.out);
    if (ends[1].revents != 0) drain(err.read_end, outcome.err);
    if (ends[2].revents != 0) feed(in.write_end, options.input, n_written);
    const auto says_it = [&](const std::string& text) {
      return text.find(options.send_interrupt_after_output) != std::string::npos;
    };
    if (!interrupt_sent && (says_it(outcome.out) || says_it(outcome.err))) {
      kill(child, options.interrupt_signal);
      interrupt_sent = true;
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  EXPECT_FALSE(outcome.timed_out) << program << " did not end in time; stderr:\n" << outcome.err;
  return outcome;
}

std::vector<base::Json> json_lines(const std::string& text) {
  std::vector<base::Json> values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) values.push_back(json_of(line));
  return values;
}

base::Json json_of(const std::string& text) {
  auto value = base::parse_json(text);
  EXPECT_TRUE(value.ok()) << value.status().message() << " in:\n" << text;
  return value.ok() ? *value : base::Json();
}

std::string demo_model() { return OCTAVO_SOURCE_DIR "/models/demo"; }

std::string data_folder() {
  const std::string folder = base::test_data_folder();
  return fs::is_directory(folder) ? folder : "";
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  EXPECT_TRUE(file.good()) << path;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "octavo-e2e-XXXXXX").string();
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TemporaryFolder::copy_demo(const std::string& name) const {
  const std::string target = *this / name;
  fs::create_directory(target);
  for (const char* file : {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
                           "tokenizer_config.json"}) {
    fs::copy_file(demo_model() + "/" + file, target + "/" + file);
  }
  return target;
}

}  // namespace octavo::e2e
