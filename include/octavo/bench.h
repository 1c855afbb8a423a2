#pragma once
// Measuring the machine, and a model against it: every speed beside the limit that this run measured.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octavo/engine.h"
#include "octavo/progress.h"
#include "octavo/status.h"

namespace octavo {

struct BenchOptions {
  std::string model;           // a folder, or empty
  std::string synthetic;       // a shape ("qwen3-0.6b") with random weights, or empty; exactly one of the two
  std::string dtype = "int8";  // of a synthetic model's linears: "int8" or "bf16"
  std::optional<int64_t> n_layers;  // of a synthetic model; figures are then extrapolated to the whole
  // Which kinds to measure; empty: all but those that take long ("engine", "prefix", "quantize", "rules")
  // and, of a synthetic model, "load", which writes a checkpoint to the folder for temporary files (as
  // "quantize" does).
  std::vector<std::string> rows;
  std::vector<int64_t> prefills = {128, 512, 2048, 8192};  // tokens
  std::vector<int64_t> contexts = {0, 512, 2048, 8192};    // tokens before a decode step, batch 1
  std::vector<int64_t> batches = {2, 4, 8, 16, 32};        // sequences of a decode step, context 0
  // Requests that arrive together, each with prompts and outputs of so many tokens: through the engine, and
  // through the bare model loop beside it.
  std::vector<int64_t> requests = {1, 4, 16, 64};
  std::vector<std::pair<int64_t, int64_t>> request_tokens = {{128, 64}, {1024, 128}};
  int64_t calibration_samples = 64, calibration_tokens = 512;  // "quantize": samples, tokens of each
  std::string kv_cache_dtype = "auto";                         // as EngineOptions
  std::string lm_head_dtype = "auto";                          // the same
  int64_t max_step_tokens = 512;                               // longer prompts run in chunks
  int repetitions = 5;
  double seconds_per_row = 20;  // fewer repetitions, but two at least, of what takes longer
  bool profile = false;
  int n_threads = 0;  // 0: every core this process may use
};

std::vector<std::string> bench_row_names();
std::vector<std::string> bench_shape_names();
// config.json of a shape, so that others can be measured on the same.
Result<std::string> bench_shape_config(const std::string& shape);

struct BenchMachine {
  std::string cpu;
  int threads = 0;
  uint64_t memory_bytes = 0;  // that this process may use
  double read_gb_per_s = 0;   // all threads, a buffer far over the cache
  struct Peak {               // all threads, operands in registers; tera-operations per second
    std::string isa;
    double int8_tops = 0, bf16_tflops = 0, f32_tflops = 0;
  };
  std::vector<Peak> peaks;
};

struct BenchRow {
  std::string work, shape, dtype, isa, kernel;
  int threads = 0;
  int64_t m = 0, batch = 0, context = 0;
  double value = 0;  // median
  std::string unit;  // "tok/s", "TOPS", "GB/s", "s", "GiB"
  double min = 0, max = 0;
  double limit = 0;      // in `unit`; 0: none
  std::string limit_of;  // "int8 peak", "read bandwidth", …
  double share = 0;      // of the limit
  int n_runs = 0;
  int64_t extrapolated_from = 0;  // layers that ran, where the shape has more; else 0
};

// Where the time of one step, or of quantizing, goes.
struct BenchProfile {
  std::string work;  // prefill, decode, quantize
  int64_t m = 0, batch = 0, context = 0;
  struct Part {
    std::string operation;
    double milliseconds = 0;
  };
  std::vector<Part> parts;
};

struct BenchReport {
  BenchMachine machine;
  std::string isa;  // that the model ran on
  std::vector<BenchRow> rows;
  std::vector<BenchProfile> profiles;  // of each row of prefill, decode and quantize, where asked for
};

// Tokens per second of one request at the machine's limits, measured in some tenths of a second: the linears'
// arithmetic at its peak, and the reading of weights, keys and values. 0 where a limit could not be measured.
struct SpeedLimits {
  double prefill = 0, decode = 0;
};
// mean_context: tokens before the one that is decoded, on average.
SpeedLimits measure_speed_limits(const ModelInfo& model, double mean_context);

Result<BenchReport> run_bench(const BenchOptions& options, Progress* progress = nullptr);

}  // namespace octavo
