#pragma once
// cos and sin of position * inv_freq, [n_positions, head_dim / 2] each; grown on demand, same bits however it
// grows.
#include <cstdint>
#include <vector>

namespace octavo::model {

struct ModelConfig;

class RopeTable {
 public:
  explicit RopeTable(const ModelConfig& config);
  // Rows of positions 0 … n_positions - 1 exist afterwards. Not thread-safe; moves the rows made before.
  void reserve(int64_t n_positions);
  const float* cosine(int64_t position) const;  // [head_dim / 2], followed by the next position's
  const float* sine(int64_t position) const;
  const std::vector<float>& inv_freq() const { return inv_freq_; }

 private:
  std::vector<float> inv_freq_;  // [head_dim / 2]
  std::vector<float> cosine_, sine_;
};

}  // namespace octavo::model
