#pragma once
// A float layer, and the int8 layer that a choice of smoothing strengths makes of it: which linears take
// which factors, and the folded, rounded weights.
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "octavo/status.h"

#include "base/threads.h"
#include "format/checkpoint.h"
#include "model/config.h"
#include "model/weights.h"
#include "quant/collect.h"
#include "quant/policy.h"
#include "quant/recipe.h"
#include "quant/round/rtn.h"
#include "tensor/dtype.h"

namespace octavo::quant {

// A layer as the checkpoint has it.
struct LayerSource {
  int64_t layer = 0;
  const model::ModelConfig* config = nullptr;
  LayerPolicy policy;
  model::LayerWeights weights;  // float
  // The types in which the file stores them (weights of F16 are F32 in memory).
  std::array<tensor::DType, model::kNLinearSlots> storage{};
  tensor::DType input_norm_storage{}, post_attention_norm_storage{};
};
Result<LayerSource> read_layer_source(const format::Checkpoint& checkpoint, const model::ModelConfig& config,
                                      int64_t layer, const LayerPolicy& policy);

// Whether and how a group may be smoothed. A factor goes into float weights only as a power of two, so that
// folding does not round them; a bias in front of v's or up's rows counts as float.
enum class FoldRule { kNone, kAny, kPowersOfTwo };
FoldRule fold_rule(const Recipe& recipe, const LayerSource& source, SmoothGroup group);

Block block_of(SmoothGroup group);
std::vector<model::LinearSlot> slots_of(Block block);

// The strength that a recipe with a fixed one gives a group of this layer.
double fixed_strength(const Recipe& recipe, const LayerSource& source, SmoothGroup group);

// By SmoothGroup: strength a, or nothing: not smoothed.
using LayerStrengths = std::array<std::optional<double>, kNSmoothGroups>;

// Ranges of the channels that a group's factors belong to, over the calibration set and the original weights.
struct GroupRanges {
  std::vector<float> x_absmax, w_absmax;
  ChannelRanges x;  // of every column of the consumers
};
using LayerRanges = std::array<GroupRanges, kNSmoothGroups>;  // by SmoothGroup
LayerRanges measure_ranges(const LayerSource& source, const LayerStatistics& statistics,
                           base::ThreadPool& pool);

// Everything that a choice of strengths does to a layer; empty vectors change nothing.
struct LayerFolds {
  std::vector<float> input_norm, post_attention_norm;  // the new weights
  std::array<std::vector<float>, model::kNLinearSlots> column_factor, row_divisor;
  std::array<std::optional<model::StaticInput>, model::kNLinearSlots> input;  // of smoothed activations

  WeightFold of(model::LinearSlot slot) const {
    return {column_factor[static_cast<size_t>(slot)], row_divisor[static_cast<size_t>(slot)]};
  }
  bool changes(model::LinearSlot slot) const {
    return !of(slot).column_factor.empty() || !of(slot).row_divisor.empty();
  }
};
LayerFolds make_folds(const Recipe& recipe, const LayerSource& source, const LayerRanges& ranges,
                      const LayerStrengths& strengths);

// One block of the candidate: the norms and the block's linears as they would be written; the other block's
// linears are empty.
struct BlockCandidate {
  model::LayerWeights weights;
  std::array<RoundingError, model::kNLinearSlots> error;  // of the int8 ones
};
// kUnsupported: a float weight cannot take its factors exactly, so this choice is none. With `made`, as a
// search wants it: the linears that are the same under these other folds stay empty too, and no error is
// measured.
Result<BlockCandidate> build_block(const LayerSource& source, const LayerFolds& folds, Block block,
                                   base::ThreadPool& pool, const LayerFolds* made = nullptr);

}  // namespace octavo::quant
