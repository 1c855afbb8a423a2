#pragma once
// What tests ask of where they run: the folder of large test data, and how they were built. For tests alone.
#include <cstdlib>
#include <string>

namespace octavo::base {

// $OCTAVO_DATA, or the data folder beside the checkout. It may not exist: a test then says that it skips.
inline std::string test_data_folder() {
  const char* chosen = std::getenv("OCTAVO_DATA");
  return chosen != nullptr ? chosen : OCTAVO_SOURCE_DIR "/../shared/data";
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace octavo::base
