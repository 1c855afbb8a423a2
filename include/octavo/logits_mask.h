#pragma once
// The seam for structured output: what restricts a request's next token by rules of its own, such as a
// grammar.
#include <cstdint>
#include <memory>
#include <span>

namespace octavo {

class LogitsMask {
 public:
  virtual ~LogitsMask() = default;
  // Called before each token of one output, in order, never twice at once: -infinity in `logits` [n_vocab]
  // forbids a token. `output`: the tokens so far. Called for guessed tokens too, so `output` may be shorter
  // than at the call before. The mask must be a function of `output` alone, or answers would depend on how
  // requests are scheduled.
  virtual void apply(std::span<const int32_t> output, std::span<float> logits) = 0;
  // For another of a request's n outputs, before any token.
  virtual std::unique_ptr<LogitsMask> clone() const = 0;
};

}  // namespace octavo
