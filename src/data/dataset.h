#pragma once
// Calibration samples: a data set's texts as tokens. There is never padding: a sample has its own length, so
// nothing that is no token enters a statistic.
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/status.h"

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace octavo::data {

struct TokenSample {
  std::vector<int32_t> ids;  // at least one
  std::string subject;       // C-Eval's subject; empty for other sources
};

// "ceval:FOLDER[@dev|val|test]", "text:FILE" or "jsonl:FILE".
struct DatasetSpec {
  enum class Kind { kCeval, kText, kJsonl };
  Kind kind = Kind::kText;
  std::string path;
  std::string split;  // C-Eval only; empty: test, or dev where there is no test (val is what one scores with)
};
Result<DatasetSpec> parse_dataset_spec(const std::string& spec);

struct SampleOptions {
  int64_t n_samples = 128;      // at most; a smaller data set gives all it has
  int64_t length_tokens = 512;  // samples are cut to this
  uint64_t seed = 0;            // decides which are taken, and their order, alone
};

// Texts begin with the tokenizer's BOS where it adds one. chat_template may be null; messages then are an
// error.
Result<std::vector<TokenSample>> load_samples(const DatasetSpec& spec, const SampleOptions& options,
                                              const text::Tokenizer& tokenizer,
                                              const text::ChatTemplate* chat_template);

}  // namespace octavo::data
