// The order is vLLM's: allowed tokens, bad words, minimum length, bias. Called by engine/sequence.cc and
// engine/batch_request.cc.
#include "engine/token_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/check.h"

namespace octavo::engine {

namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

Status check_id(int32_t id, int64_t n_vocab, const std::string& field) {
  if (id >= 0 && id < n_vocab) return {};
  return invalid_argument(field + ": token " + std::to_string(id) + " is not in the model's vocabulary of " +
                          std::to_string(n_vocab));
}

void keep_allowed(std::span<float> logits, const std::vector<int32_t>& allowed, std::vector<float>& scratch) {
  scratch.clear();
  for (const int32_t id : allowed) scratch.push_back(logits[static_cast<size_t>(id)]);
  std::fill(logits.begin(), logits.end(), kForbidden);
  for (size_t i = 0; i < allowed.size(); ++i) logits[static_cast<size_t>(allowed[i])] = scratch[i];
}

bool ends_with(std::span<const int32_t> output, std::span<const int32_t> tail) {
  return output.size() >= tail.size() && std::ranges::equal(output.last(tail.size()), tail);
}

}  // namespace

Status check_rules(const TokenRules& rules, int64_t n_vocab) {
  const auto entry = [](const char* field, size_t i) {
    return std::string(field) + "[" + std::to_string(i) + "]";
  };
  for (size_t i = 0; i < rules.allowed.size(); ++i) {
    OCTAVO_RETURN_IF_ERROR(check_id(rules.allowed[i], n_vocab, entry("allowed_token_ids", i)));
  }
  for (size_t i = 0; i < rules.stop_ids.size(); ++i) {
    OCTAVO_RETURN_IF_ERROR(check_id(rules.stop_ids[i], n_vocab, entry("stop_token_ids", i)));
  }
  for (const auto& [id, bias] : rules.bias) {
    OCTAVO_RETURN_IF_ERROR(check_id(id, n_vocab, "logit_bias"));
    if (!std::isfinite(bias)) {
      return invalid_argument("logit_bias of token " + std::to_string(id) + ": expected a finite number");
    }
  }
  for (size_t i = 0; i < rules.forbidden.size(); ++i) {
    for (const int32_t id : rules.forbidden[i]) {
      OCTAVO_RETURN_IF_ERROR(check_id(id, n_vocab, entry("bad_words", i)));
    }
  }
  return {};
}

void apply_rules(std::span<float> logits, const TokenRules& rules, std::span<const int32_t> output,
                 std::vector<float>& scratch) {
  if (!rules.allowed.empty()) keep_allowed(logits, rules.allowed, scratch);
  for (const std::vector<int32_t>& sequence : rules.forbidden) {
    OCTAVO_CHECK(!sequence.empty());
    if (ends_with(output, std::span(sequence).first(sequence.size() - 1))) {
      logits[static_cast<size_t>(sequence.back())] = kForbidden;
    }
  }
  if (static_cast<int64_t>(output.size()) < rules.min_tokens) {
    for (const int32_t id : rules.stop_ids) logits[static_cast<size_t>(id)] = kForbidden;
  }
  for (const auto& [id, bias] : rules.bias) logits[static_cast<size_t>(id)] += bias;
}

}  // namespace octavo::engine
