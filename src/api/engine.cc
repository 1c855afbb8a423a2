// Where text meets tokens: a model folder with its tokenizer, chat template and sampling defaults, and
// requests as streams of text. Called by every surface; the steps are behind engine/batch_engine.cc.
#include "octavo/engine.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "octavo/version.h"

#include "api/echo.h"
#include "api/engine_state.h"
#include "api/generation_defaults.h"
#include "api/stream_impl.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text_format.h"
#include "engine/decoder_step_model.h"
#include "engine/echo_model.h"
#include "engine/logits_reader.h"
#include "format/quant_manifest/quant_manifest.h"
#include "text/stream_decoder.h"

namespace octavo {

namespace {

// The checkpoint's shape, the version of the arithmetic, and the logits' bits after a few tokens: they differ
// as soon as any weight that these tokens pass, or any step of the arithmetic, does. One short forward pass.
Result<std::string> compute_fingerprint(engine::LoadedModel& loaded) {
  constexpr int64_t kProbeTokens = 8;
  std::vector<int32_t> probe;
  for (int64_t i = 0; i < std::min(kProbeTokens, loaded.max_context()); ++i) {
    probe.push_back(static_cast<int32_t>(loaded.config().n_vocab / kProbeTokens * i));
  }
  base::Hash hash;
  hash.add(loaded.checkpoint().fingerprint()).add(static_cast<uint64_t>(kNumericsVersion));
  engine::LogitsReader reader(loaded, probe);
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(const engine::LogitsReader::Rows rows, reader.next());
    if (rows.n_rows == 0) return base::hex(hash.value());
    for (const float logit : rows.logits) hash.add(std::bit_cast<uint32_t>(logit));
  }
}

std::string describe_architecture(const base::Json& config) {
  const base::Json* names = config.find("architectures");
  const bool is_named = names != nullptr && names->is_array() && !names->as_array().empty();
  return is_named && names->as_array().front().is_string() ? names->as_array().front().as_string() : "";
}

Result<ModelInfo> describe(engine::LoadedModel& loaded) {
  const base::Json& config = loaded.checkpoint().config();
  OCTAVO_ASSIGN_OR_RETURN(const auto manifest, format::QuantManifest::read(loaded.checkpoint()));
  ModelInfo info;
  info.architecture = describe_architecture(config);
  info.quantization = manifest.empty() ? "none" : manifest.description();
  info.n_layers = loaded.config().n_layers;
  info.n_vocab = loaded.config().n_vocab;
  info.max_context = loaded.max_context();
  info.weight_bytes = loaded.model().packed_bytes();
  info.isa = kernels::isa_name(loaded.isa());
  info.n_threads = loaded.pool().n_threads();
  const model::WeightTotals totals = loaded.model().totals();
  info.token_s8_ops = 2 * static_cast<double>(totals.n_s8);
  info.token_float_ops = 2 * static_cast<double>(totals.n_float);
  info.step_bytes = totals.layer_bytes + totals.head_bytes;
  info.kv_token_bytes = kernels::kv_block_bytes(loaded.model().kv_shape(loaded.kv_type())) /
                        static_cast<uint64_t>(kernels::kKvBlockTokens) *
                        static_cast<uint64_t>(loaded.config().n_layers);
  OCTAVO_ASSIGN_OR_RETURN(info.fingerprint, compute_fingerprint(loaded));
  return info;
}

// config.json's and generation_config.json's end-of-text tokens, each once.
std::vector<int32_t> unite_eos(const model::ModelConfig& config, const std::vector<int32_t>& more) {
  std::vector<int32_t> ids = config.eos_ids;
  ids.insert(ids.end(), more.begin(), more.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Result<engine::BatchOptions> batch_options(const EngineOptions& options) {
  engine::BatchOptions batch;
  batch.max_sequences = options.max_num_seqs;
  batch.max_step_tokens = options.max_num_batched_tokens;
  batch.max_waiting = options.max_waiting;
  batch.prefix_cache = options.enable_prefix_caching;
  if (options.kv_cache_bytes && *options.kv_cache_bytes == 0) {
    return invalid_argument("kv_cache_bytes: expected at least 1, found 0");
  }
  batch.kv_bytes = options.kv_cache_bytes.value_or(0);
  if (options.speculation == "off") {
    batch.speculation = engine::Speculation::kOff;
  } else if (options.speculation == "always") {
    batch.speculation = engine::Speculation::kAlways;
  } else if (options.speculation != "auto") {
    return invalid_argument("speculation: expected \"auto\", \"off\" or \"always\", found " +
                            base::quoted(options.speculation));
  }
  return batch;
}

// Each text as the tokens that write it, at a text's beginning and after a space.
Result<std::vector<std::vector<int32_t>>> spell(const std::vector<std::string>& texts,
                                                const text::Tokenizer& tokenizer, int64_t n_vocab) {
  std::vector<std::vector<int32_t>> spellings;
  for (const std::string& text : texts) {
    const std::string word = text.substr(std::min(text.find_first_not_of(' '), text.size()));
    if (word.empty()) return invalid_argument("bad_words: expected words, found an empty text");
    for (const std::string& written : {word, " " + word}) {
      auto ids = tokenizer.encode(written, /*add_special_tokens=*/false);
      if (!ids.ok()) return ids.status().with_context("bad_words");
      for (const int32_t id : *ids) {
        if (id < n_vocab) continue;
        return invalid_argument("bad_words: " + base::quoted(text) + " has token " + std::to_string(id) +
                                ", which is not in the model's vocabulary of " + std::to_string(n_vocab));
      }
      if (!ids->empty()) spellings.push_back(std::move(ids).value());
    }
  }
  return spellings;
}

// A template that the caller brings, with the model's BOS and EOS as its variables.
Result<text::ChatTemplate> parse_template(const std::string& source,
                                          const Result<text::Tokenizer>& tokenizer) {
  auto parsed = text::ChatTemplate::parse(source);
  if (!parsed.ok() || !tokenizer.ok()) return parsed;
  if (!tokenizer->bos_token().empty()) parsed->set_special_token("bos_token", tokenizer->bos_token());
  if (!tokenizer->eos_token().empty()) parsed->set_special_token("eos_token", tokenizer->eos_token());
  return parsed;
}

}  // namespace

Engine::Engine(std::shared_ptr<State> state) : state_(std::move(state)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Status check_engine_options(const EngineOptions& options) {
  OCTAVO_RETURN_IF_ERROR(batch_options(options).status());
  OCTAVO_RETURN_IF_ERROR(model::kv_type_from_name(options.kv_cache_dtype).status());
  return model::head_type_from_name(options.lm_head_dtype).status();
}

Result<Engine> Engine::open(const std::string& model_folder, const EngineOptions& options,
                            Progress* progress) {
  OCTAVO_RETURN_IF_ERROR(check_engine_options(options));
  auto state = std::make_shared<State>();
  OCTAVO_ASSIGN_OR_RETURN(const engine::BatchOptions batch, batch_options(options));
  OCTAVO_RETURN_IF_ERROR(state->read_text(model_folder, options));
  OCTAVO_RETURN_IF_ERROR(options.echo ? state->make_echo(options)
                                      : state->load(model_folder, options, progress));
  OCTAVO_ASSIGN_OR_RETURN(state->batch, engine::BatchEngine::start(*state->steps, batch));
  return Engine(std::move(state));
}

Status Engine::State::read_text(const std::string& model_folder, const EngineOptions& options) {
  if (options.echo && model_folder.empty() && options.tokenizer.empty()) {
    tokenizer = api::make_byte_tokenizer();
    chat_template = api::make_echo_template();
    return tokenizer.status();
  }
  tokenizer = text::Tokenizer::load(options.tokenizer.empty() ? model_folder : options.tokenizer);
  const bool may_lack =
      options.tokenizer.empty() && !options.echo && tokenizer.status().code() == StatusCode::kNotFound;
  if (!tokenizer.ok() && !may_lack) return tokenizer.status();
  if (base::is_folder(options.tokenizer)) chat_template = text::load_chat_template(options.tokenizer);
  if (!chat_template.ok()) chat_template = text::load_chat_template(model_folder);
  return {};
}

Status Engine::State::load(const std::string& model_folder, const EngineOptions& options,
                           Progress* progress) {
  OCTAVO_ASSIGN_OR_RETURN(const model::KvType kv_type, model::kv_type_from_name(options.kv_cache_dtype));
  OCTAVO_ASSIGN_OR_RETURN(const model::HeadType head_type, model::head_type_from_name(options.lm_head_dtype));
  OCTAVO_ASSIGN_OR_RETURN(
      loaded, engine::LoadedModel::load(
                  model_folder, {options.n_threads, options.max_context, kv_type, head_type}, progress));
  OCTAVO_ASSIGN_OR_RETURN(
      const api::GenerationDefaults found,
      api::read_generation_defaults(loaded->checkpoint().generation_config(),
                                    base::join_path(model_folder, "generation_config.json"),
                                    loaded->config().n_vocab));
  defaults = found.sampling;
  eos_ids = unite_eos(loaded->config(), found.eos_ids);
  OCTAVO_ASSIGN_OR_RETURN(info, describe(*loaded));
  steps = std::make_unique<engine::DecoderStepModel>(*loaded);
  return {};
}

Status Engine::State::make_echo(const EngineOptions& options) {
  constexpr int64_t kEchoContext = 4096, kMostEchoContext = int64_t{1} << 24;
  engine::EchoModel::Options echo;
  echo.n_vocab = tokenizer->id_limit();
  echo.max_context = options.max_context.value_or(kEchoContext);
  if (echo.max_context < 2 || echo.max_context > kMostEchoContext) {
    return invalid_argument("max_context: expected 2 to " + std::to_string(kMostEchoContext) + ", found " +
                            std::to_string(echo.max_context));
  }
  if (!tokenizer->eos_id()) return not_found("echo: the tokenizer names no end-of-text token (eos_token)");
  if (options.echo_step_us < 0) {
    return invalid_argument("echo_step_us: expected at least 0, found " +
                            std::to_string(options.echo_step_us));
  }
  echo.end_token = *tokenizer->eos_id();
  echo.step_time = std::chrono::microseconds(options.echo_step_us);
  echo.n_threads = std::max(1, options.n_threads);
  eos_ids = {echo.end_token};
  info.architecture = "echo";
  info.quantization = "none";
  info.n_vocab = echo.n_vocab;
  info.max_context = echo.max_context;
  info.isa = "none";
  info.n_threads = echo.n_threads;
  info.fingerprint = "echo";
  steps = std::make_unique<engine::EchoModel>(echo);
  return {};
}

const ModelInfo& Engine::model() const { return state_->info; }
const SamplingParams& Engine::default_sampling() const { return state_->defaults; }

Result<std::vector<int32_t>> Engine::tokenize(const std::string& text, bool add_special_tokens) const {
  if (!state_->tokenizer.ok()) return state_->tokenizer.status();
  return state_->tokenizer->encode(text, add_special_tokens);
}

Result<std::string> Engine::detokenize(const std::vector<int32_t>& token_ids,
                                       bool skip_special_tokens) const {
  if (!state_->tokenizer.ok()) return state_->tokenizer.status();
  return state_->tokenizer->decode(token_ids, skip_special_tokens);
}

// Text to tokens, names to numbers: the request as the batching engine takes it.
Result<engine::GenerationRequest> Engine::State::translate(const Request& request) const {
  if (!tokenizer.ok()) return tokenizer.status();
  const SamplingParams& sampling = request.sampling;
  OCTAVO_RETURN_IF_ERROR(check_sampling_params(sampling));
  engine::GenerationRequest wanted;
  wanted.prompt = request.token_ids;
  if (request.token_ids.empty()) {
    auto encoded = tokenizer->encode(request.prompt, request.add_special_tokens);
    if (!encoded.ok()) return encoded.status().with_context("prompt");
    wanted.prompt = std::move(encoded).value();
  }
  wanted.sampling = api::resolve_sampling(sampling, defaults);
  wanted.max_tokens = sampling.max_tokens ? sampling.max_tokens : defaults.max_tokens;
  if (sampling.n > 1 && wanted.sampling.temperature < engine::kGreedyTemperature) {
    return invalid_argument("n: expected 1 where sampling is greedy (a temperature of 0), found " +
                            std::to_string(sampling.n));
  }
  wanted.n_logprobs = sampling.logprobs;
  wanted.n_prompt_logprobs = sampling.prompt_logprobs;
  wanted.prompt_only = request.prompt_only;
  wanted.n_outputs = sampling.n;
  wanted.priority = request.priority;
  wanted.mask = request.mask;
  wanted.on_ready = request.on_ready;
  wanted.rules.allowed = sampling.allowed_token_ids;
  wanted.rules.bias = sampling.logit_bias;
  OCTAVO_ASSIGN_OR_RETURN(wanted.rules.forbidden, spell(sampling.bad_words, *tokenizer, info.n_vocab));
  wanted.rules.min_tokens = sampling.min_tokens;
  wanted.rules.stop_ids = sampling.stop_token_ids;
  if (!sampling.ignore_eos) {
    wanted.rules.stop_ids.insert(wanted.rules.stop_ids.end(), eos_ids.begin(), eos_ids.end());
  }
  return wanted;
}

Status Engine::check(const Request& request) const {
  OCTAVO_ASSIGN_OR_RETURN(const engine::GenerationRequest wanted, state_->translate(request));
  return state_->batch->check(wanted);
}

Result<Stream> Engine::submit(const Request& request) {
  OCTAVO_ASSIGN_OR_RETURN(engine::GenerationRequest wanted, state_->translate(request));
  const SamplingParams& sampling = request.sampling;
  std::optional<text::StreamDecoder> decoder;
  if (sampling.detokenize) {
    OCTAVO_ASSIGN_OR_RETURN(
        decoder, text::StreamDecoder::create(*state_->tokenizer, sampling.skip_special_tokens, sampling.stop,
                                             sampling.include_stop_str_in_output));
    OCTAVO_RETURN_IF_ERROR(decoder->follow(wanted.prompt));
  }
  std::vector<int32_t> prompt = wanted.prompt;
  OCTAVO_ASSIGN_OR_RETURN(auto generation, state_->batch->submit(std::move(wanted)));
  const std::optional<int32_t> untold_end = sampling.ignore_eos ? std::nullopt : state_->tokenizer->eos_id();
  return Stream(std::make_unique<Stream::Impl>(state_, std::move(generation), std::move(prompt),
                                               std::move(decoder), untold_end, request));
}

EngineStats Engine::stats() const {
  const engine::BatchCounters counters = state_->batch->counters();
  EngineStats stats;
  stats.n_steps = counters.n_steps;
  stats.n_rows = counters.n_rows;
  stats.n_mixed_steps = counters.n_mixed_steps;
  stats.n_chunked_steps = counters.n_chunked_steps;
  stats.n_copied_pages = counters.n_copied_pages;
  stats.n_prefix_hits = counters.n_prefix_hits;
  stats.n_cached_tokens = counters.n_cached_tokens;
  stats.n_drafted_tokens = counters.n_drafted;
  stats.n_accepted_tokens = counters.n_accepted;
  stats.n_preempted = counters.n_preempted;
  stats.n_cancelled = counters.n_cancelled;
  stats.n_finished = counters.n_finished;
  stats.n_running = counters.n_running;
  stats.n_waiting = counters.n_waiting;
  stats.n_pages = counters.n_pages;
  stats.n_pages_in_use = counters.n_pages_in_use;
  stats.page_tokens = engine::kPageTokens;
  return stats;
}

Result<Request> Engine::chat_request(const std::string& variables_json,
                                     const std::string& chat_template) const {
  const auto chosen =
      chat_template.empty() ? state_->chat_template : parse_template(chat_template, state_->tokenizer);
  if (!chosen.ok()) return chosen.status();
  OCTAVO_ASSIGN_OR_RETURN(const base::Json variables, base::parse_json(variables_json));
  Request request;
  OCTAVO_ASSIGN_OR_RETURN(request.prompt, chosen->render(variables));
  request.add_special_tokens = !chosen->starts_with_bos(request.prompt);
  return request;
}

}  // namespace octavo
