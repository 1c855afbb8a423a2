#pragma once
// The program's version, and the version of its float numerics (docs/NUMERICS.md): logits' bits may differ
// between two builds only if kNumericsVersion does.
namespace octavo {
inline constexpr const char* kVersion = "0.1.0";
inline constexpr int kNumericsVersion = 1;
}  // namespace octavo
