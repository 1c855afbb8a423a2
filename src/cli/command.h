#pragma once
// One subcommand of the program: what it takes and what it does. A file cmd_<name>.cc each.
#include <array>
#include <memory>
#include <string>

namespace octavo::cli {

class Options;

class Command {
 public:
  virtual ~Command() = default;
  // Registers where each option's value goes.
  virtual void declare(Options& options) = 0;
  // Runs with the options filled in; the process's exit code.
  virtual int run() = 0;
};

std::unique_ptr<Command> make_quantize();
std::unique_ptr<Command> make_generate();
std::unique_ptr<Command> make_run_batch();
std::unique_ptr<Command> make_eval();
std::unique_ptr<Command> make_bench();
std::unique_ptr<Command> make_selftest();
std::unique_ptr<Command> make_inspect();
std::unique_ptr<Command> make_tokenize();
std::unique_ptr<Command> make_chat_template();
std::unique_ptr<Command> make_score();

struct CommandEntry {
  const char* name;
  const char* summary;  // one line, of `octavo --help` and of the command's own help
  std::unique_ptr<Command> (*make)();
};

inline constexpr std::array kCommands = {
    CommandEntry{"quantize", "Make a model small: a float checkpoint in, an int8 one out", make_quantize},
    CommandEntry{"generate", "Continue a prompt or answer a chat message", make_generate},
    CommandEntry{"run-batch", "Answer a file of requests in OpenAI's batch format", make_run_batch},
    CommandEntry{"eval", "Measure perplexity, alone or against the model it was made from", make_eval},
    CommandEntry{"bench", "Measure this machine, and a model's speed as a share of its limits", make_bench},
    CommandEntry{"selftest", "Check every kernel of this CPU against the reference", make_selftest},
    CommandEntry{"inspect", "Say what a checkpoint is and whether it is whole", make_inspect},
    CommandEntry{"tokenize", "JSON lines: texts to token ids, or back", make_tokenize},
    CommandEntry{"chat-template", "JSON lines: chat messages to the prompt text", make_chat_template},
    CommandEntry{"score", "JSON lines: log-probabilities of every token", make_score},
};

}  // namespace octavo::cli
