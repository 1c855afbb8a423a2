#pragma once
// Running a model: open a folder, submit a request, pull its text. One path for every surface (program,
// Python, HTTP).
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octavo/progress.h"
#include "octavo/status.h"

namespace octavo {

struct EngineOptions {
  int n_threads = 0;                   // 0: every core this process may use
  std::optional<int64_t> max_context;  // tokens; default: the model's, as far as memory allows
  std::string tokenizer;               // a folder or a tokenizer.json; empty: the model's
};

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
  std::vector<std::pair<int32_t, float>> logit_bias;  // token, addend
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
  std::string text;  // always whole UTF-8 characters; may be empty, as after a part of a long prompt
  std::vector<int32_t> token_ids;    // a stop token is the last of them; its text is given only if asked for
  std::vector<TokenScore> logprobs;  // of each of token_ids, where the request asks for them
  FinishReason finish = FinishReason::kNone;
  // What kStop is due to: one of `stop`, or one of `stop_token_ids`; neither at an end of text that is not
  // among these.
  std::optional<std::string> stop_text;
  std::optional<int32_t> stop_token;
};

struct StreamStats {
  int64_t n_prompt_tokens = 0, n_output_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
};

// A request under way. next() blocks, runs or waits for the model and detokenizes on the caller's thread;
// nullopt after the Delta whose `finish` is set. Destroying it cancels the request.
// progress: asked between layers whether to end with kCancelled, which ends the stream.
class Stream {
 public:
  class Impl;
  explicit Stream(std::unique_ptr<Impl> impl);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();
  Result<std::optional<Delta>> next(const Progress* progress = nullptr);
  StreamStats stats() const;

 private:
  std::unique_ptr<Impl> impl_;
};

struct ModelInfo {
  std::string architecture;  // "Qwen3ForCausalLM"
  std::string quantization;  // "none", "compressed-tensors w8a8"
  int64_t n_layers = 0, n_vocab = 0, max_context = 0;
  uint64_t weight_bytes = 0;  // packed, in memory
  std::string isa;            // "avx2"
  int n_threads = 0;
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
  Result<Stream> submit(const Request& request);
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

 private:
  struct State;
  explicit Engine(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace octavo
