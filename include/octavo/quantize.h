#pragma once
// Making a model small: a float Hugging Face folder in, a quantized one out.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/progress.h"
#include "octavo/status.h"

namespace octavo {

enum class OutputFormat {
  kCompressedTensors,  // "compressed-tensors": Octavo, vLLM, SGLang, transformers
  kGoldenStick,        // "golden-stick": MindSpore Golden Stick's layout with Hugging Face names
};
std::vector<std::string> output_format_names();
Result<OutputFormat> parse_output_format(std::string_view name);

struct QuantizeOptions {
  std::string source, target;   // folders; target must not exist unless `overwrite`
  std::string recipe = "w8a8";  // a preset's name, or a YAML or JSON file
  std::string recipe_text;      // YAML or JSON, used instead of `recipe` when not empty
  std::string
      calibration;  // "ceval:DIR[@split]", "text:FILE", "jsonl:FILE"; empty where the recipe needs none
  // Calibration samples as token ids, used instead of `calibration` when not empty: all of them, in order.
  std::vector<std::vector<int32_t>> token_samples;
  int64_t n_samples = 128;      // of `calibration`
  int64_t length_tokens = 512;  // samples are cut to this
  uint64_t seed = 0;
  int n_threads = 0;  // 0: every core this process may use
  uint64_t max_shard_bytes = uint64_t{5} << 30;
  OutputFormat format = OutputFormat::kCompressedTensors;
  bool overwrite = false;
  bool dry_run = false;  // the pre-flight check alone
};

struct PassTime {
  std::string name;
  double seconds = 0;
};

struct QuantizeReport {
  std::string plan;  // what the pre-flight check found, for people: layers, sizes, memory, disk
  uint64_t source_bytes = 0, target_bytes = 0, peak_resident_bytes = 0;
  double seconds = 0;
  std::vector<PassTime> passes;
  std::string json;  // quant_report.json's text ("" for a dry run)
};

std::vector<std::string> quantize_presets();  // "w8a8", "rtn-w8a8", "w8a8-smoothquant"
Result<QuantizeReport> quantize(const QuantizeOptions& options, Progress* progress = nullptr);

}  // namespace octavo
