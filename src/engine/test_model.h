#pragma once
// What the engine's tests run on. For tests alone.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/loaded_model.h"

namespace octavo::engine {

inline const std::string kDemo = OCTAVO_SOURCE_DIR "/models/demo";

inline LoadedModel& demo() {
  static std::unique_ptr<LoadedModel> loaded = [] {
    auto result = LoadedModel::load(kDemo, {.n_threads = 2});
    EXPECT_TRUE(result.ok()) << result.status().message();
    return std::move(result).value();
  }();
  return *loaded;
}

// Any tokens will do: what is compared are runs of the same model.
inline std::vector<int32_t> tokens_of(size_t n) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(300 + i * 37 % 5000));
  return tokens;
}

}  // namespace octavo::engine
