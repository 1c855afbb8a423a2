#include "engine/loaded_model.h"

#include <gtest/gtest.h>

#include "engine/test_model.h"

namespace octavo::engine {
namespace {

TEST(LoadedModel, RefusesContextsAndThreadsOutOfRange) {
  EXPECT_EQ(LoadedModel::load(kDemo, {.n_threads = -1}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadedModel::load(kDemo, {.n_threads = 1 << 20}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadedModel::load(kDemo, {.n_threads = 1, .max_context = 0}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadedModel::load(kDemo, {.n_threads = 1, .max_context = 513}).status().code(),
            StatusCode::kInvalidArgument);
  const auto loaded = LoadedModel::load(kDemo, {.n_threads = 1, .max_context = 100});
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->max_context(), 100);
}

}  // namespace
}  // namespace octavo::engine
