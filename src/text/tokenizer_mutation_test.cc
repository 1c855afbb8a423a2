// The fuzzer's deterministic twin: valid tokenizers with a few bytes changed, texts of any bytes.
#include <gtest/gtest.h>

#include <random>

#include "text/tokenizer_exercise.h"

namespace octavo::text {
namespace {

// What turns up in such files, so that many mutants stay JSON and get past the first check.
constexpr std::string_view kScraps[] = {"null",
                                        "true",
                                        "false",
                                        "0",
                                        "-1",
                                        "1",
                                        "7",
                                        "255",
                                        "4294967296",
                                        "1e9",
                                        "\"\"",
                                        "\"a\"",
                                        "[]",
                                        "{}",
                                        "\"Sequence\"",
                                        "\"ByteLevel\"",
                                        "\"Metaspace\"",
                                        "\"Replace\"",
                                        "\"Fuse\"",
                                        "\"Strip\"",
                                        "\"NFKC\"",
                                        "\"Regex\"",
                                        "\"String\"",
                                        "\"Removed\"",
                                        "\"MergedWithNext\"",
                                        "\\\\s+",
                                        "(a+)+",
                                        "\\u2581",
                                        " ",
                                        ",",
                                        ":",
                                        "a",
                                        "<s>",
                                        "<0x41>"};

std::string mutated(const std::string& json, std::mt19937& random) {
  std::string result = json;
  // The model is half of the file; changes go mostly to the components before it.
  const size_t n_head = std::min(result.size(), std::max<size_t>(result.find("\"model\""), 1));
  for (auto n = 1 + random() % 3; n > 0; --n) {
    const size_t at = random() % (random() % 8 ? n_head : result.size());
    if (random() % 3 == 0) {
      result[at] = static_cast<char>(random() % 256);
      continue;
    }
    // A whole value or word in exchange for another.
    size_t end = at + 1;
    while (end < result.size() && end - at < 24 &&
           std::string_view(",:{}[]\"").find(result[end]) == std::string_view::npos) {
      ++end;
    }
    result.replace(at, random() % 2 ? end - at : 0, kScraps[random() % std::size(kScraps)]);
  }
  return result;
}

TEST(TokenizerMutation, DamagedFilesAndTextsNeverCrash) {
  const auto models = base::read_json_file(OCTAVO_SOURCE_DIR "/tests/data/tokenizer/models.json");
  const auto rows = base::read_json_file(OCTAVO_SOURCE_DIR "/tests/data/tokenizer/components.json");
  ASSERT_TRUE(models.ok() && rows.ok());
  std::mt19937 random(5);
  int n_accepted = 0, n_refused = 0;
  for (const base::Json& row : rows->as_array()) {
    base::Json tree = *row.find("tokenizer");
    tree.set("model", models->as_array()[static_cast<size_t>(row.find("model")->as_int())]);
    const std::string json = tree.dump();
    for (int round = 0; round < 20; ++round) {
      std::string text =
          row.find("cases")->as_array()[static_cast<size_t>(round) % 12].find("text")->as_string();
      if (round % 4 == 0 && !text.empty()) text[random() % text.size()] = static_cast<char>(random() % 256);
      exercise_tokenizer(mutated(json, random), text) ? ++n_accepted : ++n_refused;
    }
  }
  EXPECT_GT(n_accepted, 50);
  EXPECT_GT(n_refused, 50);
}

}  // namespace
}  // namespace octavo::text
