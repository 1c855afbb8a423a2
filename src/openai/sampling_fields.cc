// Sampling fields of a request to SamplingParams. Names, defaults and meaning are vLLM's where OpenAI has no
// such field. Called by chat_completion.cc and completion.cc.
#include "openai/sampling_fields.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/text_format.h"

namespace octavo::openai {

namespace {

using base::Json;

std::string range(int64_t low, int64_t high, int64_t found) {
  return "expected " + std::to_string(low) + " to " + std::to_string(high) + ", found " +
         std::to_string(found);
}

// {"123": -100}: token ids as keys, since JSON has no others.
Status read_logit_bias(const Json& value, std::vector<std::pair<int32_t, float>>& into) {
  if (!value.is_object()) return wrong_type("logit_bias", "an object of token ids and biases", value);
  for (const auto& [key, bias] : value.as_object()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0) {
      return invalid_argument("logit_bias: expected token ids as keys, found " + base::quoted(key));
    }
    if (!bias.is_number()) return wrong_type("logit_bias['" + key + "']", "a number", bias);
    // Far out of range is out of range as a float too.
    constexpr double kMost = std::numeric_limits<float>::max();
    into.emplace_back(id, static_cast<float>(std::clamp(bias.as_double(), -kMost, kMost)));
  }
  return {};
}

// Seeds are 64 bits; negative ones are taken as their two's complement, and -1 asks for no seed, as in vLLM.
Status read_seed(const Json& value, std::optional<uint64_t>& into) {
  if (!value.is_int()) return wrong_type("seed", "an integer that fits into 64 bits", value);
  if (value.as_int() != -1) into = static_cast<uint64_t>(value.as_int());
  return {};
}

// How a stream is cut and accounted: nothing to a whole answer.
Status read_stream_options(const Json& value) {
  if (!value.is_object()) return wrong_type("stream_options", "an object", value);
  FieldReader reader(value);
  reader.ignore({"include_usage", "include_obfuscation", "continuous_usage_stats"});
  return reader.finish().with_context("stream_options");
}

Status read_response_format(const Json& value) {
  const Json* type = value.find("type");
  if (type == nullptr || !type->is_string())
    return wrong_type("response_format", "an object with a type", value);
  if (type->as_string() == "text") return {};
  return unsupported("response_format: only the type 'text' is supported, found " +
                     base::quoted(type->as_string()));
}

void read_sampling(FieldReader& reader, SamplingParams& sampling) {
  reader.read("temperature", sampling.temperature);
  reader.read("top_p", sampling.top_p);
  reader.read("top_k", sampling.top_k);
  reader.read("min_p", sampling.min_p);
  reader.read("repetition_penalty", sampling.repetition_penalty);
  reader.read("presence_penalty", sampling.presence_penalty);
  reader.read("frequency_penalty", sampling.frequency_penalty);
  reader.read("max_tokens", sampling.max_tokens);
  reader.read("min_tokens", sampling.min_tokens);
  reader.read("n", sampling.n);
  if (sampling.n < 1 || sampling.n > kMaxChoices) {
    reader.fail(invalid_argument("n: " + range(1, kMaxChoices, sampling.n)));
  }
  std::optional<int32_t>& of_prompt = sampling.prompt_logprobs;
  reader.read("prompt_logprobs", of_prompt);
  if (of_prompt && (*of_prompt < 0 || *of_prompt > kMaxTopLogprobs)) {
    reader.fail(invalid_argument("prompt_logprobs: " + range(0, kMaxTopLogprobs, *of_prompt)));
  }
  reader.read("include_stop_str_in_output", sampling.include_stop_str_in_output);
  reader.read("ignore_eos", sampling.ignore_eos);
  reader.read("skip_special_tokens", sampling.skip_special_tokens);
  reader.read_with("seed", [&](const Json& value) { return read_seed(value, sampling.seed); });
  reader.read_with("logit_bias",
                   [&](const Json& value) { return read_logit_bias(value, sampling.logit_bias); });
  const auto texts = [&](std::string_view name, std::vector<std::string>& into) {
    reader.read_with(name, [&, name](const Json& value) -> Status {
      OCTAVO_ASSIGN_OR_RETURN(into, read_texts(name, value));
      return {};
    });
  };
  const auto token_ids = [&](std::string_view name, std::vector<int32_t>& into) {
    reader.read_with(name, [&, name](const Json& value) -> Status {
      OCTAVO_ASSIGN_OR_RETURN(into, read_token_ids(name, value));
      return {};
    });
  };
  texts("stop", sampling.stop);
  texts("bad_words", sampling.bad_words);
  token_ids("stop_token_ids", sampling.stop_token_ids);
  reader.read_with("allowed_token_ids", [&](const Json& value) -> Status {
    OCTAVO_ASSIGN_OR_RETURN(sampling.allowed_token_ids, read_token_ids("allowed_token_ids", value));
    if (!sampling.allowed_token_ids.empty()) return {};
    return invalid_argument("allowed_token_ids: expected at least one token id, found none");
  });
}

}  // namespace

void read_shared_fields(FieldReader& reader, SharedFields& into) {
  reader.read("model", into.model);
  read_sampling(reader, into.sampling);
  reader.read("priority", into.priority);
  reader.read("stream", into.stream);
  reader.read_with("stream_options", read_stream_options);
  reader.read("return_token_ids", into.return_token_ids);
  reader.read("return_tokens_as_token_ids", into.tokens_as_ids);
  reader.read_with("add_special_tokens", [&](const Json& value) -> Status {
    if (!value.is_bool()) return wrong_type("add_special_tokens", "a boolean", value);
    into.add_special_tokens = value.as_bool();
    return {};
  });
  reader.read_with("response_format", read_response_format);
  // Who asks, what is billed and how fast: nothing that changes an answer.
  reader.ignore({"user", "metadata", "store", "safety_identifier", "prompt_cache_key",
                 "prompt_cache_retention", "service_tier", "spaces_between_special_tokens", "request_id"});
  reader.refuse({"use_beam_search", "structured_outputs", "guided_json", "guided_regex", "guided_choice",
                 "guided_grammar", "truncate_prompt_tokens", "logits_processors", "cache_salt",
                 "kv_transfer_params", "vllm_xargs", "thinking_token_budget", "repetition_detection",
                 "logprob_token_ids", "mm_processor_kwargs"});
  reader.read_with("length_penalty", [](const Json& value) -> Status {  // beam search's alone
    if (value.is_number() && value.as_double() == 1) return {};
    return unsupported("length_penalty: only 1 is supported, found " + value.dump());
  });
}

}  // namespace octavo::openai
