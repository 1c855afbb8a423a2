#pragma once
// One float layer run over the calibration set: the range of every channel that a linear reads, the inputs
// and outputs of both blocks on the search samples, and the hidden states advanced to the next layer.
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "octavo/status.h"

#include "model/decoder.h"
#include "model/tap.h"
#include "quant/block_runner.h"
#include "quant/calibration_set.h"
#include "quant/observer.h"
#include "tensor/buffer.h"

namespace octavo::quant {

// What a block of the float model read and gave on some samples, rows end to end: the task that a quantized
// block is measured by.
struct BlockTask {
  std::vector<std::span<const int32_t>> sequences;  // tokens, owned by the CalibrationSet
  int64_t n_rows = 0, d_model = 0;
  tensor::Buffer input, output;  // [n_rows, d_model] f32
};

enum class Block { kAttention, kMlp };
inline constexpr std::array<Block, 2> kBlocks = {Block::kAttention, Block::kMlp};
const char* block_name(Block block);  // "attention", "mlp"

struct LayerStatistics {
  std::array<ChannelRanges, model::kNTapSites> ranges;  // by model::TapSite, [channels]
  std::array<BlockTask, 2> fit, held_out;               // by Block
};

// Advances `set`. Errors: an activation that is not finite, naming where; kCancelled, when `cancelled` (asked
// between batches) says so.
Result<LayerStatistics> collect_layer(const model::DecoderLayer& layer, CalibrationSet& set,
                                      const SearchSamples& search, BlockRunner& runner,
                                      const std::function<bool()>& cancelled);

}  // namespace octavo::quant
