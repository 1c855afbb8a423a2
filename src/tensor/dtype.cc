// Element types: names, sizes and float conversions. The conversions are exact or round half to even, in
// plain C++, so that every ISA gives the same bits; loading and writing checkpoints call them.
#include "tensor/dtype.h"

#include "base/check.h"

namespace octavo::tensor {
namespace {

struct DTypeInfo {
  DType dtype;
  const char* name;
  int bytes;
};
constexpr DTypeInfo kInfos[] = {
    {DType::kF64, "F64", 8},   {DType::kF32, "F32", 4},        {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2}, {DType::kF8E4M3, "F8_E4M3", 1}, {DType::kF8E5M2, "F8_E5M2", 1},
    {DType::kI64, "I64", 8},   {DType::kI32, "I32", 4},        {DType::kI16, "I16", 2},
    {DType::kI8, "I8", 1},     {DType::kU64, "U64", 8},        {DType::kU32, "U32", 4},
    {DType::kU16, "U16", 2},   {DType::kU8, "U8", 1},          {DType::kBool, "BOOL", 1}};

const DTypeInfo& info(DType dtype) {
  for (const DTypeInfo& entry : kInfos) {
    if (entry.dtype == dtype) return entry;
  }
  OCTAVO_CHECK(false);
  return kInfos[0];
}

}  // namespace

int dtype_bytes(DType dtype) { return info(dtype).bytes; }
const char* dtype_name(DType dtype) { return info(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& entry : kInfos) {
    if (name == entry.name) return entry.dtype;
  }
  return std::nullopt;
}

float f32_from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fU;
  uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  if (mantissa == 0) return std::bit_cast<float>(sign);
  uint32_t shift = 0;  // a denormal half is a normal float
  while ((mantissa & 0x400U) == 0) {
    mantissa <<= 1;
    ++shift;
  }
  return std::bit_cast<float>(sign | ((113 - shift) << 23) | ((mantissa & 0x3ffU) << 13));
}

uint16_t f16_from_f32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7c00U);  // rounds past 65504
  const uint32_t exponent = magnitude >> 23;
  if (exponent < 102) return sign;  // below half the smallest denormal
  // The result's last bit is worth 2^-24 for denormal halves, else 2^(exponent-137).
  const uint32_t drop = exponent < 113 ? 126 - exponent : 13;
  const uint32_t full = (magnitude & 0x7fffffU) | 0x800000U;
  uint32_t kept = full >> drop;
  const uint32_t rest = full & ((1U << drop) - 1);
  const uint32_t half = 1U << (drop - 1);
  if (rest > half || (rest == half && (kept & 1U))) ++kept;
  const uint32_t base =
      exponent < 113 ? 0 : (exponent - 113) << 10;  // the hidden bit adds the missing 1 << 10
  return static_cast<uint16_t>(sign | (base + kept));
}

void convert_to_f32(DType dtype, const void* from, float* to, int64_t n) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kBF16: {
      const auto* source = static_cast<const uint16_t*>(from);
      for (int64_t i = 0; i < n; ++i) to[i] = f32_from_bf16(source[i]);
      return;
    }
    case DType::kF16: {
      const auto* source = static_cast<const uint16_t*>(from);
      for (int64_t i = 0; i < n; ++i) to[i] = f32_from_f16(source[i]);
      return;
    }
    case DType::kF64: {
      const auto* source = static_cast<const double*>(from);
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(source[i]);
      return;
    }
    default:
      OCTAVO_CHECK(false);
  }
}

void convert_from_f32(DType dtype, const float* from, void* to, int64_t n) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kBF16: {
      auto* target = static_cast<uint16_t*>(to);
      for (int64_t i = 0; i < n; ++i) target[i] = bf16_from_f32(from[i]);
      return;
    }
    case DType::kF16: {
      auto* target = static_cast<uint16_t*>(to);
      for (int64_t i = 0; i < n; ++i) target[i] = f16_from_f32(from[i]);
      return;
    }
    default:
      OCTAVO_CHECK(false);
  }
}

float round_to_dtype(DType dtype, float value) {
  uint32_t bits = 0;
  convert_from_f32(dtype, &value, &bits, 1);
  float rounded = 0;
  convert_to_f32(dtype, &bits, &rounded, 1);
  return rounded;
}

}  // namespace octavo::tensor
