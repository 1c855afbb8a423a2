// The engine for Python. Called by octavo.LLM.
#include "octavo/engine.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "errors.h"
#include "interrupt.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace octavo::python {

namespace {

void bind_sampling(nb::module_& module) {
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
      .def_rw("max_tokens", &SamplingParams::max_tokens)
      .def_rw("min_tokens", &SamplingParams::min_tokens)
      .def_rw("stop", &SamplingParams::stop)
      .def_rw("stop_token_ids", &SamplingParams::stop_token_ids)
      .def_rw("include_stop_str_in_output", &SamplingParams::include_stop_str_in_output)
      .def_rw("ignore_eos", &SamplingParams::ignore_eos)
      .def_rw("skip_special_tokens", &SamplingParams::skip_special_tokens)
      .def_rw("detokenize", &SamplingParams::detokenize)
      .def_rw("logprobs", &SamplingParams::logprobs)
      .def_rw("logit_bias", &SamplingParams::logit_bias)
      .def_rw("allowed_token_ids", &SamplingParams::allowed_token_ids)
      .def_rw("bad_words", &SamplingParams::bad_words);
}

void bind_stream(nb::module_& module) {
  nb::class_<TokenLogprob>(module, "TokenLogprob")
      .def_ro("id", &TokenLogprob::id)
      .def_ro("logprob", &TokenLogprob::logprob, "Natural logarithm.")
      .def_ro("rank", &TokenLogprob::rank, "1 is the likeliest; among equals the lower id comes first.");
  nb::class_<TokenScore>(module, "TokenScore")
      .def_ro("token", &TokenScore::token)
      .def_ro("top", &TokenScore::top, "Most likely first.");
  nb::class_<ScoredPosition>(module, "ScoredPosition")
      .def_ro("token", &ScoredPosition::token, "At this position, given those before; None for the first.")
      .def_ro("top", &ScoredPosition::top, "The distribution after this position, most likely first.");
  nb::class_<Delta>(module, "Delta", "What one step of a Stream gives.")
      .def_ro("text", &Delta::text)
      .def_ro("token_ids", &Delta::token_ids)
      .def_ro("logprobs", &Delta::logprobs)
      .def_prop_ro("finish_reason",
                   [](const Delta& delta) -> std::optional<std::string> {
                     if (delta.finish == FinishReason::kNone) return std::nullopt;
                     return finish_reason_name(delta.finish);
                   })
      .def_ro("stop_text", &Delta::stop_text)
      .def_ro("stop_token", &Delta::stop_token);
  nb::class_<Stream>(module, "Stream", "A request under way; for one thread at a time.")
      .def(
          "next",
          [](Stream& stream) {
            const InterruptibleProgress interrupts{nb::none()};
            auto delta = without_gil([&] { return stream.next(&interrupts); });
            interrupts.check(delta.status());
            return unwrap(std::move(delta));
          },
          "Runs the model for a step. None after the Delta that has a finish_reason.")
      .def_prop_ro("n_prompt_tokens", [](const Stream& stream) { return stream.stats().n_prompt_tokens; });
}

Engine open(const std::string& model, int n_threads, std::optional<int64_t> max_context,
            const std::string& tokenizer, nb::object progress) {
  const EngineOptions options{.n_threads = n_threads, .max_context = max_context, .tokenizer = tokenizer};
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
  bind_sampling(module);
  bind_stream(module);
  nb::class_<Engine>(module, "Engine", "A model folder in memory.")
      .def(nb::new_(&open), "model"_a, "n_threads"_a = 0, "max_context"_a.none() = nb::none(),
           "tokenizer"_a = "", "progress"_a.none() = nb::none())
      .def_prop_ro(
          "info", [](const Engine& engine) { return describe(engine.model()); },
          nb::sig("def info(self) -> dict[str, typing.Any]"))
      .def_prop_ro("default_sampling", &Engine::default_sampling, "What generation_config.json sets.")
      .def(
          "submit",
          [](Engine& engine, const std::string& prompt, const std::vector<int32_t>& token_ids,
             bool add_special_tokens, const SamplingParams& sampling) {
            const Request request{prompt, token_ids, add_special_tokens, sampling};
            return unwrap(without_gil([&] { return engine.submit(request); }));
          },
          "prompt"_a, "token_ids"_a, "add_special_tokens"_a, "sampling"_a,
          "token_ids are used instead of prompt when there are any.")
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
           "copied.")
      .def(
          "score",
          [](Engine& engine, const std::vector<int32_t>& token_ids, int32_t top_n) {
            const InterruptibleProgress interrupts{nb::none()};
            auto scores = without_gil([&] { return engine.score(token_ids, top_n, &interrupts); });
            interrupts.check(scores.status());
            return unwrap(std::move(scores));
          },
          "token_ids"_a, "top_n"_a = 0,
          "Log-probabilities of every token given those before it, and the top_n best after every position.");
}

}  // namespace octavo::python
