// The engine for Python. Called by octavo.LLM and octavo.AsyncLLM.
#include "octavo/engine.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "errors.h"
#include "interrupt.h"
#include "ready_queue.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace octavo::python {

namespace {

void bind_options(nb::module_& module) {
  nb::class_<EngineOptions>(module, "EngineOptions", "How an Engine is opened.")
      .def(nb::init<>())
      .def(
          "check", [](const EngineOptions& options) { check(check_engine_options(options)); },
          "Refuses what is out of range for every model, by name.")
      .def_rw("n_threads", &EngineOptions::n_threads, "0: every core.")
      .def_rw("max_context", &EngineOptions::max_context,
              "Tokens; None: the model's, as far as memory allows.")
      .def_rw("tokenizer", &EngineOptions::tokenizer, "A folder or a tokenizer.json; empty: the model's.")
      .def_rw("max_num_seqs", &EngineOptions::max_num_seqs, "Outputs that run at once.")
      .def_rw("max_num_batched_tokens", &EngineOptions::max_num_batched_tokens, "Of one step.")
      .def_rw("max_waiting", &EngineOptions::max_waiting, "Outputs; more are refused.")
      .def_rw("kv_cache_bytes", &EngineOptions::kv_cache_bytes, "None: chosen from the memory at hand.")
      .def_rw("kv_cache_dtype", &EngineOptions::kv_cache_dtype, "\"auto\" or \"int8\".")
      .def_rw("lm_head_dtype", &EngineOptions::lm_head_dtype, "\"auto\" or \"int8\".")
      .def_rw("enable_prefix_caching", &EngineOptions::enable_prefix_caching)
      .def_rw("speculation", &EngineOptions::speculation, "\"auto\", \"off\" or \"always\".")
      .def_rw("echo", &EngineOptions::echo, "No weights: the answer is the prompt.")
      .def_rw("echo_step_us", &EngineOptions::echo_step_us, "Microseconds of a step of the echo, at least.");
}

void bind_sampling(nb::module_& module) {
  module.attr("MAX_LOGIT_BIAS") = kMaxLogitBias;
  nb::class_<SamplingParams>(module, "SamplingParams",
                             "Of one request. None: the model's default, then vLLM's.")
      .def(nb::init<>())
      .def(
          "check", [](const SamplingParams& params) { check(check_sampling_params(params)); },
          "ValueError naming the first value that is out of range for every model.")
      .def_rw("temperature", &SamplingParams::temperature)
      .def_rw("top_p", &SamplingParams::top_p)
      .def_rw("top_k", &SamplingParams::top_k)
      .def_rw("min_p", &SamplingParams::min_p)
      .def_rw("repetition_penalty", &SamplingParams::repetition_penalty)
      .def_rw("presence_penalty", &SamplingParams::presence_penalty)
      .def_rw("frequency_penalty", &SamplingParams::frequency_penalty)
      .def_rw("seed", &SamplingParams::seed)
      .def_rw("n", &SamplingParams::n)
      .def_rw("max_tokens", &SamplingParams::max_tokens)
      .def_rw("min_tokens", &SamplingParams::min_tokens)
      .def_rw("stop", &SamplingParams::stop)
      .def_rw("stop_token_ids", &SamplingParams::stop_token_ids)
      .def_rw("include_stop_str_in_output", &SamplingParams::include_stop_str_in_output)
      .def_rw("ignore_eos", &SamplingParams::ignore_eos)
      .def_rw("skip_special_tokens", &SamplingParams::skip_special_tokens)
      .def_rw("detokenize", &SamplingParams::detokenize)
      .def_rw("logprobs", &SamplingParams::logprobs)
      .def_rw("prompt_logprobs", &SamplingParams::prompt_logprobs)
      .def_rw("logit_bias", &SamplingParams::logit_bias)
      .def_rw("allowed_token_ids", &SamplingParams::allowed_token_ids)
      .def_rw("bad_words", &SamplingParams::bad_words);
}

std::vector<Delta> take_deltas(Stream& stream) {
  std::vector<Delta> deltas;
  for (;;) {
    auto delta = stream.poll();
    if (delta.status().code() == StatusCode::kCancelled) return deltas;  // not by Ctrl-C
    std::optional<Delta> found = unwrap(std::move(delta));
    if (!found) return deltas;
    deltas.push_back(std::move(*found));
  }
}

// ready: told `key` whenever the stream has something.
Stream submit(Engine& engine, const std::string& prompt, const std::vector<int32_t>& token_ids,
              bool add_special_tokens, const SamplingParams& sampling, int32_t priority,
              const ReadyQueue* ready, int64_t key) {
  Request request{prompt,  token_ids, add_special_tokens,   sampling, priority,
                  nullptr, nullptr,   /*prompt_only=*/false};
  if (ready != nullptr) request.on_ready = ready->teller(key);
  return unwrap(without_gil([&] { return engine.submit(request); }));
}

void check_request(const Engine& engine, const std::vector<int32_t>& token_ids,
                   const SamplingParams& sampling) {
  Request request;
  request.token_ids = token_ids;
  request.add_special_tokens = false;
  request.sampling = sampling;
  check(without_gil([&] { return engine.check(request); }));
}

void bind_stream(nb::module_& module) {
  nb::class_<TokenLogprob>(module, "TokenLogprob")
      .def_ro("id", &TokenLogprob::id)
      .def_ro("logprob", &TokenLogprob::logprob, "Natural logarithm.")
      .def_ro("rank", &TokenLogprob::rank, "1 is the likeliest; among equals the lower id comes first.");
  nb::class_<TokenScore>(module, "TokenScore")
      .def_ro("token", &TokenScore::token)
      .def_ro("top", &TokenScore::top, "Most likely first.");
  nb::class_<Delta>(module, "Delta", "What a Stream gives at a time.")
      .def_ro("index", &Delta::index, "Which of the request's n outputs.")
      .def_ro("text", &Delta::text)
      .def_ro("token_ids", &Delta::token_ids)
      .def_ro("logprobs", &Delta::logprobs)
      .def_ro("prompt_logprobs", &Delta::prompt_logprobs,
              "In the first Delta: of the tokens 1, 2, ... of the prompt.")
      .def_prop_ro("finish_reason",
                   [](const Delta& delta) -> std::optional<std::string> {
                     if (delta.finish == FinishReason::kNone) return std::nullopt;
                     return finish_reason_name(delta.finish);
                   })
      .def_ro("stop_text", &Delta::stop_text)
      .def_ro("stop_token", &Delta::stop_token);
  nb::class_<Stream>(module, "Stream", "A request under way; for one thread at a time.")
      .def("take", &take_deltas, "What is there without waiting; nothing more after a cancellation.")
      .def_prop_ro("finished", &Stream::finished, "Whether nothing more comes.")
      .def("cancel", &Stream::cancel, "Ends the request before the engine's next step.")
      .def_prop_ro("stats", &Stream::stats);
}

void bind_stats(nb::module_& module) {
  nb::class_<StreamStats>(module, "StreamStats",
                          "Times are of time.monotonic(); 0 where it has not come to that.")
      .def_ro("n_prompt_tokens", &StreamStats::n_prompt_tokens)
      .def_ro("n_output_tokens", &StreamStats::n_output_tokens)
      .def_ro("n_cached_tokens", &StreamStats::n_cached_tokens, "Of the prompt.")
      .def_ro("arrived", &StreamStats::arrived)
      .def_ro("scheduled", &StreamStats::scheduled)
      .def_ro("first_token", &StreamStats::first_token)
      .def_ro("last_token", &StreamStats::last_token);
  nb::class_<EngineStats>(module, "EngineStats", "Since the engine was opened, and now.")
      .def_ro("n_steps", &EngineStats::n_steps)
      .def_ro("n_rows", &EngineStats::n_rows, "Tokens that the steps ran.")
      .def_ro("n_mixed_steps", &EngineStats::n_mixed_steps)
      .def_ro("n_chunked_steps", &EngineStats::n_chunked_steps)
      .def_ro("n_prefix_hits", &EngineStats::n_prefix_hits)
      .def_ro("n_cached_tokens", &EngineStats::n_cached_tokens)
      .def_ro("n_copied_pages", &EngineStats::n_copied_pages)
      .def_ro("n_drafted_tokens", &EngineStats::n_drafted_tokens)
      .def_ro("n_accepted_tokens", &EngineStats::n_accepted_tokens)
      .def_ro("n_preempted", &EngineStats::n_preempted)
      .def_ro("n_cancelled", &EngineStats::n_cancelled)
      .def_ro("n_finished", &EngineStats::n_finished)
      .def_ro("n_running", &EngineStats::n_running)
      .def_ro("n_waiting", &EngineStats::n_waiting)
      .def_ro("n_pages", &EngineStats::n_pages)
      .def_ro("n_pages_in_use", &EngineStats::n_pages_in_use)
      .def_ro("page_tokens", &EngineStats::page_tokens);
}

void bind_ready_queue(nb::module_& module) {
  nb::class_<ReadyQueue>(module, "ReadyQueue", "Which of many streams have something to take.")
      .def(nb::init<>())
      .def("take", &ReadyQueue::take, "The keys of those that have, since the last call.")
      .def(
          "wait",
          [](ReadyQueue& queue) {
            const InterruptibleProgress interrupts{nb::none()};
            auto keys = without_gil([&] { return queue.wait(interrupts); });
            interrupts.check({});
            return keys;
          },
          "The same, at least one.")
      .def("fileno", &ReadyQueue::descriptor, "Readable while take() has something.");
}

Engine open(const std::string& model, const EngineOptions* given, nb::object progress) {
  const EngineOptions options = given == nullptr ? EngineOptions() : *given;
  InterruptibleProgress reporter(std::move(progress));
  auto engine = without_gil([&] { return Engine::open(model, options, &reporter); });
  reporter.check(engine.status());
  return unwrap(std::move(engine));
}

using LogitsArray = nb::ndarray<nb::numpy, float, nb::shape<-1, -1>>;

LogitsArray logits(Engine& engine, const std::vector<int32_t>& token_ids) {
  const InterruptibleProgress interrupts{nb::none()};
  auto result = without_gil([&] { return engine.logits(token_ids, &interrupts); });
  interrupts.check(result.status());
  auto values = std::make_unique<std::vector<float>>(unwrap(std::move(result)));
  float* data = values->data();
  const nb::capsule owner(values.get(),
                          [](void* memory) noexcept { delete static_cast<std::vector<float>*>(memory); });
  values.release();  // the array's from here on
  return LogitsArray(data, {token_ids.size(), static_cast<size_t>(engine.model().n_vocab)}, owner);
}

nb::dict describe(const ModelInfo& info) {
  nb::dict out;
  out["architecture"] = info.architecture;
  out["quantization"] = info.quantization;
  out["n_layers"] = info.n_layers;
  out["n_vocab"] = info.n_vocab;
  out["max_context"] = info.max_context;
  out["weight_bytes"] = info.weight_bytes;
  out["isa"] = info.isa;
  out["n_threads"] = info.n_threads;
  out["fingerprint"] = info.fingerprint;
  return out;
}

}  // namespace

void bind_engine(nb::module_& module) {
  bind_options(module);
  bind_sampling(module);
  bind_stream(module);
  bind_stats(module);
  bind_ready_queue(module);
  nb::class_<Engine>(module, "Engine", "A model folder in memory.")
      .def(nb::new_(&open), "model"_a, "options"_a.none() = nb::none(), "progress"_a.none() = nb::none())
      .def_prop_ro(
          "info", [](const Engine& engine) { return describe(engine.model()); },
          nb::sig("def info(self) -> dict[str, typing.Any]"))
      .def_prop_ro("default_sampling", &Engine::default_sampling, "What generation_config.json sets.")
      .def("submit", &submit, "prompt"_a, "token_ids"_a, "add_special_tokens"_a, "sampling"_a,
           "priority"_a = 0, "ready"_a.none() = nb::none(), "key"_a = 0,
           "Does not wait. token_ids are used instead of prompt when there are any; ready is told key "
           "whenever "
           "the stream has something to take.")
      .def("check", &check_request, "token_ids"_a, "sampling"_a,
           "Raises what submit() would raise however little is under way.")
      .def_prop_ro("stats", &Engine::stats)
      .def(
          "chat_prompt",
          [](const Engine& engine, const std::string& variables_json, const std::string& chat_template) {
            const Request request = unwrap(engine.chat_request(variables_json, chat_template));
            return std::pair(request.prompt, request.add_special_tokens);
          },
          "variables_json"_a, "chat_template"_a = "",
          "The prompt text and add_special_tokens of a chat; chat_template is Jinja text, empty is the "
          "model's.")
      .def(
          "tokenize",
          [](const Engine& engine, const std::string& text, bool add_special_tokens) {
            return unwrap(without_gil([&] { return engine.tokenize(text, add_special_tokens); }));
          },
          "text"_a, "add_special_tokens"_a = true)
      .def("logits", &logits, "token_ids"_a,
           "The logits after every token, [len(token_ids), n_vocab] in fp32; the array owns them, nothing is "
           "copied.");
}

}  // namespace octavo::python
