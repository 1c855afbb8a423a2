// octavo chat-template: an object of template variables a line to the text that the model's chat template
// makes.
#include "octavo/text.h"

#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/json_lines.h"

namespace octavo::cli {

namespace {

class ChatTemplate : public Command {
 public:
  void declare(Options& options) override {
    options.positional("PATH", path_, "A model folder, a tokenizer_config.json or a .jinja file");
    options.option("--now", "DATE", now_, "The date that templates see, as 2024-07-26; default: today");
    options.epilogue(
        "One object of template variables a line on stdin, one answer a line on stdout:\n"
        "  {\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"add_generation_prompt\": true}  ->  "
        "{\"text\": \"…\"}\n"
        "A bad line gives {\"error\": …}, the next is still read; the exit code is then 1.");
  }

  int run() override {
    const auto renderer = ChatRenderer::open(path_, now_);
    if (!renderer.ok()) return report_error(renderer.status());
    return answer_lines([&](std::string_view line) -> Result<base::Json> {
      OCTAVO_ASSIGN_OR_RETURN(std::string text, renderer->render(std::string(line)));
      base::Json out;
      out.set("text", std::move(text));
      return out;
    });
  }

 private:
  std::string path_, now_;
};

}  // namespace

std::unique_ptr<Command> make_chat_template() { return std::make_unique<ChatTemplate>(); }

}  // namespace octavo::cli
