#pragma once
// A 64-bit hash of bytes (FNV-1a, mixed at the end) to tell texts apart: not against an adversary.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace octavo::base {

class Hash {
 public:
  Hash& add(std::string_view bytes) {
    for (const char c : bytes) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    return *this;
  }
  Hash& add(uint64_t number) {
    for (int i = 0; i < 8; ++i, number >>= 8) state_ = (state_ ^ (number & 255)) * 0x100000001B3ULL;
    return *this;
  }
  uint64_t value() const {  // MurmurHash3's finalizer: every bit of the state moves every bit of the value
    uint64_t x = state_;
    x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDULL;
    x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53ULL;
    return x ^ (x >> 33);
  }

 private:
  uint64_t state_ = 0xCBF29CE484222325ULL;
};

// 16 digits.
inline std::string hex(uint64_t number) {
  std::string text(16, '0');
  for (size_t i = text.size(); i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15];
  return text;
}

}  // namespace octavo::base
