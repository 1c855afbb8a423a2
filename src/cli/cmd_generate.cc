// octavo generate: text from a prompt or a chat message, streamed as whole characters. stdout holds the text
// alone; the speed goes to stderr.
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "octavo/bench.h"
#include "octavo/engine.h"

#include "base/json.h"
#include "base/text_format.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/interrupt.h"

namespace octavo::cli {

namespace {

constexpr size_t kMaxPromptBytes = size_t{64} << 20;

Result<std::string> read_stdin() {
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    const size_t n = std::fread(buffer, 1, sizeof(buffer), stdin);
    text.append(buffer, n);
    if (interrupted()) return cancelled("interrupted");
    if (text.size() > kMaxPromptBytes) {
      return invalid_argument("the prompt on standard input is longer than " +
                              base::format_bytes(kMaxPromptBytes));
    }
    if (n == sizeof(buffer)) continue;
    if (std::ferror(stdin)) {
      return io_error("cannot read standard input: " + std::generic_category().message(errno));
    }
    return text;
  }
}

double per_second(int64_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }

// limit: tokens per second, or 0.
std::string speed(const char* what, int64_t n_tokens, double seconds, double limit) {
  char buffer[160];
  const double rate = per_second(n_tokens, seconds);
  int length = std::snprintf(buffer, sizeof(buffer), "%s %lld tokens in %.3f s (%.1f tok/s", what,
                             static_cast<long long>(n_tokens), seconds, rate);
  if (limit > 0 && n_tokens > 0) {
    length += std::snprintf(buffer + length, sizeof(buffer) - static_cast<size_t>(length),
                            ", %.0f %% of the limit", 100 * rate / limit);
  }
  return std::string(buffer, static_cast<size_t>(length)) + ")";
}

std::string guesses(const EngineStats& stats) {
  if (stats.n_drafted_tokens == 0) return "";
  return ", " + std::to_string(stats.n_accepted_tokens) + " of " + std::to_string(stats.n_drafted_tokens) +
         " guessed tokens right";
}

// The first output token comes out of the prefill.
int64_t n_decoded(const StreamStats& stats) { return std::max<int64_t>(stats.n_output_tokens - 1, 0); }

// Ctrl-C is looked for between layers: a chunk of a long prompt can take seconds.
class InterruptWatch : public Progress {
 public:
  void update(std::string_view, int64_t, int64_t) override {}
  bool cancelled() const override { return interrupted(); }
};

class Generate : public Command {
 public:
  void declare(Options& options) override {
    options.positional("MODEL", model_, "A model folder");
    options.option("--prompt", "TEXT", prompt_, "Text to continue; default: standard input");
    options.option("--chat", "TEXT", chat_, "A user's message, put into the model's chat template");
    options.option("--system", "TEXT", system_, "With --chat: the system message before it");
    options.option("--chat-template-kwargs", "JSON", template_kwargs_,
                   "With --chat: more template variables, such as '{\"enable_thinking\": false}'");
    options.option("--max-tokens", "N", sampling_.max_tokens,
                   "Default: the model's, else to the end of its context");
    options.option("--temperature", "T", sampling_.temperature, "0 is greedy; default: the model's, else 1");
    options.option("--top-p", "P", sampling_.top_p, "Default: the model's, else 1");
    options.option("--top-k", "K", sampling_.top_k, "0 or -1 is all; default: the model's, else all");
    options.option("--min-p", "P", sampling_.min_p, "Default: the model's, else 0");
    options.option("--repetition-penalty", "R", sampling_.repetition_penalty, "Default: the model's, else 1");
    options.flag("--greedy", greedy_, "The likeliest token always; the same as --temperature 0");
    options.option("--seed", "N", sampling_.seed,
                   "The same seed gives the same text; default: a new one each time");
    options.option("--stop", "TEXT", sampling_.stop, "End before this text; may be given several times");
    options.flag("--ignore-eos", sampling_.ignore_eos, "Go on after the model's end-of-text token");
    options.option("--max-context", "N", engine_.max_context,
                   "Tokens of prompt and output; default: the model's");
    options.option("--kv-cache-dtype", "TYPE", engine_.kv_cache_dtype,
                   "Keys and values: auto (the model's type) or int8 (half the memory); default auto");
    options.option("--lm-head-dtype", "TYPE", engine_.lm_head_dtype,
                   "lm_head: auto (as the model has it) or int8 (half of bf16's reads); default: auto");
    options.option(
        "--speculation", "HOW", engine_.speculation,
        "Guess tokens from the text so far: auto (where it is faster), off or always; the text is the same");
    options.threads(engine_.n_threads);
    options.flag("--json", json_, "One JSON object at the end instead of the text as it comes");
  }

  int run() override {
    if (const Status status = check_options(); !status.ok())
      return report_usage(status.message(), "generate");
    auto engine = Engine::open(model_, engine_);
    if (!engine.ok()) return report_error(engine.status());
    catch_interrupts();  // from here on there is something to stop in good order
    auto request = make_request(*engine);
    if (!request.ok()) return report_refusal(request.status());
    auto stream = engine->submit(*request);
    if (!stream.ok()) return report_refusal(stream.status());
    return json_ ? print_object(*engine, *stream) : print_stream(*engine, *stream);
  }

 private:
  Status check_options() {
    if (prompt_ && chat_) return invalid_argument("--prompt and --chat exclude each other");
    if (!chat_ && system_) return invalid_argument("--system needs --chat");
    if (!chat_ && template_kwargs_) return invalid_argument("--chat-template-kwargs needs --chat");
    if (greedy_ && sampling_.temperature.value_or(0) != 0) {
      return invalid_argument("--greedy and --temperature exclude each other");
    }
    if (greedy_) sampling_.temperature = 0.0F;
    return {};
  }

  Result<Request> make_request(const Engine& engine) const {
    Request request;
    if (chat_) {
      OCTAVO_ASSIGN_OR_RETURN(const std::string variables, chat_variables());
      OCTAVO_ASSIGN_OR_RETURN(request, engine.chat_request(variables));
    } else if (prompt_) {
      request.prompt = *prompt_;
    } else {
      if (is_terminal(fileno(stdin))) std::fputs("octavo: reading the prompt; end it with Ctrl-D\n", stderr);
      OCTAVO_ASSIGN_OR_RETURN(request.prompt, read_stdin());
    }
    request.sampling = sampling_;
    return request;
  }

  Result<std::string> chat_variables() const {
    const auto message = [](const char* role, const std::string& content) {
      base::Json object;
      object.set("role", role);
      object.set("content", content);
      return object;
    };
    base::Json variables;
    if (template_kwargs_) {
      auto parsed = base::parse_json(*template_kwargs_);
      if (!parsed.ok()) return invalid_argument("--chat-template-kwargs: " + parsed.status().message());
      if (!parsed->is_object()) {
        return invalid_argument(std::string("--chat-template-kwargs: expected a JSON object, found ") +
                                parsed->type_name());
      }
      variables = std::move(parsed).value();
    }
    base::JsonArray messages;
    if (system_) messages.push_back(message("system", *system_));
    messages.push_back(message("user", *chat_));
    variables.set("messages", std::move(messages));
    if (variables.find("add_generation_prompt") == nullptr) variables.set("add_generation_prompt", true);
    return variables.dump();
  }

  static int print_stream(const Engine& engine, Stream& stream) {
    const bool on_terminal = is_terminal(fileno(stdout));
    bool at_line_begin = true;
    const InterruptWatch watch;
    while (!interrupted()) {
      auto delta = stream.next(&watch);
      if (!delta.ok() && interrupted()) break;
      if (!delta.ok()) return report_error(delta.status());
      if (!delta->has_value()) break;
      const std::string& text = (*delta)->text;
      if (text.empty()) continue;
      if (const Status printed = print(text); !printed.ok()) return report_error(printed);
      at_line_begin = text.back() == '\n';
    }
    if (on_terminal && !at_line_begin) {
      if (const Status printed = print("\n"); !printed.ok()) return report_error(printed);
    }
    const StreamStats stats = stream.stats();
    const double mean_context =
        static_cast<double>(stats.n_prompt_tokens) + static_cast<double>(stats.n_output_tokens) / 2;
    const SpeedLimits limits =
        interrupted() ? SpeedLimits{} : measure_speed_limits(engine.model(), mean_context);
    std::fprintf(stderr, "octavo: %s, %s%s\n",
                 speed("prefill", stats.n_prompt_tokens, stats.prefill_seconds, limits.prefill).c_str(),
                 speed("decode", n_decoded(stats), stats.decode_seconds, limits.decode).c_str(),
                 guesses(engine.stats()).c_str());
    return interrupted() ? kExitInterrupted : kExitOk;
  }

  static int print_object(const Engine& engine, Stream& stream) {
    std::string text;
    base::JsonArray ids;
    FinishReason finish = FinishReason::kCancelled;
    const InterruptWatch watch;
    while (!interrupted()) {
      auto delta = stream.next(&watch);
      if (!delta.ok() && interrupted()) break;
      if (!delta.ok()) return report_error(delta.status());
      if (!delta->has_value()) break;
      text += (*delta)->text;
      for (const int32_t id : (*delta)->token_ids) ids.emplace_back(int64_t{id});
      if ((*delta)->finish != FinishReason::kNone) finish = (*delta)->finish;
    }
    const StreamStats stats = stream.stats();
    base::Json out;
    out.set("schema_version", 1);
    out.set("text", std::move(text));
    out.set("token_ids", std::move(ids));
    out.set("finish_reason", finish_reason_name(finish));
    out.set("n_prompt_tokens", stats.n_prompt_tokens);
    out.set("n_output_tokens", stats.n_output_tokens);
    out.set("prefill_seconds", stats.prefill_seconds);
    out.set("decode_seconds", stats.decode_seconds);
    out.set("prefill_tokens_per_second", per_second(stats.n_prompt_tokens, stats.prefill_seconds));
    out.set("decode_tokens_per_second", per_second(n_decoded(stats), stats.decode_seconds));
    out.set("n_drafted_tokens", engine.stats().n_drafted_tokens);
    out.set("n_accepted_tokens", engine.stats().n_accepted_tokens);
    out.set("model", model_json(engine.model()));
    const Status printed = print(out.dump(2) + "\n");
    if (!printed.ok()) return report_error(printed);
    return interrupted() ? kExitInterrupted : kExitOk;
  }

  static base::Json model_json(const ModelInfo& model) {
    base::Json out;
    out.set("architecture", model.architecture);
    out.set("quantization", model.quantization);
    out.set("weight_bytes", model.weight_bytes);
    out.set("max_context", model.max_context);
    out.set("isa", model.isa);
    out.set("n_threads", model.n_threads);
    out.set("fingerprint", model.fingerprint);
    return out;
  }

  std::string model_;
  std::optional<std::string> prompt_, chat_, system_, template_kwargs_;
  EngineOptions engine_;
  SamplingParams sampling_;
  bool greedy_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_generate() { return std::make_unique<Generate>(); }

}  // namespace octavo::cli
