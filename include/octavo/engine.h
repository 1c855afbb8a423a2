#pragma once
// Running a model: open a folder, submit requests, pull their text. One path for every surface (program,
// Python, HTTP). What a request gets does not depend on the others that run with it.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octavo/logits_mask.h"
#include "octavo/progress.h"
#include "octavo/status.h"

namespace octavo {

struct EngineOptions {
  int n_threads = 0;                                  // 0: every core this process may use
  std::optional<int64_t> max_context = std::nullopt;  // tokens; default: the model's, as far as memory allows
  std::string tokenizer = "";                         // a folder or a tokenizer.json; empty: the model's

  // Many requests at once (vLLM's names).
  int64_t max_num_seqs = 64;             // outputs that run at once; the others wait
  int64_t max_num_batched_tokens = 512;  // of one step, at least max_num_seqs; longer prompts run in chunks
  int64_t max_waiting = 4096;            // outputs; more are refused with kResourceExhausted
  std::optional<uint64_t> kv_cache_bytes =
      std::nullopt;  // of keys and values; default: 4 GiB or half of what is available
  std::string kv_cache_dtype =
      "auto";  // "auto": bf16 (fp32 for F32 checkpoints); "int8": half of bf16's memory
  std::string lm_head_dtype =
      "auto";  // "auto": as the checkpoint has it; "int8": half of bf16's bytes in every step
  bool enable_prefix_caching = true;  // prompts that begin alike run their beginning once
  // Tokens guessed from the sequence's own past and verified in one step: "auto" where that is measured to be
  // faster, "off", "always". No answer depends on it.
  std::string speculation = "auto";

  // No weights: the answer is the prompt, then the end of text, through the same scheduler, pages, sampler
  // and streams. The folder needs a tokenizer only; without a folder ("") the tokens are bytes.
  bool echo = false;
  int64_t echo_step_us = 0;  // microseconds that a step of the echo takes at least
};

// OpenAI's and vLLM's: beyond it a token is banned or alone anyway.
inline constexpr int kMaxLogitBias = 100;

// Refuses names and numbers that are out of range for every model, before anything is read.
Status check_engine_options(const EngineOptions& options);

// Unset fields take the model's generation_config.json, then these defaults (vLLM's names and meaning).
struct SamplingParams {
  std::optional<float> temperature;         // 1.0; below 1e-5 greedy
  std::optional<float> top_p;               // 1.0, in (0, 1]
  std::optional<int32_t> top_k;             // 0 or -1: all
  std::optional<float> min_p;               // 0.0, in [0, 1]
  std::optional<float> repetition_penalty;  // 1.0, > 0; of tokens in the prompt or the output
  float presence_penalty = 0;               // [-2, 2]; of tokens in the output
  float frequency_penalty = 0;              // [-2, 2]; of tokens in the output, as often as they are there
  std::optional<uint64_t> seed;             // default: drawn once per request from the operating system
  int32_t n = 1;                            // outputs; number i draws with seed + i; 1 where greedy
  std::optional<int64_t>
      max_tokens;                 // default: generation_config's max_new_tokens, else to the context's end
  int64_t min_tokens = 0;         // no stop text, stop token or end of text comes before
  std::vector<std::string> stop;  // non-empty texts
  std::vector<int32_t> stop_token_ids;
  bool include_stop_str_in_output = false;  // the stop text, or the stop token's, ends the text
  bool ignore_eos = false;
  bool skip_special_tokens = true;  // in the text
  bool detokenize = true;           // false: no text, and so no `stop`
  // For each token: its log-probability and the n likeliest of the model's own distribution, before penalties
  // and temperature. -1: all.
  std::optional<int32_t> logprobs;
  std::optional<int32_t> prompt_logprobs;             // the same for the prompt's tokens
  std::vector<std::pair<int32_t, float>> logit_bias;  // token, addend in [-kMaxLogitBias, kMaxLogitBias]
  std::vector<int32_t> allowed_token_ids;             // empty: all
  std::vector<std::string>
      bad_words;  // words whose tokens, at a text's beginning and after a space, must not come
};
// Refuses what is out of range for every model, by name.
Status check_sampling_params(const SamplingParams& params);

struct Request {
  std::string prompt;              // text
  std::vector<int32_t> token_ids;  // used instead of `prompt` when not empty
  bool add_special_tokens = true;  // to `prompt`: those the tokenizer puts around every text, such as a BOS
  SamplingParams sampling;
  int32_t priority = 0;                    // smaller runs first; among equals, who came first
  std::shared_ptr<const LogitsMask> mask;  // cloned for each output
  // Called whenever poll() has something new, for those who read many streams: by the engine's thread, which
  // waits for it, so it should only wake someone. It may still come after the stream's end was read and after
  // the stream is gone: what it holds must be its own, and not the engine.
  std::function<void()> on_ready;
  bool prompt_only = false;  // no token comes, but `prompt_logprobs`; the prompt may then fill the context
};

enum class FinishReason { kNone, kStop, kLength, kCancelled };
const char* finish_reason_name(FinishReason reason);  // "stop", "length", …

// One token's place in a distribution.
struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural
  int64_t rank = 1;   // 1: the likeliest; among equals the lower id comes first
};
struct TokenScore {
  TokenLogprob token;
  std::vector<TokenLogprob> top;  // most likely first
};

struct Delta {
  int32_t index = 0;                 // which of the request's n outputs
  std::string text;                  // always whole UTF-8 characters; may be empty
  std::vector<int32_t> token_ids;    // a stop token is the last of them; its text is given only if asked for
  std::vector<TokenScore> logprobs;  // of each of token_ids, where the request asks for them
  // In the first Delta, where the request asks for them: of the tokens 1, 2, ... of the prompt.
  std::vector<TokenScore> prompt_logprobs;
  FinishReason finish = FinishReason::kNone;  // set in the last Delta of an output
  // What kStop is due to: one of `stop`, or a token: one of `stop_token_ids`, or an end of text other than
  // the tokenizer's own. Neither at the tokenizer's own (unless ignore_eos, where only stop_token_ids end a
  // text).
  std::optional<std::string> stop_text;
  std::optional<int32_t> stop_token;
};

struct StreamStats {
  int64_t n_prompt_tokens = 0, n_output_tokens = 0;
  int64_t n_cached_tokens = 0;  // of the prompt: found in the prefix cache
  // From the first step to the first token, from there to the last.
  double prefill_seconds = 0, decode_seconds = 0;
  // Seconds of the monotonic clock; 0 where it has not come to that.
  double arrived = 0, scheduled = 0, first_token = 0, last_token = 0;
};

// One of a request's outputs, whole.
struct CompletionOutput {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<TokenScore> logprobs;  // where asked for
  double cumulative_logprob = 0;     // of token_ids, where asked for logprobs
  FinishReason finish = FinishReason::kNone;
  std::optional<std::string> stop_text;
  std::optional<int32_t> stop_token;

  void add(Delta delta);  // what it has more of
};
struct RequestOutput {
  std::vector<int32_t> prompt_token_ids;
  std::vector<TokenScore> prompt_logprobs;  // where asked for: of the tokens 1, 2, ...
  std::vector<CompletionOutput> outputs;    // [n]
  StreamStats stats;
};

// A request under way in the engine's own thread. next() waits for a token of any of its outputs and
// detokenizes on the caller's thread; nullopt after the last Delta of every output. Destroying it cancels the
// request.
// progress: asked before and while waiting whether to end with kCancelled, which ends the stream.
class Stream {
 public:
  class Impl;
  explicit Stream(std::unique_ptr<Impl> impl);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();
  Result<std::optional<Delta>> next(const Progress* progress = nullptr);
  // The same without waiting: nullopt, too, where nothing is there yet.
  Result<std::optional<Delta>> poll();
  // Whether nothing more comes: after the last Delta of every output, or an error.
  bool finished() const;
  // All that comes from here on, put together. on_delta: shown each part before it is, on this thread.
  Result<RequestOutput> collect(const Progress* progress = nullptr,
                                const std::function<void(const Delta&)>& on_delta = {});
  // May be called by any thread; next() then ends with kCancelled.
  void cancel();
  int32_t n_outputs() const;
  const std::vector<int32_t>& prompt_token_ids() const;
  StreamStats stats() const;

 private:
  std::unique_ptr<Impl> impl_;
};

// What the engine has done since it was opened, and what it does now.
struct EngineStats {
  int64_t n_steps = 0, n_rows = 0;  // forward passes, and the tokens that they ran
  int64_t n_mixed_steps = 0;        // of prompts and of single tokens
  int64_t n_chunked_steps = 0;      // of a part of a prompt that is not its end
  int64_t n_prefix_hits = 0, n_cached_tokens = 0;
  int64_t n_copied_pages = 0;                                // of outputs that share a prompt
  int64_t n_drafted_tokens = 0, n_accepted_tokens = 0;       // guessed and run, and right
  int64_t n_preempted = 0, n_cancelled = 0, n_finished = 0;  // outputs
  int64_t n_running = 0, n_waiting = 0;                      // outputs
  int64_t n_pages = 0, n_pages_in_use = 0, page_tokens = 0;
};

struct ModelInfo {
  std::string architecture;  // "Qwen3ForCausalLM"
  std::string quantization;  // "none", "compressed-tensors w8a8"
  int64_t n_layers = 0, n_vocab = 0, max_context = 0;
  uint64_t weight_bytes = 0;  // packed, in memory
  std::string isa;            // "avx2"
  int n_threads = 0;
  // The floor under its speed: multiplications and additions of a token of the prompt, bytes read for an
  // output token, and for each token before it.
  double token_s8_ops = 0, token_float_ops = 0;
  uint64_t step_bytes = 0, kv_token_bytes = 0;
  std::string fingerprint;  // changes when the model or the numerics do
};

struct ScoredPosition {
  std::optional<TokenLogprob> token;  // at this position, given those before; none for the first
  std::vector<TokenLogprob> top;      // the distribution after this position, most likely first
};

class Engine {
 public:
  // progress: told of each layer; may cancel.
  static Result<Engine> open(const std::string& model_folder, const EngineOptions& options = {},
                             Progress* progress = nullptr);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  const ModelInfo& model() const;
  // What generation_config.json sets; the rest is unset.
  const SamplingParams& default_sampling() const;
  // Does not wait; may be called by many threads. Errors name the field; kResourceExhausted when too many
  // wait.
  Result<Stream> submit(const Request& request);
  // Runs all at once; the outputs stand in the order of the requests, of which any number may be given. A
  // request that would be refused ends it before the first is run. progress: told how many are done; may
  // cancel.
  Result<std::vector<RequestOutput>> generate(const std::vector<Request>& requests,
                                              Progress* progress = nullptr);
  // What submit() would refuse however little is under way.
  Status check(const Request& request) const;
  EngineStats stats() const;
  // Renders messages (and any template variable of `variables_json`, an object) with the model's chat
  // template, or with the Jinja text `chat_template` where that is not empty, to the prompt text that
  // `submit` should tokenize; the Request carries exactly one BOS.
  Result<Request> chat_request(const std::string& variables_json,
                               const std::string& chat_template = "") const;

  // Log-probabilities (natural log) of every token, and the `top_n` best after every position, the last one
  // included. progress: asked between layers whether to end with kCancelled.
  Result<std::vector<ScoredPosition>> score(const std::vector<int32_t>& token_ids, int32_t top_n,
                                            const Progress* progress = nullptr);
  // The logits after every token, [token_ids.size(), n_vocab] in fp32.
  Result<std::vector<float>> logits(const std::vector<int32_t>& token_ids,
                                    const Progress* progress = nullptr);
  Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special_tokens) const;
  // Valid UTF-8: bytes that are no character become U+FFFD.
  Result<std::string> detokenize(const std::vector<int32_t>& token_ids, bool skip_special_tokens) const;

 private:
  struct State;
  explicit Engine(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace octavo
