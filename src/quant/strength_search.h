#pragma once
// Which smoothing strengths a layer gets: each candidate is quantized for real, run on the int8 path, and
// judged by its block's output; the winner must also beat "none" on samples that the search did not see. A
// recipe may fix the strength instead.
#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "octavo/status.h"

#include "quant/block_runner.h"
#include "quant/collect.h"
#include "quant/layer_candidate.h"
#include "quant/recipe.h"

namespace octavo::quant {

// Mean squared error of a block's output, and the mean square of the float block's output.
struct BlockError {
  double error = 0, signal = 0;
  double relative() const { return signal == 0 ? 0 : error / signal; }
};
// Runs the block of `layer` (whose other block may be empty) on the task.
BlockError block_error(const model::DecoderLayer& layer, Block block, const BlockTask& task,
                       BlockRunner& runner);

struct GroupChoice {
  FoldRule rule = FoldRule::kNone;
  std::optional<double> strength;  // nothing: not smoothed
  // Of a search:
  BlockError held_out_none;  // of the block without this group's smoothing, given the earlier choices
  BlockError held_out_best;  // of the best candidate; as "none" when no candidate was better in the fit
};

struct LayerChoice {
  std::array<GroupChoice, kNSmoothGroups> groups;  // by SmoothGroup
  std::array<BlockError, 2> held_out_plain;        // by Block: nothing smoothed
  std::array<BlockError, 2> held_out_chosen;       // by Block: as it will be written
  LayerStrengths strengths() const;
};

// `cancelled` is asked between candidates; true ends the search with kCancelled.
Result<LayerChoice> search_strengths(const Recipe& recipe, const LayerSource& source,
                                     const LayerRanges& ranges, const LayerStatistics& statistics,
                                     BlockRunner& runner, const std::function<bool()>& cancelled);

}  // namespace octavo::quant
