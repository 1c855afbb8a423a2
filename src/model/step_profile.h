#pragma once
// Where the time of forward passes goes: the caller's clock, read between two operations. A model without a
// profile reads no clock.
#include <array>
#include <chrono>
#include <cstddef>

namespace octavo::model {

enum class Operation {
  kEmbed,
  kNorm,  // with the conversion to int8 or bf16 rows
  kQkv,
  kRopeKvWrite,  // with the norms of q and k
  kAttention,
  kAttentionRows,  // its output to the rows that o_proj reads
  kOutput,
  kGateUp,  // of int8, with silu * up, and all of kSilu where down_proj's input is static
  kSilu,    // with the conversion to the rows that down_proj reads
  kDown,
  kHead
};
inline constexpr std::array kOperationNames = {"embed",     "norm",           "q, k, v", "rope, kv write",
                                               "attention", "attention rows", "o_proj",  "gate, up",
                                               "silu * up", "down_proj",      "lm_head"};

class StepProfile {
 public:
  // The time from here on belongs to what ends next.
  void begin() { last_ = Clock::now(); }
  void end(Operation operation) {
    const Clock::time_point now = Clock::now();
    seconds_[static_cast<size_t>(operation)] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  const std::array<double, kOperationNames.size()>& seconds() const { return seconds_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
  std::array<double, kOperationNames.size()> seconds_ = {};
};

}  // namespace octavo::model
