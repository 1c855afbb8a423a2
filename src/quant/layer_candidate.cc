// Where SmoothQuant's factors go in a decoder layer:
//   norm_qkv  input_layernorm / s;            columns of q, k, v * s       norm_mlp  the same for gate, up
//   v_o       rows of v (and its bias) / s;   columns of o * s             up_down   the same for up, down
// v_o has one factor per kv head and dimension, shared by the query heads that read it; attention is linear
// in v, so it passes through. silu(gate) * up is linear in up. Called by strength_search.cc for every
// candidate and by pipeline.cc for what is written.
#include "quant/layer_candidate.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "model/arch/arch_spec.h"
#include "model/input_readers.h"
#include "quant/round/static_input.h"
#include "quant/transform/smoothquant.h"

namespace octavo::quant {
namespace {

using model::LinearSlot;
using model::LinearWeight;

struct GroupMembers {
  model::TapSite site;                 // what the consumers read
  std::optional<LinearSlot> producer;  // rows give s; without one, a norm does

  std::span<const LinearSlot> consumers() const { return model::readers_of(site); }  // columns take s
};

GroupMembers members_of(SmoothGroup group) {
  switch (group) {
    case SmoothGroup::kNormQkv:
      return {model::TapSite::kAttentionInput, {}};
    case SmoothGroup::kVO:
      return {model::TapSite::kOutputInput, LinearSlot::kV};
    case SmoothGroup::kNormMlp:
      return {model::TapSite::kMlpInput, {}};
    case SmoothGroup::kUpDown:
      break;
  }
  return {model::TapSite::kDownInput, LinearSlot::kUp};
}

HeadGroups heads_of(const model::ModelConfig& config) {
  return {.n_heads = config.n_heads, .n_kv_heads = config.n_kv_heads, .head_dim = config.head_dim};
}

tensor::DType storage_of(const format::Checkpoint& checkpoint, const std::string& module) {
  return checkpoint.find(module + ".weight")->dtype;
}

LinearWeight clone(const LinearWeight& weight) {
  LinearWeight copy{.n = weight.n,
                    .k = weight.k,
                    .dtype = weight.dtype,
                    .data = tensor::Buffer(weight.data.size_bytes()),
                    .scale = weight.scale,
                    .bias = weight.bias,
                    .input = weight.input};
  if (!weight.data.empty()) std::memcpy(copy.data.data(), weight.data.data(), weight.data.size_bytes());
  return copy;
}

void fold_norm(std::vector<float>& to, const std::vector<float>& norm, std::span<const float> factors,
               tensor::DType storage, const GroupMembers& members, LayerFolds& folds) {
  NormFold fold = fold_into_norm(norm, factors, storage);
  to = std::move(fold.norm);
  for (const LinearSlot slot : members.consumers()) {
    folds.column_factor[static_cast<size_t>(slot)] = fold.column_factor;
  }
}

void fold_group(const LayerSource& source, SmoothGroup group, std::vector<float> factors, LayerFolds& folds) {
  const GroupMembers members = members_of(group);
  if (group == SmoothGroup::kNormQkv) {
    return fold_norm(folds.input_norm, source.weights.input_norm, factors, source.input_norm_storage, members,
                     folds);
  }
  if (group == SmoothGroup::kNormMlp) {
    return fold_norm(folds.post_attention_norm, source.weights.post_attention_norm, factors,
                     source.post_attention_norm_storage, members, folds);
  }
  const auto consumer = static_cast<size_t>(members.consumers()[0]);
  folds.column_factor[consumer] =
      group == SmoothGroup::kVO ? repeat_for_query_heads(factors, heads_of(*source.config)) : factors;
  folds.row_divisor[static_cast<size_t>(*members.producer)] = std::move(factors);
}

// The narrowest type among the consumers' weights: what it holds, each of them can store.
tensor::DType scale_storage(const LayerSource& source, const GroupMembers& members) {
  using enum tensor::DType;
  const auto any = [&](tensor::DType dtype) {
    return std::any_of(members.consumers().begin(), members.consumers().end(),
                       [&](LinearSlot slot) { return source.storage[static_cast<size_t>(slot)] == dtype; });
  };
  return any(kBF16) ? kBF16 : any(kF16) ? kF16 : kF32;
}

// Of what the group's consumers read after the fold: a column factor is what the activation was divided by,
// the norm's rounding included.
model::StaticInput folded_input(const ChannelRanges& x, std::span<const float> column_factor,
                                tensor::DType storage) {
  float min = 0, max = 0;
  for (size_t j = 0; j < x.min.size(); ++j) {
    const float factor = column_factor.empty() ? 1 : column_factor[j];
    min = std::min(min, x.min[j] / factor);
    max = std::max(max, x.max[j] / factor);
  }
  return static_input(min, max, storage);
}

bool are_alike(const LayerFolds& a, const LayerFolds& b, LinearSlot slot) {
  const auto index = static_cast<size_t>(slot);
  return a.column_factor[index] == b.column_factor[index] && a.row_divisor[index] == b.row_divisor[index] &&
         a.input[index] == b.input[index];
}

}  // namespace

Result<LayerSource> read_layer_source(const format::Checkpoint& checkpoint, const model::ModelConfig& config,
                                      int64_t layer, const LayerPolicy& policy) {
  LayerSource source;
  source.layer = layer;
  source.config = &config;
  source.policy = policy;
  OCTAVO_ASSIGN_OR_RETURN(source.weights, model::read_layer(checkpoint, config, layer));
  for (size_t slot = 0; slot < source.storage.size(); ++slot) {
    const std::string module = model::linear_name(*config.arch, layer, static_cast<LinearSlot>(slot));
    source.storage[slot] = storage_of(checkpoint, module);
  }
  const std::string prefix = std::string(config.arch->layers) + "." + std::to_string(layer) + ".";
  source.input_norm_storage = storage_of(checkpoint, prefix + config.arch->input_norm);
  source.post_attention_norm_storage = storage_of(checkpoint, prefix + config.arch->post_attention_norm);
  return source;
}

FoldRule fold_rule(const Recipe& recipe, const LayerSource& source, SmoothGroup group) {
  if (!recipe.smooths(group)) return FoldRule::kNone;
  const GroupMembers members = members_of(group);
  const auto policy = [&](LinearSlot slot) { return source.policy[static_cast<size_t>(slot)]; };
  bool any_quantized = false, all_quantized = true, all_smooth = true;
  for (const LinearSlot slot : members.consumers()) {
    const bool quantized = policy(slot).scheme != Scheme::kFloat;
    any_quantized = any_quantized || quantized;
    all_quantized = all_quantized && quantized;
    all_smooth = all_smooth && policy(slot).smooth;
  }
  bool exact_producer = false;
  if (members.producer) {
    exact_producer =
        policy(*members.producer).scheme == Scheme::kFloat || !source.weights[*members.producer].bias.empty();
  }
  if (!any_quantized || !all_smooth) return FoldRule::kNone;
  return all_quantized && !exact_producer ? FoldRule::kAny : FoldRule::kPowersOfTwo;
}

double fixed_strength(const Recipe& recipe, const LayerSource& source, SmoothGroup group) {
  for (const LinearSlot slot : members_of(group).consumers()) {
    const LinearPolicy& policy = source.policy[static_cast<size_t>(slot)];
    if (policy.scheme != Scheme::kFloat && policy.strength) return *policy.strength;
  }
  return recipe.strengths.front();
}

Block block_of(SmoothGroup group) {
  return group == SmoothGroup::kNormQkv || group == SmoothGroup::kVO ? Block::kAttention : Block::kMlp;
}

std::vector<LinearSlot> slots_of(Block block) {
  if (block == Block::kAttention) return {LinearSlot::kQ, LinearSlot::kK, LinearSlot::kV, LinearSlot::kO};
  return {LinearSlot::kGate, LinearSlot::kUp, LinearSlot::kDown};
}

LayerRanges measure_ranges(const LayerSource& source, const LayerStatistics& statistics,
                           base::ThreadPool& pool) {
  LayerRanges ranges;
  for (const SmoothGroup group : kSmoothGroups) {
    const GroupMembers members = members_of(group);
    GroupRanges& range = ranges[static_cast<size_t>(group)];
    range.x = statistics.ranges[static_cast<size_t>(members.site)];
    range.x_absmax = range.x.absmax();
    range.w_absmax.assign(range.x_absmax.size(), 0.0F);
    for (const LinearSlot slot : members.consumers()) {
      raise_column_absmax(source.weights[slot], pool, range.w_absmax);
    }
    if (group == SmoothGroup::kVO) {
      const HeadGroups heads = heads_of(*source.config);
      range.x_absmax = max_over_query_heads(range.x_absmax, heads);
      range.w_absmax = max_over_query_heads(range.w_absmax, heads);
    }
  }
  return ranges;
}

LayerFolds make_folds(const Recipe& recipe, const LayerSource& source, const LayerRanges& ranges,
                      const LayerStrengths& strengths) {
  LayerFolds folds;
  for (const SmoothGroup group : kSmoothGroups) {
    const GroupRanges& range = ranges[static_cast<size_t>(group)];
    const std::optional<double> strength = strengths[static_cast<size_t>(group)];
    const FoldRule rule = fold_rule(recipe, source, group);
    if (strength && rule != FoldRule::kNone) {
      const auto factors = recipe.rule == SmoothRule::kFixed ? equation_4_factors : smoothing_factors;
      fold_group(source, group,
                 factors(range.x_absmax, range.w_absmax, *strength, rule == FoldRule::kPowersOfTwo), folds);
    }
    for (const LinearSlot slot : members_of(group).consumers()) {
      const auto index = static_cast<size_t>(slot);
      if (!source.policy[index].has_static_input()) continue;
      folds.input[index] =
          folded_input(range.x, folds.column_factor[index], scale_storage(source, members_of(group)));
    }
  }
  return folds;
}

Result<BlockCandidate> build_block(const LayerSource& source, const LayerFolds& folds, Block block,
                                   base::ThreadPool& pool, const LayerFolds* made) {
  BlockCandidate candidate;
  model::LayerWeights& to = candidate.weights;
  const model::LayerWeights& from = source.weights;
  to.input_norm = folds.input_norm.empty() ? from.input_norm : folds.input_norm;
  to.post_attention_norm =
      folds.post_attention_norm.empty() ? from.post_attention_norm : folds.post_attention_norm;
  to.q_norm = from.q_norm;
  to.k_norm = from.k_norm;
  for (const LinearSlot slot : slots_of(block)) {
    if (made != nullptr && are_alike(folds, *made, slot)) continue;
    const auto index = static_cast<size_t>(slot);
    const WeightFold fold = folds.of(slot);
    const auto named = [&](const Status& status) {
      return status.with_context(model::linear_name(*source.config->arch, source.layer, slot) + ".weight");
    };
    if (source.policy[index].scheme == Scheme::kW8A8) {
      auto rounded = round_to_nearest(from[slot], fold, source.storage[index], pool, made == nullptr);
      if (!rounded.ok()) return named(rounded.status());
      to[slot] = std::move(rounded->weight);
      to[slot].input = folds.input[index];
      candidate.error[index] = rounded->error;
    } else if (folds.changes(slot)) {
      auto folded = fold_float(from[slot], fold, source.storage[index], pool);
      if (!folded.ok()) return named(folded.status());
      to[slot] = std::move(folded).value();
    } else {
      to[slot] = clone(from[slot]);
    }
  }
  return candidate;
}

}  // namespace octavo::quant
