// What the `tokenizers` package makes of many texts, for small tokenizers that use every component and for
// the demo model's (tests/data/tokenizer, written by tools/make_tokenizer_vectors.py).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace octavo::text {
namespace {

base::Json read(const std::string& name) {
  auto tree = base::read_json_file(OCTAVO_SOURCE_DIR "/tests/data/tokenizer/" + name);
  EXPECT_TRUE(tree.ok()) << tree.status().message();
  return tree.ok() ? std::move(*tree) : base::Json();
}

std::vector<int32_t> ids_of(const base::Json& array) {
  std::vector<int32_t> ids;
  for (const base::Json& id : array.as_array()) ids.push_back(static_cast<int32_t>(id.as_int()));
  return ids;
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip_special_tokens) {
  auto stream = StreamDecoder::create(tokenizer, skip_special_tokens);
  EXPECT_TRUE(stream.ok());
  std::string text;
  for (const int32_t id : ids) text += *stream->push(id);
  return text + *stream->flush();
}

void check(const Tokenizer& tokenizer, const base::Json& expected, const std::string& where) {
  const std::vector<int32_t> ids = ids_of(*expected.find("ids"));
  std::string decoded;
  if (const base::Json* text = expected.find("text")) {
    decoded = text->as_string();
    const auto found = tokenizer.encode(text->as_string(), false);
    ASSERT_TRUE(found.ok()) << where << ": " << found.status().message();
    EXPECT_EQ(*found, ids) << where;
    const base::Json* with_special = expected.find("ids_with_special");
    const auto found_with_special = tokenizer.encode(text->as_string(), true);
    EXPECT_EQ(*found_with_special, with_special ? ids_of(*with_special) : ids) << where;
  }
  if (const base::Json* other = expected.find("decoded")) decoded = other->as_string();
  std::string without_special = decoded;
  if (const base::Json* other = expected.find("decoded_without_special"))
    without_special = other->as_string();
  EXPECT_EQ(*tokenizer.decode(ids, false), decoded) << where;
  EXPECT_EQ(streamed(tokenizer, ids, false), decoded) << where;
  if (!expected.find("text")) return;
  EXPECT_EQ(*tokenizer.decode(ids, true), without_special) << where;
  EXPECT_EQ(streamed(tokenizer, ids, true), without_special) << where;
}

TEST(TokenizerVectors, EveryComponent) {
  const base::Json models = read("models.json"), rows = read("components.json");
  ASSERT_GT(rows.as_array().size(), 40u);
  for (const base::Json& row : rows.as_array()) {
    base::Json tree = *row.find("tokenizer");
    tree.set("model", models.as_array()[static_cast<size_t>(row.find("model")->as_int())]);
    const std::string name = row.find("name")->as_string();
    const auto tokenizer = Tokenizer::from_json(tree, {});
    ASSERT_TRUE(tokenizer.ok()) << name << ": " << tokenizer.status().message();
    for (const base::Json& expected : row.find("cases")->as_array()) {
      check(*tokenizer, expected, name + ": " + expected.dump());
    }
  }
}

TEST(TokenizerVectors, DemoModel) {
  const auto tokenizer = Tokenizer::load(OCTAVO_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const base::Json cases = read("demo.json");
  ASSERT_GT(cases.as_array().size(), 150u);
  for (const base::Json& expected : cases.as_array()) check(*tokenizer, expected, expected.dump());
}

}  // namespace
}  // namespace octavo::text
