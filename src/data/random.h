#pragma once
// A small random generator whose numbers are the same everywhere (std::shuffle's are the library's choice):
// splitmix64 (Steele, Lea, Flood 2014), and what sampling needs of it.
#include <cstdint>
#include <utility>
#include <vector>

namespace octavo::data {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }

  // In [0, n), n > 0, without bias.
  uint64_t below(uint64_t n) {
    const uint64_t rejected = (0 - n) % n;  // 2^64 mod n
    uint64_t value = next();
    while (value < rejected) value = next();
    return value % n;
  }

  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace octavo::data
