#pragma once
// What a checkpoint says about quantization: which linear layers hold quantized weights, how their inputs are
// quantized, and by whose names the tensors stand in the files. One file a format: compressed_tensors.cc,
// golden_stick.cc.
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "base/regex.h"

namespace octavo::format {

class Checkpoint;

// Whose names and shapes the quantized tensors have (docs/FORMATS.md).
enum class QuantLayout {
  kCompressedTensors,  // weight_scale, input_scale [1], input_zero_point
  kGoldenStick,        // deq_scale, input_scale [in] or [1], input_offset, quant_bias
  kAscend              // msModelSlim: the same, input_scale [1]
};
const char* layout_name(QuantLayout layout);  // "compressed-tensors", "golden-stick", "ascend"

enum class WeightStrategy {
  kTensor,
  kChannel,
  kGroup
};  // one scale a matrix, a row, or `group_size` columns of a row
enum class InputQuant { kNone, kDynamicToken, kStaticTensor };

// How one linear layer W[out, in] is quantized. The default is W8A8: int8 weights with one scale a row in
// `M.weight_scale` ([out, 1], [out], or [1] and [] for kTensor; BF16, F16 or F32), int8 inputs with one scale
// a token. kStaticTensor: one scale in `M.input_scale` ([1] or []; BF16, F16 or F32) and, unless
// input_symmetric, one zero point in `M.input_zero_point` ([1] or []; I8 or I32).
struct LinearQuant {
  int weight_bits = 8;
  bool weight_is_float = false;
  bool weight_symmetric = true;
  WeightStrategy weight_strategy = WeightStrategy::kChannel;
  int64_t group_size = 0;  // kGroup only
  InputQuant input = InputQuant::kDynamicToken;
  bool input_symmetric = true;

  bool operator==(const LinearQuant&) const = default;
};

class QuantManifest {
 public:
  // What all of a model folder says: config.json, or a description file of Golden Stick or msModelSlim beside
  // it (one, and only where config.json has no quantization_config), or tensors under MindFormers names.
  static Result<QuantManifest> read(const Checkpoint& checkpoint);
  // Of a whole config.json; `path` names it in errors. Without quantization_config: an empty manifest. What
  // Octavo cannot run (other methods, widths, formats, asymmetric weights, KV schemes) is kUnsupported, by
  // name.
  static Result<QuantManifest> parse(const base::Json& config, const std::string& path);

  bool empty() const { return groups_.empty() && modules_.empty(); }  // nothing is quantized
  QuantLayout layout() const { return layout_; }
  // "compressed-tensors w8a8", "golden-stick w8a8 static and dynamic": layout_name, then the scheme; plain
  // "w8a8" has dynamic inputs. "" when empty.
  std::string description() const;
  // Where it is said: "config.json's quantization_config", or the description file.
  const std::string& source() const { return source_; }

  // The scheme of a module, named as its tensors are without ".weight" ("model.layers.0.mlp.up_proj"), or
  // nothing when it is kept in float. Prefixes "model." and "language_model." may be there or not.
  // `class_name` is what PyTorch calls the module's class. An error only when a pattern of the config runs
  // past its limits.
  Result<std::optional<LinearQuant>> find(std::string_view module,
                                          std::string_view class_name = "Linear") const;

 private:
  // A name, a class name, or a pattern ("re:…", matched as Python's re.match).
  struct Target {
    std::string text;
    std::optional<base::Regex> pattern;
  };
  struct Group {
    std::vector<Target> targets;
    std::optional<LinearQuant> quant;  // nothing: these targets stay float
  };
  enum class Match { kName, kPattern, kClass };

  Status parse_compressed_tensors(const base::Json& section);
  Status read_description(const Checkpoint& checkpoint, const std::string& file_name);
  Status read_mindformers(const Checkpoint& checkpoint);
  Status parse_group(const std::string& name, const base::Json& group, const std::string& format);
  static Result<std::vector<Target>> parse_targets(const base::Json* list, std::string_view key);
  static Result<bool> matches(const Target& target, Match how, std::string_view module,
                              std::string_view class_name, base::RegexBudget& budget);

  QuantLayout layout_ = QuantLayout::kCompressedTensors;
  std::string source_ = "config.json's quantization_config";
  std::vector<Group> groups_;  // kCompressedTensors
  std::vector<Target> ignore_;
  std::map<std::string, LinearQuant, std::less<>> modules_;  // the other layouts: by full name
};

// The folder's description file of Golden Stick (quantization_description.json) or msModelSlim
// (quant_model_description*.json), by name; two of them are an error, and so is that of sparse weights.
Result<std::optional<std::string>> find_quant_description(const std::string& folder);

// One config group to write: modules by full name, "re:" pattern or class name, and their scheme.
struct QuantGroup {
  std::vector<std::string> targets = {"Linear"};
  LinearQuant quant;
};

// The `quantization_config` object of compressed-tensors' "int-quantized" format, readable by
// compressed-tensors 0.9 and later, vLLM, SGLang. `ignore` lists every linear layer that stays float by its
// full name. Only W8A8 can be written: symmetric weights (kChannel or kTensor), inputs kDynamicToken and
// symmetric, or kStaticTensor.
Result<base::Json> compressed_tensors_config(std::span<const QuantGroup> groups,
                                             std::span<const std::string> ignore);

}  // namespace octavo::format
