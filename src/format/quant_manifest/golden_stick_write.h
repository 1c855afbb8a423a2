#pragma once
// MindSpore Golden Stick's layout with Hugging Face names (mindspore-gs 1.3 and later, backend ASCEND),
// written: the tensors of an int8 linear, quantization_description.json, the names of the shards. config.json
// stays as the float model's; smoothing is folded into norms and rows.
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "format/safetensors_writer.h"
#include "tensor/dtype.h"

namespace octavo::format {

inline constexpr const char* kGoldenStickDescription = "quantization_description.json";
inline const ShardNames kGoldenStickShards = {.stem = "quant-model", .always_numbered = true};

enum class GoldenStickScheme {
  kW8A8,         // input scale and zero point fixed
  kW8A8Dynamic,  // a scale per token
};

// The tensors of "MODULE" [n, k], in this order, scales in the type `storage` where the layout leaves it
// open:
//   weight I8 [n, k]   weight_scale [n]   weight_offset I32 [n], zeros
// and for kW8A8
//   input_scale [k], input_offset I8 [k]: one value each, repeated     deq_scale F32 [n]     quant_bias I32
//   [n]
std::vector<TensorSpec> golden_stick_specs(const std::string& module, int64_t n, int64_t k,
                                           tensor::DType storage, GoldenStickScheme scheme);

// y = (sum_k code[k] w[j,k] + quant_bias[j]) * deq_scale[j]
std::vector<float> golden_stick_deq_scale(std::span<const float> weight_scale, float input_scale);
// -zero_point * sum_k w[j,k], exact; codes[n, k], k at most 65,000.
std::vector<int32_t> golden_stick_quant_bias(const int8_t* codes, int64_t n, int64_t k, int32_t zero_point);

// {tensor: "W8A8" | "W8A8_DYNAMIC" | "FLOAT"}, a tensor's module being its name up to the last dot.
base::Json golden_stick_description(std::span<const std::string> tensors,
                                    const std::map<std::string, GoldenStickScheme>& modules);

}  // namespace octavo::format
