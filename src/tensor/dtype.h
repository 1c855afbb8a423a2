#pragma once
// Element types as safetensors names them, and the conversions between float types.
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace octavo::tensor {

enum class DType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool
};

int dtype_bytes(DType dtype);
const char* dtype_name(DType dtype);                          // "BF16": safetensors' spelling
std::optional<DType> dtype_from_name(std::string_view name);  // safetensors' spelling

// bf16 bits of a float, rounded half to even; NaN stays NaN.
inline uint16_t bf16_from_f32(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  bits += 0x7fffU + ((bits >> 16) & 1U);
  return static_cast<uint16_t>(bits >> 16);
}
inline float f32_from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
inline float round_to_bf16(float value) { return f32_from_bf16(bf16_from_f32(value)); }

float f32_from_f16(uint16_t bits);
uint16_t f16_from_f32(float value);  // rounded half to even

// n elements of a float dtype (F32, F16, BF16, F64) at `from` to f32 at `to`; exact but for F64.
void convert_to_f32(DType dtype, const void* from, float* to, int64_t n);
// n floats to `dtype` (F32, F16 or BF16), rounded half to even.
void convert_from_f32(DType dtype, const float* from, void* to, int64_t n);
// The value that `dtype` (F32, F16 or BF16) holds for `value`: one element there and back.
float round_to_dtype(DType dtype, float value);

}  // namespace octavo::tensor
