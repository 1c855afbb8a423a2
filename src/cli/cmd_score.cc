// octavo score: token ids or a text a line to the log-probability of every token and the likeliest after
// each.
#include <algorithm>

#include "octavo/engine.h"

#include "base/text_format.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/json_lines.h"

namespace octavo::cli {

namespace {

class Score : public Command {
 public:
  void declare(Options& options) override {
    options.positional("MODEL", model_, "A model folder");
    options.option("--top", "N", top_, "The likeliest tokens to list after every position; default: 1");
    options.threads(threads_);
    options.epilogue(
        "One object a line on stdin: {\"ids\": [1, 2]} or {\"text\": \"…\"} (then \"add_special_tokens\": "
        "false may be\n"
        "added). One answer a line on stdout, with natural logarithms:\n"
        "  {\"ids\": [1, 2], \"logprobs\": [null, -0.7], \"top\": [[[2, -0.7]], [[5, -0.1]]]}\n"
        "A bad line gives {\"error\": …}, the next is still read; the exit code is then 1.");
  }

  int run() override {
    EngineOptions engine_options;
    engine_options.n_threads = threads_;
    auto engine = Engine::open(model_, engine_options);
    if (!engine.ok()) return report_error(engine.status());
    return answer_lines([&](std::string_view line) -> Result<base::Json> {
      OCTAVO_ASSIGN_OR_RETURN(const base::Json object, parse_line(line));
      OCTAVO_ASSIGN_OR_RETURN(const auto ids, read_ids(*engine, object));
      OCTAVO_ASSIGN_OR_RETURN(const auto positions, engine->score(ids, top_));
      return to_json(ids, positions);
    });
  }

 private:
  static Result<std::vector<int32_t>> read_ids(const Engine& engine, const base::Json& object) {
    if (!object.is_object()) {
      return invalid_argument(std::string("expected an object with \"ids\" or \"text\", found ") +
                              object.type_name());
    }
    const std::vector<std::string> known = {"ids", "text", "add_special_tokens"};
    for (const auto& [key, value] : object.as_object()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      const std::string near = base::nearest(key, known);
      return invalid_argument("unknown key " + base::quoted(key) +
                              (near.empty() ? std::string() : "; did you mean '" + near + "'?"));
    }
    const base::Json* ids = object.find("ids");
    const base::Json* text = object.find("text");
    if ((ids != nullptr) == (text != nullptr)) return invalid_argument("expected either \"ids\" or \"text\"");
    if (ids != nullptr) return read_token_ids(*ids, "ids");
    if (!text->is_string())
      return invalid_argument(std::string("text: expected a string, found ") + text->type_name());
    OCTAVO_ASSIGN_OR_RETURN(const bool add_special_tokens,
                            base::get_bool(object, "add_special_tokens", true));
    return engine.tokenize(text->as_string(), add_special_tokens);
  }

  static base::Json to_json(const std::vector<int32_t>& ids, const std::vector<ScoredPosition>& positions) {
    base::JsonArray logprobs, tops;
    for (const ScoredPosition& position : positions) {
      logprobs.push_back(position.token ? base::Json(double{position.token->logprob}) : base::Json());
      base::JsonArray top;
      for (const TokenLogprob& token : position.top) {
        top.emplace_back(base::JsonArray{base::Json(int64_t{token.id}), base::Json(double{token.logprob})});
      }
      tops.emplace_back(std::move(top));
    }
    base::Json out;
    out.set("ids", token_ids_json(ids));
    out.set("logprobs", std::move(logprobs));
    out.set("top", std::move(tops));
    return out;
  }

  std::string model_;
  int32_t top_ = 1;
  int threads_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_score() { return std::make_unique<Score>(); }

}  // namespace octavo::cli
