#pragma once
// The post-processor of tokenizer.json: the special tokens around a text's ids.
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"

namespace octavo::text {

struct PostProcessor {
  // The object under the key "post_processor", or null for none.
  static Result<PostProcessor> from_json(const base::Json* post_processor);

  std::vector<int32_t> before, after;  // ids that go around a text with special tokens
};

}  // namespace octavo::text
