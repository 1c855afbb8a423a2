#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/file.h"
#include "base/test_environment.h"

namespace octavo::base {
namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  const Result<Json> tree = parse_json(text, limits);
  return tree.ok() ? "accepted as " + tree->dump() : tree.status().message();
}

Json parsed(std::string_view text) {
  Result<Json> tree = parse_json(text);
  EXPECT_TRUE(tree.ok()) << tree.status().message();
  return tree.ok() ? *tree : Json();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(JsonTest, KeepsTypesAndOrder) {
  const Json tree = parsed(R"( {"b": 1, "a": [true, null, -2.5, "x\u00e9\ud83d\ude00\n"], "c": {}} )");
  ASSERT_TRUE(tree.is_object());
  EXPECT_EQ(tree.as_object()[0].first, "b");
  EXPECT_EQ(tree.find("b")->as_int(), 1);
  const JsonArray& array = tree.find("a")->as_array();
  ASSERT_EQ(array.size(), 4u);
  EXPECT_TRUE(array[0].as_bool());
  EXPECT_TRUE(array[1].is_null());
  EXPECT_EQ(array[2].as_double(), -2.5);
  EXPECT_EQ(array[3].as_string(), "x\xC3\xA9\xF0\x9F\x98\x80\n");
  EXPECT_EQ(tree.find("nothing"), nullptr);
  EXPECT_EQ(array[0].find("key of no object"), nullptr);
}

TEST(JsonTest, NumbersAreExact) {
  EXPECT_EQ(parsed("9223372036854775807").as_int(), INT64_MAX);
  EXPECT_EQ(parsed("-9223372036854775808").as_int(), INT64_MIN);
  EXPECT_TRUE(parsed("9223372036854775808").is_double());
  EXPECT_EQ(parsed("9223372036854775808").as_double(), 9223372036854775808.0);
  EXPECT_EQ(parsed("123456789012345678901234567890").as_double(), 123456789012345678901234567890.0);
  // Values on which a sum of powers of ten is off in the last bit.
  for (const char* text : {"1e-06", "0.1", "5e-324", "2.2250738585072011e-308", "1.7976931348623157e308",
                           "3.14159265358979323846", "7.2057594037927933e16", "8.589973e9", "0.3e-5"}) {
    EXPECT_EQ(parsed(text).as_double(), std::strtod(text, nullptr)) << text;
  }
  EXPECT_EQ(parsed("1e-400").as_double(), 0.0);
  EXPECT_TRUE(std::signbit(parsed("-0.0").as_double()));
  EXPECT_TRUE(std::signbit(parsed("-0").as_double()));
  EXPECT_TRUE(parsed("0").is_int());
  EXPECT_TRUE(parsed("1.0").is_double());
}

TEST(JsonTest, RefusesNumbersThatDoNotFitOrAreNone) {
  for (const char* text : {"1e400", "-1e400", "[1e309]", "1e999999999999", "123e4000000000000000000000"}) {
    EXPECT_TRUE(contains(error_of(text), "does not fit")) << error_of(text);
  }
  for (const char* text :
       {"NaN", "Infinity", "-Infinity", "nan", "01", "+1", ".5", "1.", "0x10", "1e", "-", "--1"}) {
    EXPECT_FALSE(parse_json(text).ok()) << text;
  }
}

TEST(JsonTest, RefusesWhatIsNoJson) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "{'a':1}", "[1 2]", "// x\n1", "\"\x01\"",
                           "\"tab\t\"", "\"\\x41\"", "tru", "{\"a\"}", "{1:2}", "[}"}) {
    EXPECT_FALSE(parse_json(text).ok()) << text;
  }
  EXPECT_TRUE(contains(error_of("1 2"), "more text after the end"));
  EXPECT_TRUE(contains(error_of("[1, {\"a\": "), "ends inside a value"));
  EXPECT_TRUE(contains(error_of("\xEF\xBB\xBF{}"), "byte order mark"));
  EXPECT_FALSE(parse_json("\"\\ud800\"").ok());
  EXPECT_TRUE(contains(error_of("\"\\udc00\""), "surrogate"));
}

TEST(JsonTest, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of("{\n  \"\xC3\xA9\": nope\n}").substr(0, 17), "line 2, column 8:");
}

TEST(JsonTest, RefusesInvalidUtf8) {
  for (const char* text :
       {"\"\xFF\"", "\"\xC0\xAF\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "{\"\xE2\x82\": 1}"}) {
    EXPECT_TRUE(contains(error_of(text), "not valid UTF-8")) << error_of(text);
  }
}

TEST(JsonTest, RefusesDuplicateKeysInSmallAndLargeObjects) {
  EXPECT_TRUE(contains(error_of(R"({"a": 1, "b": {"x": 1, "x": 2}})"), "duplicate key 'x'"));
  std::string text = "{";
  for (int i = 0; i < 5000; ++i) text += "\"k" + std::to_string(i) + "\": 0,";
  EXPECT_TRUE(contains(error_of(text + "\"k77\": 1}"), "duplicate key 'k77'"));
  EXPECT_TRUE(parse_json(text + "\"other\": 1}").ok());
  // The same key by another spelling is the same key.
  EXPECT_TRUE(contains(error_of(R"({"a": 1, "\u0061": 2})"), "duplicate key 'a'"));
}

TEST(JsonTest, HoldsItsLimits) {
  const std::string deep = std::string(10000, '[') + std::string(10000, ']');
  EXPECT_TRUE(contains(error_of(deep), "deeper than 64"));
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')).ok());
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_TRUE(contains(error_of(objects), "deeper than 64"));
  JsonLimits limits;
  limits.max_nodes = 4;
  EXPECT_TRUE(parse_json("[1,2,3]", limits).ok());
  EXPECT_TRUE(contains(error_of("[1,2,3,4]", limits), "more than 4 values"));
  EXPECT_TRUE(contains(error_of("[[],{},[],{}]", limits), "more than 4 values"));
  limits.max_bytes = 3;
  EXPECT_EQ(parse_json("[1]", limits).ok(), true);
  EXPECT_EQ(parse_json("[12]", limits).status().code(), StatusCode::kResourceExhausted);
}

TEST(JsonTest, DumpReadsBackEqual) {
  const Json tree = parsed(
      R"({"a":[1,-2,0.1,1e-06,1e300,1.0,true,null,"q\"\\\u0001\n/é"],"empty":{},"none":[],"n":{"x":{"y":[[]]}}})");
  for (const int indent : {-1, 0, 2}) EXPECT_EQ(parsed(tree.dump(indent)), tree) << tree.dump(indent);
  EXPECT_EQ(parsed(R"({"a": [1, 2.0]})").dump(), R"({"a":[1,2.0]})");
  EXPECT_EQ(parsed(R"({"a":[1],"b":{}})").dump(2), "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}");
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json("a\xFFz").dump(), "\"a\xEF\xBF\xBDz\"");
  EXPECT_EQ(Json(uint64_t{1} << 63).dump(), "9223372036854775808.0");
}

TEST(JsonTest, BuildsTrees) {
  Json tree;
  tree.set("list", Json());
  tree.find("list")->push_back(3);
  tree.find("list")->push_back("x");
  tree.set("list2", JsonArray{});
  tree.set("list2", true);
  EXPECT_EQ(tree.dump(), R"({"list":[3,"x"],"list2":true})");
}

TEST(JsonTest, TypedAccessNamesKeyAndTypes) {
  const Json object = parsed(R"({"i": 3, "d": 2.5, "s": "x", "b": true, "n": null})");
  EXPECT_EQ(*get_int(object, "i"), 3);
  EXPECT_EQ(*get_double(object, "i"), 3.0);
  EXPECT_EQ(*get_string(object, "s"), "x");
  EXPECT_EQ(*get_int(object, "n", 7), 7);
  EXPECT_EQ(*get_double(object, "absent", 0.5), 0.5);
  EXPECT_EQ(*get_string(object, "absent", "d"), "d");
  EXPECT_TRUE(*get_bool(object, "b", false));
  EXPECT_EQ(get_int(object, "s").status().message(), "key 's': expected an integer, found string");
  EXPECT_EQ(get_int(object, "d", 1).status().message(), "key 'd': expected an integer, found number");
  EXPECT_EQ(get_bool(object, "i", true).status().message(), "key 'i': expected a boolean, found integer");
  EXPECT_EQ(get_string(object, "n").status().message(), "key 'n': expected a string, found nothing");
  EXPECT_EQ(get_double(object, "b").status().message(), "key 'b': expected a number, found boolean");
}

TEST(JsonTest, ReadsARealTokenizer) {
  const std::string path = join_path(test_data_folder(), "qwen3-tokenizer/tokenizer.json");
  if (!path_exists(path)) GTEST_SKIP() << "test data " << path << " is missing";
  const Result<Json> tree = read_json_file(path);
  ASSERT_TRUE(tree.ok()) << tree.status().message();
  const Json* model = tree->find("model");
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->find("vocab")->as_object().size(), 151643u);
  EXPECT_EQ(model->find("merges")->as_array().size(), 151387u);
}

TEST(JsonTest, FileErrorsNameThePath) {
  const std::string path = ::testing::TempDir() + "/bad.json";
  ASSERT_TRUE(write_file_atomic(path, "{\"a\": }").ok());
  EXPECT_TRUE(contains(read_json_file(path).status().message(), path + ": line 1, column 7"));
  EXPECT_EQ(read_json_file(path + ".none").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace octavo::base
