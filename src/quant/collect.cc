// One forward pass of a float layer, batch after batch, gives all that later passes need: it is the only one
// in which the float layer runs. Called by pipeline.cc.
#include "quant/collect.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

namespace octavo::quant {
namespace {

constexpr std::array<const char*, model::kNTapSites> kSiteNames = {
    "the input of attention (input_layernorm's output)", "the input of o_proj (attention's output)",
    "the input of the MLP (post_attention_layernorm's output)", "the input of down_proj"};

class CollectTap : public model::Tap {
 public:
  explicit CollectTap(base::ThreadPool& pool) : pool_(pool) {}
  void on_rows(int64_t, model::TapSite site, const float* x, int64_t m, int64_t k) override {
    std::optional<ChannelObserver>& observer = observers_[static_cast<size_t>(site)];
    if (!observer) observer.emplace(k);
    observer->observe(x, m, pool_);
  }
  Result<std::array<ChannelRanges, model::kNTapSites>> ranges() const {
    std::array<ChannelRanges, model::kNTapSites> ranges;
    for (size_t site = 0; site < ranges.size(); ++site) {
      if (const auto channel = observers_[site]->non_finite_channel()) {
        return corrupt(
            std::string("the float model gives a NaN or an infinity on the calibration samples: ") +
            kSiteNames[site] + ", channel " + std::to_string(*channel));
      }
      ranges[site] = observers_[site]->ranges();
    }
    return ranges;
  }

 private:
  base::ThreadPool& pool_;
  std::array<std::optional<ChannelObserver>, model::kNTapSites> observers_;
};

// Where the rows of each search sample go.
class TaskRecorder {
 public:
  TaskRecorder(const CalibrationSet& set, std::span<const size_t> samples, std::array<BlockTask, 2>& tasks)
      : set_(set), samples_(samples), tasks_(tasks) {
    for (BlockTask& task : tasks_) {
      task.d_model = set.d_model();
      for (const size_t sample : samples) {
        task.sequences.push_back(set.tokens(sample));
        task.n_rows += static_cast<int64_t>(set.tokens(sample).size());
      }
      task.input = tensor::Buffer(static_cast<size_t>(task.n_rows * task.d_model) * sizeof(float));
      task.output = tensor::Buffer(task.input.size_bytes());
    }
  }
  // `from` holds the rows of `batch`; `to` is a task's buffer.
  void record(const SampleBatch& batch, const float* from, Block block, tensor::Buffer BlockTask::*to) {
    int64_t row = 0;
    for (const size_t sample : samples_) {
      const auto n_rows = static_cast<int64_t>(set_.tokens(sample).size());
      if (sample >= batch.sample_begin && sample < batch.sample_end) {
        const float* source = from + (set_.row_begin(sample) - batch.row_begin) * set_.d_model();
        float* target = (tasks_[static_cast<size_t>(block)].*to).as<float>() + row * set_.d_model();
        std::memcpy(target, source, static_cast<size_t>(n_rows * set_.d_model()) * sizeof(float));
      }
      row += n_rows;
    }
  }

 private:
  const CalibrationSet& set_;
  std::span<const size_t> samples_;
  std::array<BlockTask, 2>& tasks_;
};

// h += y, the residual.
void add_rows(float* h, const float* y, int64_t n_rows, int64_t d_model, base::ThreadPool& pool) {
  constexpr int64_t kRowsPerTask = 16;
  pool.parallel_for((n_rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
    const int64_t end = std::min(n_rows, (task + 1) * kRowsPerTask) * d_model;
    for (int64_t i = task * kRowsPerTask * d_model; i < end; ++i) h[i] += y[i];
  });
}

}  // namespace

const char* block_name(Block block) { return block == Block::kAttention ? "attention" : "mlp"; }

Result<LayerStatistics> collect_layer(const model::DecoderLayer& layer, CalibrationSet& set,
                                      const SearchSamples& search, BlockRunner& runner,
                                      const std::function<bool()>& cancelled) {
  LayerStatistics statistics;
  std::array<TaskRecorder, 2> recorders = {TaskRecorder(set, search.fit, statistics.fit),
                                           TaskRecorder(set, search.held_out, statistics.held_out)};
  CollectTap tap(runner.pool());
  tensor::Buffer y;
  for (const SampleBatch& batch : set.batches()) {
    if (cancelled()) return octavo::cancelled("quantizing was cancelled");
    const int64_t n_rows = batch.row_end - batch.row_begin;
    const auto n_bytes = static_cast<size_t>(n_rows * set.d_model()) * sizeof(float);
    if (y.size_bytes() < n_bytes) y = tensor::Buffer(n_bytes);
    std::vector<std::span<const int32_t>> sequences;
    for (size_t i = batch.sample_begin; i < batch.sample_end; ++i) sequences.push_back(set.tokens(i));
    float* h = set.hidden(batch.row_begin);
    for (const Block block : kBlocks) {
      if (block == Block::kAttention) {
        runner.attention(layer, sequences, h, y.as<float>(), &tap);
      } else {
        runner.mlp(layer, h, n_rows, y.as<float>(), &tap);
      }
      for (TaskRecorder& recorder : recorders) {
        recorder.record(batch, h, block, &BlockTask::input);
        recorder.record(batch, y.as<float>(), block, &BlockTask::output);
      }
      add_rows(h, y.as<float>(), n_rows, set.d_model(), runner.pool());
    }
  }
  OCTAVO_ASSIGN_OR_RETURN(statistics.ranges, tap.ranges());
  return statistics;
}

}  // namespace octavo::quant
