// Real tokenizers, which are not part of the project: llama.cpp's test texts and the ids it expects of the
// Qwen2, Llama 3 and Llama 2 vocabularies. Skipped where the data is missing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "base/file.h"
#include "base/test_environment.h"
#include "text/tokenizer.h"

namespace octavo::text {
namespace {

struct Vectors {
  const char* tokenizer;
  const char* name;
};
void PrintTo(const Vectors& vectors, std::ostream* os) { *os << vectors.name; }

class TokenizerData : public testing::TestWithParam<Vectors> {};

TEST_P(TokenizerData, VectorsOfLlamaCpp) {
  const std::string path = base::join_path(base::test_data_folder(), GetParam().tokenizer);
  const std::string stem =
      base::join_path(base::test_data_folder(), "tokenizer-vectors/ggml-vocab-") + GetParam().name + ".gguf";
  if (!base::path_exists(path) || !base::path_exists(stem + ".inp")) GTEST_SKIP() << path << " is missing";
  const auto tokenizer = Tokenizer::load(path);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::string inputs = *base::read_file(stem + ".inp");
  std::istringstream outputs(*base::read_file(stem + ".out"));

  constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
  int n_texts = 0;
  std::string line;
  for (size_t begin = 0; std::getline(outputs, line); ++n_texts) {
    ASSERT_LE(begin, inputs.size());
    const size_t end = std::min(inputs.find(kBetween, begin), inputs.size());
    const std::string text = inputs.substr(begin, end - begin);
    begin = end + kBetween.size();
    std::istringstream numbers(line);
    std::vector<int32_t> expected;
    for (int32_t id; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(*tokenizer->encode(text), expected) << testing::PrintToString(text);
  }
  EXPECT_GT(n_texts, 40);
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerData,
                         testing::Values(Vectors{"qwen2.5-tokenizer/tokenizer.rebuilt.json", "qwen2"},
                                         Vectors{"llama-tokenizer/llama3", "llama-bpe"},
                                         Vectors{"llama-tokenizer/llama2", "llama-spm"}),
                         [](const auto& row) {
                           std::string name = row.param.name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(TokenizerDataQwen3, RoundTripsItsOwnFile) {
  const std::string folder = base::join_path(base::test_data_folder(), "qwen3-tokenizer");
  if (!base::path_exists(folder)) GTEST_SKIP() << folder << " is missing";
  const auto tokenizer = Tokenizer::load(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(tokenizer->eos_id(), 151645);
  EXPECT_EQ(tokenizer->vocab_size(), 151669u);
  const std::string text = *base::read_file(base::join_path(folder, "tokenizer_config.json"));
  const auto ids = tokenizer->encode(text);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*tokenizer->decode(*ids, false), text);
}

}  // namespace
}  // namespace octavo::text
