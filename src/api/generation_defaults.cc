// generation_config.json to sampling defaults. Called by api/engine.cc.
#include "api/generation_defaults.h"

#include <cmath>
#include <limits>
#include <optional>
#include <random>

#include "base/text_format.h"

namespace octavo::api {

namespace {

using base::Json;

bool is_set(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && !value->is_null();
}

Status read_float(const Json& object, std::string_view key, std::optional<float>& into) {
  if (!is_set(object, key)) return {};
  OCTAVO_ASSIGN_OR_RETURN(const double value, base::get_double(object, key));
  into = static_cast<float>(value);
  return {};
}

Status read_top_k(const Json& object, std::optional<int32_t>& into) {
  if (!is_set(object, "top_k")) return {};
  OCTAVO_ASSIGN_OR_RETURN(const int64_t value, base::get_int(object, "top_k"));
  if (value < -1 || value > std::numeric_limits<int32_t>::max()) {
    return corrupt("top_k: expected -1 or 0 (all) or a positive integer, found " + std::to_string(value));
  }
  into = static_cast<int32_t>(value);
  return {};
}

Status read_max_tokens(const Json& object, std::optional<int64_t>& into) {
  if (!is_set(object, "max_new_tokens")) return {};
  OCTAVO_ASSIGN_OR_RETURN(const int64_t value, base::get_int(object, "max_new_tokens"));
  if (value < 1) return corrupt("max_new_tokens: expected at least 1, found " + std::to_string(value));
  into = value;
  return {};
}

Status read_eos(const Json& object, int64_t n_vocab, std::vector<int32_t>& ids) {
  if (!is_set(object, "eos_token_id")) return {};
  const Json& value = *object.find("eos_token_id");
  const base::JsonArray list = value.is_array() ? value.as_array() : base::JsonArray{value};
  for (const Json& id : list) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() >= n_vocab) {
      return corrupt("eos_token_id: expected token ids from 0 to " + std::to_string(n_vocab - 1) +
                     ", found " + base::quoted(id.dump()));
    }
    ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return {};
}

Status read_all(const Json& object, int64_t n_vocab, GenerationDefaults& defaults) {
  if (!object.is_object()) return corrupt(std::string("expected an object, found ") + object.type_name());
  OCTAVO_RETURN_IF_ERROR(read_float(object, "temperature", defaults.sampling.temperature));
  OCTAVO_RETURN_IF_ERROR(read_float(object, "top_p", defaults.sampling.top_p));
  OCTAVO_RETURN_IF_ERROR(read_float(object, "min_p", defaults.sampling.min_p));
  OCTAVO_RETURN_IF_ERROR(read_float(object, "repetition_penalty", defaults.sampling.repetition_penalty));
  OCTAVO_RETURN_IF_ERROR(read_top_k(object, defaults.sampling.top_k));
  OCTAVO_RETURN_IF_ERROR(read_max_tokens(object, defaults.sampling.max_tokens));
  OCTAVO_RETURN_IF_ERROR(read_eos(object, n_vocab, defaults.eos_ids));
  return engine::check_sampling(resolve_sampling({}, defaults.sampling));
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

Result<GenerationDefaults> read_generation_defaults(const Json& generation_config, const std::string& path,
                                                    int64_t n_vocab) {
  GenerationDefaults defaults;
  if (generation_config.is_null()) return defaults;
  const Status status = read_all(generation_config, n_vocab, defaults);
  if (!status.ok()) return corrupt(status.message()).with_context(path);
  return defaults;
}

engine::SamplingConfig resolve_sampling(const SamplingParams& request, const SamplingParams& defaults) {
  const auto choose = [](const auto& wanted, const auto& model, auto otherwise) {
    return wanted ? *wanted : model.value_or(otherwise);
  };
  engine::SamplingConfig config;
  config.temperature = choose(request.temperature, defaults.temperature, config.temperature);
  config.top_p = choose(request.top_p, defaults.top_p, config.top_p);
  config.top_k = choose(request.top_k, defaults.top_k, config.top_k);
  config.min_p = choose(request.min_p, defaults.min_p, config.min_p);
  config.repetition_penalty =
      choose(request.repetition_penalty, defaults.repetition_penalty, config.repetition_penalty);
  config.presence_penalty = request.presence_penalty;
  config.frequency_penalty = request.frequency_penalty;
  config.seed = request.seed ? *request.seed : random_seed();
  return config;
}

}  // namespace octavo::api

namespace octavo {

Status check_sampling_params(const SamplingParams& params) {
  OCTAVO_RETURN_IF_ERROR(engine::check_sampling(api::resolve_sampling(params, {})));
  if (params.max_tokens.value_or(1) < 1) {
    return invalid_argument("max_tokens: expected at least 1, found " + std::to_string(*params.max_tokens));
  }
  if (params.min_tokens < 0) {
    return invalid_argument("min_tokens: expected at least 0, found " + std::to_string(params.min_tokens));
  }
  if (params.max_tokens && params.min_tokens > *params.max_tokens) {
    return invalid_argument(
        "min_tokens: expected at most max_tokens = " + std::to_string(*params.max_tokens) + ", found " +
        std::to_string(params.min_tokens));
  }
  if (params.n < 1) return invalid_argument("n: expected at least 1, found " + std::to_string(params.n));
  for (const auto& [name, wanted] :
       {std::pair("logprobs", params.logprobs), std::pair("prompt_logprobs", params.prompt_logprobs)}) {
    if (wanted.value_or(0) >= -1) continue;
    return invalid_argument(std::string(name) + ": expected -1 (the whole vocabulary) or at least 0, found " +
                            std::to_string(*wanted));
  }
  for (const auto& [token, bias] : params.logit_bias) {
    if (std::abs(bias) <= kMaxLogitBias) continue;
    return invalid_argument("logit_bias['" + std::to_string(token) + "']: expected " +
                            std::to_string(-kMaxLogitBias) + " to " + std::to_string(kMaxLogitBias) +
                            ", found " + base::Json(static_cast<double>(bias)).dump());
  }
  if (!params.detokenize && !params.stop.empty()) {
    return invalid_argument("stop: texts are found in text, and detokenize is false; use stop_token_ids");
  }
  for (const std::string& stop : params.stop) {
    if (stop.empty()) return invalid_argument("stop: an empty text would end the output before it begins");
  }
  return {};
}

}  // namespace octavo
