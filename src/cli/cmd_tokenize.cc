// octavo tokenize: a JSON string a line to its token ids, or with --decode an array of ids to its text.
#include "octavo/text.h"

#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/json_lines.h"

namespace octavo::cli {

namespace {

class Tokenize : public Command {
 public:
  void declare(Options& options) override {
    options.positional("PATH", path_, "A model folder or a tokenizer.json");
    options.flag("--add-special-tokens", add_special_tokens_,
                 "Add what the model expects around a text, such as a BOS");
    options.flag("--decode", decode_, "Read arrays of ids, write texts");
    options.flag("--skip-special-tokens", skip_special_tokens_, "With --decode: leave special tokens out");
    options.epilogue(
        "One JSON value a line on stdin, one answer a line on stdout:\n"
        "  echo '\"Hello world\"' | octavo tokenize MODEL            -> [9707,1879]\n"
        "  echo '[9707,1879]'   | octavo tokenize MODEL --decode   -> \"Hello world\"\n"
        "A bad line gives {\"error\": …}, the next is still read; the exit code is then 1.");
  }

  int run() override {
    if (decode_ && add_special_tokens_)
      return report_usage("--add-special-tokens has no meaning with --decode", "tokenize");
    if (skip_special_tokens_ && !decode_)
      return report_usage("--skip-special-tokens needs --decode", "tokenize");
    const auto tokenizer = TextTokenizer::open(path_);
    if (!tokenizer.ok()) return report_error(tokenizer.status());
    return answer_lines([&](std::string_view line) -> Result<base::Json> {
      OCTAVO_ASSIGN_OR_RETURN(const base::Json value, parse_line(line));
      if (decode_) {
        OCTAVO_ASSIGN_OR_RETURN(const auto ids, read_token_ids(value, "ids"));
        OCTAVO_ASSIGN_OR_RETURN(std::string text, tokenizer->decode(ids, skip_special_tokens_));
        return base::Json(std::move(text));
      }
      if (!value.is_string()) {
        return invalid_argument(std::string("expected a JSON string, found ") + value.type_name());
      }
      OCTAVO_ASSIGN_OR_RETURN(const auto ids, tokenizer->encode(value.as_string(), add_special_tokens_));
      return token_ids_json(ids);
    });
  }

 private:
  std::string path_;
  bool add_special_tokens_ = false, decode_ = false, skip_special_tokens_ = false;
};

}  // namespace

std::unique_ptr<Command> make_tokenize() { return std::make_unique<Tokenize>(); }

}  // namespace octavo::cli
