#pragma once
// The quantized checkpoint on its way to disk: tensors in the plan's order, each remembered by a checksum of
// what was computed, and the files that a model folder has beside its weights.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "base/threads.h"
#include "format/checkpoint.h"
#include "format/safetensors_writer.h"
#include "quant/layer_candidate.h"
#include "quant/stored_linear.h"
#include "quant/target_plan.h"
#include "tensor/buffer.h"

namespace octavo::quant {

// What a layer's folds and rounding made, as the file stores it: codes, scales, norms, folded weights and
// biases. Takes the candidates' codes. Errors: a bias that its type cannot hold.
Result<std::vector<ComputedTensor>> computed_tensors(const format::Checkpoint& checkpoint,
                                                     const LayerSource& source, const LayerFolds& folds,
                                                     std::array<BlockCandidate, 2> blocks,
                                                     QuantLayout layout);

class TargetWriter {
 public:
  static Result<TargetWriter> create(const std::string& folder, const TargetPlan& plan,
                                     uint64_t max_shard_bytes, QuantLayout layout);

  // Writes `tensors` of the plan, each from `computed` or, where that has none, byte for byte from the
  // source. Errors: a copied float that is not finite, naming tensor and file.
  Status write(const std::vector<format::TensorSpec>& tensors, const format::Checkpoint& source,
               const std::vector<ComputedTensor>& computed);
  Status finish();
  // Reads the written folder again and compares every tensor with what was computed.
  Status compare(const std::string& folder, base::ThreadPool& pool) const;

 private:
  explicit TargetWriter(format::ShardedWriter writer) : writer_(std::move(writer)) {}
  format::ShardedWriter writer_;
  std::map<std::string, uint64_t> checksums_;  // by tensor name
};

// Names of the files that a quantized folder takes from its source: tokenizer, chat template, generation
// defaults, licence.
Result<std::vector<std::string>> carried_files(const std::string& source);
Status carry_files(const std::string& source, const std::vector<std::string>& names,
                   const std::string& target);

}  // namespace octavo::quant
