#include "base/yaml.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace octavo::base {
namespace {

Json parsed(std::string_view text) {
  Result<Json> tree = parse_yaml(text);
  EXPECT_TRUE(tree.ok()) << tree.status().message();
  return tree.ok() ? *tree : Json("failed");
}

std::string error_of(std::string_view text) {
  const Result<Json> tree = parse_yaml(text);
  return tree.ok() ? "accepted as " + tree->dump() : tree.status().message();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(YamlTest, ReadsARecipe) {
  const Json tree = parsed(R"(
# a recipe
smoothing:
  alpha: 0.5        # migration strength
  groups: [qkv, "gate up"]
ignore:
  - lm_head
  - 're:.*gate$'
text: |
  two
  lines
)");
  EXPECT_EQ(
      tree.dump(),
      R"({"smoothing":{"alpha":0.5,"groups":["qkv","gate up"]},"ignore":["lm_head","re:.*gate$"],"text":"two\nlines\n"})");
}

TEST(YamlTest, PlainScalarsFollowTheCoreSchema) {
  EXPECT_EQ(parsed("[null, ~, Null, '']").dump(), R"([null,null,null,""])");
  EXPECT_EQ(parsed("[true, False, TRUE, yes, no, on]").dump(), R"([true,false,true,"yes","no","on"])");
  EXPECT_EQ(parsed("[1, -2, +3, 0o17, 0xFF, 007]").dump(), "[1,-2,3,15,255,7]");
  EXPECT_EQ(parsed("[1.5, 1e3, .5, 5., -1.5e-3, +2.0]").dump(), "[1.5,1000.0,0.5,5.0,-0.0015,2.0]");
  EXPECT_EQ(parsed("[1.2.3, 1e, ., -, e5, 0x, 0o8, 1_000, 12:30]").dump(),
            R"(["1.2.3","1e",".","-","e5","0x","0o8","1_000","12:30"])");
  EXPECT_EQ(parsed("['1', \"true\"]").dump(), R"(["1","true"])");
  EXPECT_EQ(parsed("99999999999999999999").as_double(), 1e20);
  EXPECT_EQ(parsed("a:\nb: ").dump(), R"({"a":null,"b":null})");
}

TEST(YamlTest, EmptyTextIsNull) {
  EXPECT_TRUE(parsed("").is_null());
  EXPECT_TRUE(parsed("# nothing\n---\n").is_null());
}

TEST(YamlTest, RefusesWhatRecipesDoNotNeed) {
  EXPECT_TRUE(contains(error_of("a: &x 1\nb: 2"), "anchor"));
  EXPECT_TRUE(contains(error_of("a: &x [1]\nb: *x"), "anchor"));
  EXPECT_TRUE(contains(error_of("b: *x"), "alias"));
  EXPECT_TRUE(contains(error_of("a: !!int '3'"), "tag"));
  EXPECT_TRUE(contains(error_of("a: !python/object:os.system x"), "tag"));
  EXPECT_TRUE(contains(error_of("a: 1\nb: 2\na: 3"), "line 3, column 1: duplicate key 'a'"));
  EXPECT_TRUE(contains(error_of("a: 1\n---\nb: 2"), "second document"));
  EXPECT_TRUE(contains(error_of("a: .inf"), "not finite"));
  EXPECT_TRUE(contains(error_of("a: 1e400"), "does not fit"));
  EXPECT_TRUE(contains(error_of("? [a, b]\n: 1"), "used as a key"));
  EXPECT_TRUE(contains(error_of("a: \xFF"), "not valid UTF-8"));
}

TEST(YamlTest, SyntaxErrorsNameTheLine) {
  EXPECT_TRUE(contains(error_of("a: 1\nb: [1, 2\nc: 3"), "not YAML"));
  EXPECT_TRUE(contains(error_of("a: 1\n\tb: 2"), "line 2"));
}

TEST(YamlTest, HoldsItsLimits) {
  EXPECT_TRUE(contains(error_of(std::string(100000, '[')), "deeper than 64"));
  JsonLimits limits;
  limits.max_nodes = 3;
  EXPECT_EQ(parse_yaml("[1, 2, 3]", limits).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(parse_yaml(std::string(9 << 20, ' ')).status().code(), StatusCode::kResourceExhausted);
}

TEST(YamlTest, TheNameDecidesBetweenJsonAndYaml) {
  const std::string folder = ::testing::TempDir();
  ASSERT_TRUE(write_file_atomic(folder + "/r.json", "{\"a\": 1}").ok());
  ASSERT_TRUE(write_file_atomic(folder + "/r.yaml", "a: 1").ok());
  ASSERT_TRUE(write_file_atomic(folder + "/bad.json", "a: 1").ok());
  EXPECT_EQ(read_yaml_or_json_file(folder + "/r.json")->dump(), R"({"a":1})");
  EXPECT_EQ(read_yaml_or_json_file(folder + "/r.yaml")->dump(), R"({"a":1})");
  EXPECT_FALSE(read_yaml_or_json_file(folder + "/bad.json").ok());
}

}  // namespace
}  // namespace octavo::base
