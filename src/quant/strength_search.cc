// One strength per group and layer (llm-compressor and the paper have one for the whole model): the groups of
// a block one after the other, each given the earlier choices, all linears of the block quantized in every
// candidate. "none" is a candidate and wins ties, so smoothing never ends worse than plain rounding on the
// samples held out. Called by pipeline.cc.
#include "quant/strength_search.h"

#include <algorithm>
#include <utility>

#include "tensor/buffer.h"

namespace octavo::quant {
namespace {

// Sum of (a - b)^2 and of b^2 over rows of n; rows in parallel, added up in order.
BlockError compare_rows(const float* a, const float* b, int64_t n_rows, int64_t n, base::ThreadPool& pool) {
  std::vector<BlockError> rows(static_cast<size_t>(n_rows));
  constexpr int64_t kRowsPerTask = 16;
  pool.parallel_for((n_rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
    const int64_t end = std::min(n_rows, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) {
      BlockError sum;
      for (int64_t j = row * n; j < (row + 1) * n; ++j) {
        const double delta = static_cast<double>(a[j]) - static_cast<double>(b[j]);
        sum.error += delta * delta;
        sum.signal += static_cast<double>(b[j]) * static_cast<double>(b[j]);
      }
      rows[static_cast<size_t>(row)] = sum;
    }
  });
  BlockError total;
  for (const BlockError& row : rows) {
    total.error += row.error;
    total.signal += row.signal;
  }
  return total;
}

// Of the strengths whose error is within 3 % of the best, the weakest is taken: what the search cannot tell
// apart on its samples, other text may, and a weaker smoothing changes less.
constexpr double kAsGood = 1.03;

// The search over one block's groups.
class BlockSearch {
 public:
  BlockSearch(const Recipe& recipe, const LayerSource& source, const LayerRanges& ranges,
              const LayerStatistics& statistics, Block block, BlockRunner& runner)
      : recipe_(recipe),
        source_(source),
        ranges_(ranges),
        statistics_(statistics),
        block_(block),
        runner_(runner),
        layer_(*source.config, {}, runner.isa()) {}

  Status run(const std::function<bool()>& cancelled, LayerChoice& choice) {
    LayerStrengths strengths;
    OCTAVO_ASSIGN_OR_RETURN(BlockError held_out, judge(strengths, statistics_.held_out));
    choice.held_out_plain[static_cast<size_t>(block_)] = held_out;
    if (recipe_.rule == SmoothRule::kFixed) return take_fixed(choice);
    std::optional<BlockError> fit;  // of `strengths`, once a group needs it
    for (const SmoothGroup group : kSmoothGroups) {
      if (block_of(group) != block_) continue;
      const auto index = static_cast<size_t>(group);
      GroupChoice& chosen = choice.groups[index];
      chosen.rule = fold_rule(recipe_, source_, group);
      chosen.held_out_none = chosen.held_out_best = held_out;
      if (chosen.rule == FoldRule::kNone) continue;
      if (!fit) {
        OCTAVO_ASSIGN_OR_RETURN(fit, judge(strengths, statistics_.fit));
      }
      OCTAVO_ASSIGN_OR_RETURN(const auto best, best_of_fit(strengths, group, *fit, cancelled));
      if (!best) continue;
      LayerStrengths candidate = strengths;
      candidate[index] = best->strength;
      OCTAVO_ASSIGN_OR_RETURN(chosen.held_out_best, judge(candidate, statistics_.held_out));
      if (!(chosen.held_out_best.error < held_out.error)) continue;
      chosen.strength = best->strength;
      strengths = candidate;
      held_out = chosen.held_out_best;
      fit = best->error;
    }
    choice.held_out_chosen[static_cast<size_t>(block_)] = held_out;
    return {};
  }

 private:
  // What a recipe has fixed is not chosen, but is measured all the same.
  Status take_fixed(LayerChoice& choice) {
    LayerStrengths strengths;
    for (const SmoothGroup group : kSmoothGroups) {
      if (block_of(group) != block_) continue;
      const auto index = static_cast<size_t>(group);
      choice.groups[index].rule = fold_rule(recipe_, source_, group);
      if (choice.groups[index].rule == FoldRule::kNone) continue;
      choice.groups[index].strength = strengths[index] = fixed_strength(recipe_, source_, group);
    }
    OCTAVO_ASSIGN_OR_RETURN(choice.held_out_chosen[static_cast<size_t>(block_)],
                            judge(strengths, statistics_.held_out));
    return {};
  }

  struct Tried {
    double strength = 0;
    BlockError error;
  };

  // The weakest strength of `group` as good as the best, or nothing when none is better than `none`.
  Result<std::optional<Tried>> best_of_fit(LayerStrengths strengths, SmoothGroup group,
                                           const BlockError& none, const std::function<bool()>& cancelled) {
    std::vector<Tried> tried;
    double least = none.error;
    for (const double strength : recipe_.strengths) {
      if (cancelled()) return octavo::cancelled("quantizing was cancelled");
      strengths[static_cast<size_t>(group)] = strength;
      const auto error = judge(strengths, statistics_.fit);
      if (!error.ok() && error.status().code() == StatusCode::kUnsupported) continue;
      OCTAVO_RETURN_IF_ERROR(error.status());
      tried.push_back({strength, *error});
      if (error->error < least) least = error->error;
    }
    std::optional<Tried> best;
    for (const Tried& candidate : tried) {
      const bool good = candidate.error.error < none.error && candidate.error.error <= kAsGood * least;
      if (good && (!best || candidate.strength < best->strength)) best = candidate;
    }
    return best;
  }

  Result<BlockError> judge(const LayerStrengths& strengths, const std::array<BlockTask, 2>& tasks) {
    LayerFolds folds = make_folds(recipe_, source_, ranges_, strengths);
    OCTAVO_ASSIGN_OR_RETURN(BlockCandidate candidate,
                            build_block(source_, folds, block_, runner_.pool(), made_ ? &*made_ : nullptr));
    layer_.replace(std::move(candidate.weights), runner_.pool());
    made_ = std::move(folds);
    return block_error(layer_, block_, tasks[static_cast<size_t>(block_)], runner_);
  }

  const Recipe& recipe_;
  const LayerSource& source_;
  const LayerRanges& ranges_;
  const LayerStatistics& statistics_;
  Block block_;
  BlockRunner& runner_;
  // The candidate judged last: most linears of the next are the same, and stay packed.
  model::DecoderLayer layer_;
  std::optional<LayerFolds> made_;
};

}  // namespace

BlockError block_error(const model::DecoderLayer& layer, Block block, const BlockTask& task,
                       BlockRunner& runner) {
  BlockError total;
  tensor::Buffer y;
  size_t sample = 0;
  int64_t row = 0;
  while (sample < task.sequences.size()) {
    // Whole samples, as many as a batch takes.
    const size_t first = sample;
    int64_t n_rows = 0;
    do {
      n_rows += static_cast<int64_t>(task.sequences[sample++].size());
    } while (sample < task.sequences.size() && sample - first < CalibrationSet::kMaxBatchSamples &&
             n_rows + static_cast<int64_t>(task.sequences[sample].size()) <= CalibrationSet::kMaxBatchRows);
    const auto n_bytes = static_cast<size_t>(n_rows * task.d_model) * sizeof(float);
    if (y.size_bytes() < n_bytes) y = tensor::Buffer(n_bytes);
    const float* h = task.input.as<float>() + row * task.d_model;
    if (block == Block::kAttention) {
      runner.attention(layer, std::span(task.sequences).subspan(first, sample - first), h, y.as<float>());
    } else {
      runner.mlp(layer, h, n_rows, y.as<float>());
    }
    const BlockError part = compare_rows(y.as<float>(), task.output.as<float>() + row * task.d_model, n_rows,
                                         task.d_model, runner.pool());
    total.error += part.error;
    total.signal += part.signal;
    row += n_rows;
  }
  const double n_values = static_cast<double>(task.n_rows) * static_cast<double>(task.d_model);
  return {total.error / n_values, total.signal / n_values};
}

LayerStrengths LayerChoice::strengths() const {
  LayerStrengths strengths;
  for (size_t i = 0; i < groups.size(); ++i) strengths[i] = groups[i].strength;
  return strengths;
}

Result<LayerChoice> search_strengths(const Recipe& recipe, const LayerSource& source,
                                     const LayerRanges& ranges, const LayerStatistics& statistics,
                                     BlockRunner& runner, const std::function<bool()>& cancelled) {
  LayerChoice choice;
  for (const Block block : kBlocks) {
    OCTAVO_RETURN_IF_ERROR(
        BlockSearch(recipe, source, ranges, statistics, block, runner).run(cancelled, choice));
  }
  return choice;
}

}  // namespace octavo::quant
