// The one list of passes. It goes decoder layer by decoder layer: of the model, one float layer and its
// candidate are held, never more, so memory does not grow with the number of layers. Hidden states follow the
// float model: each layer is smoothed for the inputs that it was trained on. Called by api/quantize.cc.
#include "quant/pipeline.h"

#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/memory.h"
#include "base/threads.h"
#include "model/arch/arch_spec.h"
#include "quant/block_runner.h"
#include "quant/calibration_set.h"
#include "quant/collect.h"
#include "quant/manifest.h"
#include "quant/strength_search.h"
#include "quant/write.h"

namespace octavo::quant {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Half a step, and the fp32 roundings of the division.
constexpr double kWorstSteps = 0.5 + 1e-4;

class Pipeline {
 public:
  Pipeline(const Job& job, Preflight flight, Progress* progress)
      : job_(job), flight_(std::move(flight)), progress_(progress), pool_(job.n_threads) {}

  Result<Outcome> run() {
    const base::FlushDenormals flush;
    OCTAVO_RETURN_IF_ERROR(pass("open", [&] { return open(); }));
    OCTAVO_RETURN_IF_ERROR(pass("embed", [&] { return embed(); }));
    OCTAVO_RETURN_IF_ERROR(pass("outer tensors", [&] { return write_outer(); }));
    for (layer_ = 0; *layer_ < flight_.config.n_layers; ++*layer_) {
      OCTAVO_RETURN_IF_ERROR(pass("read", [&] { return read(); }));
      OCTAVO_RETURN_IF_ERROR(pass("collect", [&] { return collect(); }));
      OCTAVO_RETURN_IF_ERROR(pass("smooth", [&] { return smooth(); }));
      OCTAVO_RETURN_IF_ERROR(pass("round", [&] { return round(); }));
      OCTAVO_RETURN_IF_ERROR(pass("verify", [&] { return verify(); }));
      OCTAVO_RETURN_IF_ERROR(pass("write", [&] { return write_layer(); }));
    }
    layer_.reset();
    OCTAVO_RETURN_IF_ERROR(pass("folder", [&] { return complete_folder(); }));
    OCTAVO_RETURN_IF_ERROR(
        pass("compare", [&] { return writer_->compare(folder_->temporary_path(), pool_); }));
    OCTAVO_RETURN_IF_ERROR(pass("report", [&] { return report(); }));
    OCTAVO_RETURN_IF_ERROR(pass("commit", [&] { return folder_->commit(); }));
    return Outcome{std::move(run_), std::move(report_)};
  }

 private:
  static constexpr int64_t kPassesPerLayer = 6, kOtherPasses = 7;

  // Runs a pass under its name: shown on the progress, timed, its errors told from others.
  template <class Work>
  Status pass(const std::string& name, const Work& work) {
    const int64_t n_layers = flight_.config.n_layers;
    what_ =
        layer_ ? "layer " + std::to_string(*layer_ + 1) + "/" + std::to_string(n_layers) + " " + name : name;
    if (cancelled()) return octavo::cancelled("quantizing was cancelled");
    if (progress_ != nullptr) progress_->update(what_, n_done_, n_layers * kPassesPerLayer + kOtherPasses);
    const Clock::time_point begin = Clock::now();
    const Status status = work();
    const double seconds = seconds_since(begin);
    ++n_done_;
    bool known = false;
    for (PassSeconds& entry : run_.passes) {
      if (entry.name != name) continue;
      entry.seconds += seconds;
      known = true;
    }
    if (!known) run_.passes.push_back({name, seconds, layer_.has_value()});
    return status.with_context(what_);
  }
  bool cancelled() const { return progress_ != nullptr && progress_->cancelled(); }
  bool calibrated() const { return calibration_.has_value(); }

  Status open() {
    OCTAVO_ASSIGN_OR_RETURN(isa_, kernels::active_isa());
    OCTAVO_ASSIGN_OR_RETURN(auto folder, base::AtomicFolder::create(job_.target, job_.overwrite));
    folder_.emplace(std::move(folder));
    OCTAVO_ASSIGN_OR_RETURN(auto writer, TargetWriter::create(folder_->temporary_path(), flight_.plan,
                                                              job_.max_shard_bytes, job_.layout));
    writer_.emplace(std::move(writer));
    return {};
  }

  Status embed() {
    if (flight_.samples.empty()) return {};
    OCTAVO_ASSIGN_OR_RETURN(const model::LinearWeight embedding,
                            model::read_embedding(flight_.source, flight_.config));
    OCTAVO_ASSIGN_OR_RETURN(auto set, CalibrationSet::embed(flight_.samples, embedding));
    calibration_.emplace(std::move(set));
    search_ = choose_search_samples(*calibration_);
    run_.n_fit_samples = search_.fit.size();
    run_.n_held_out_samples = search_.held_out.size();
    runner_.emplace(flight_.config, embedding.dtype, isa_, pool_);
    return {};
  }

  Status write_outer() { return writer_->write(flight_.plan.outer, flight_.source, {}); }

  // The next layer is on its way from the disk while this one computes.
  Status read() {
    const LayerPolicy& policy = flight_.policy.layers[static_cast<size_t>(*layer_)];
    OCTAVO_ASSIGN_OR_RETURN(source_, read_layer_source(flight_.source, flight_.config, *layer_, policy));
    const std::string next =
        std::string(flight_.config.arch->layers) + "." + std::to_string(*layer_ + 1) + ".";
    for (const format::TensorInfo* info : flight_.source.tensors()) {
      if (info->name.starts_with(next)) flight_.source.file_of(*info).prefetch(*info);
    }
    return {};
  }

  Status collect() {
    if (!calibrated()) return {};
    model::DecoderLayer layer(flight_.config, {}, isa_);
    layer.replace(source_.weights, pool_);
    OCTAVO_ASSIGN_OR_RETURN(
        statistics_, collect_layer(layer, *calibration_, search_, *runner_, [this] { return cancelled(); }));
    return {};
  }

  Status smooth() {
    const auto index = static_cast<size_t>(*layer_);
    run_.layers.push_back(
        {.policy = flight_.policy.layers[index], .choice = {}, .rounding = {}, .input = {}});
    folds_ = {};
    if (!calibrated()) return {};
    const LayerRanges ranges = measure_ranges(source_, statistics_, pool_);
    OCTAVO_ASSIGN_OR_RETURN(run_.layers[index].choice,
                            search_strengths(job_.recipe, source_, ranges, statistics_, *runner_,
                                             [this] { return cancelled(); }));
    folds_ = make_folds(job_.recipe, source_, ranges, run_.layers[index].choice.strengths());
    run_.layers[index].input = folds_.input;
    return {};
  }

  Status round() {
    for (const Block block : kBlocks) {
      OCTAVO_ASSIGN_OR_RETURN(BlockCandidate rounded, build_block(source_, folds_, block, pool_));
      for (const model::LinearSlot slot : slots_of(block)) {
        const auto index = static_cast<size_t>(slot);
        run_.layers.back().rounding[index] = rounded.error[index];
      }
      rounded_[static_cast<size_t>(block)] = std::move(rounded);
    }
    return {};
  }

  // What was rounded stays within half a step of what it was made from, and does what its choice was judged
  // by.
  Status verify() {
    for (const Block block : kBlocks) {
      const BlockCandidate& rounded = rounded_[static_cast<size_t>(block)];
      for (const model::LinearSlot slot : slots_of(block)) {
        if (rounded.error[static_cast<size_t>(slot)].worst_steps <= kWorstSteps) continue;
        return internal_error(std::string("a weight of ") +
                              flight_.config.arch->linear[static_cast<size_t>(slot)] +
                              " was rounded by more than half a step");
      }
      if (!calibrated()) continue;
      const BlockError judged = run_.layers.back().choice.held_out_chosen[static_cast<size_t>(block)];
      model::DecoderLayer layer(flight_.config, {}, isa_);
      layer.replace(rounded.weights, pool_);
      const BlockError error =
          block_error(layer, block, statistics_.held_out[static_cast<size_t>(block)], *runner_);
      if (error.error == judged.error) continue;
      return internal_error(std::string("the ") + block_name(block) +
                            " block that would be written is not the one that was judged");
    }
    return {};
  }

  Status write_layer() {
    OCTAVO_ASSIGN_OR_RETURN(
        const std::vector<ComputedTensor> computed,
        computed_tensors(flight_.source, source_, folds_, std::move(rounded_), job_.layout));
    // Before the next float layer is read, nothing of this one is held.
    source_ = {};
    statistics_ = {};
    return writer_->write(flight_.plan.layers[static_cast<size_t>(*layer_)], flight_.source, computed);
  }

  Status complete_folder() {
    OCTAVO_RETURN_IF_ERROR(writer_->finish());
    const std::string& folder = folder_->temporary_path();
    OCTAVO_RETURN_IF_ERROR(carry_files(job_.source, flight_.carried_files, folder));
    OCTAVO_RETURN_IF_ERROR(write_manifest(job_.layout, flight_, folder));
    return base::write_file_atomic(base::join_path(folder, "recipe.json"),
                                   job_.recipe.to_json().dump(2) + "\n");
  }

  Status report() {
    run_.isa = kernels::isa_name(isa_);
    run_.n_threads = pool_.n_threads();
    run_.seconds = seconds_since(begin_);
    run_.peak_resident_bytes = base::peak_resident_bytes();
    report_ = make_report(job_, flight_, run_).dump(2) + "\n";
    return base::write_file_atomic(base::join_path(folder_->temporary_path(), "quant_report.json"), report_);
  }

  const Job& job_;
  Preflight flight_;
  Progress* progress_;
  base::ThreadPool pool_;
  kernels::Isa isa_ = kernels::Isa::kRef;
  const Clock::time_point begin_ = Clock::now();

  std::optional<base::AtomicFolder> folder_;
  std::optional<TargetWriter> writer_;
  std::optional<CalibrationSet> calibration_;
  std::optional<BlockRunner> runner_;
  SearchSamples search_;

  // The layer under work.
  std::optional<int64_t> layer_;
  LayerStatistics statistics_;
  LayerSource source_;
  LayerFolds folds_;
  std::array<BlockCandidate, 2> rounded_;

  std::string what_;
  int64_t n_done_ = 0;
  RunRecord run_;
  std::string report_;
};

}  // namespace

Result<Outcome> run_pipeline(const Job& job, Preflight flight, Progress* progress) {
  return Pipeline(job, std::move(flight), progress).run();
}

}  // namespace octavo::quant
