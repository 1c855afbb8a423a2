#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

namespace octavo::text {
namespace {

// A byte-level tokenizer of the 256 bytes and a few merges; `parts` are further members of the outer object.
std::string byte_level_json(const std::string& parts = "", const std::string& vocab = "",
                            const std::string& merges = "") {
  std::string tokens;
  const auto demo = base::read_json_file(OCTAVO_SOURCE_DIR "/models/demo/tokenizer.json");
  EXPECT_TRUE(demo.ok());
  for (const auto& [token, id] : demo->find("model")->find("vocab")->as_object()) {
    if (id.as_int() < 256) tokens += base::Json(token).dump() + ":" + id.dump() + ",";
  }
  return R"({"version":"1.0","decoder":{"type":"ByteLevel"},)" + parts +
         R"("model":{"type":"BPE","vocab":{)" + tokens + R"("th":256,"the":257)" + vocab +
         R"(},"merges":["t h",["th","e"])" + merges + "]}}";
}

constexpr const char* kByteLevel = R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)";

Result<Tokenizer> from_text(const std::string& tokenizer, const std::string& config = "null") {
  OCTAVO_ASSIGN_OR_RETURN(const base::Json tree, base::parse_json(tokenizer));
  OCTAVO_ASSIGN_OR_RETURN(const base::Json config_tree, base::parse_json(config));
  return Tokenizer::from_json(tree, config_tree);
}

// Loading fails with `code` and a message that has all of `words`.
void expect_refused(const std::string& tokenizer, StatusCode code, const std::vector<std::string>& words) {
  const auto result = from_text(tokenizer);
  ASSERT_FALSE(result.ok()) << tokenizer.substr(0, 200);
  EXPECT_EQ(result.status().code(), code) << result.status().message();
  for (const std::string& word : words) {
    EXPECT_NE(result.status().message().find(word), std::string::npos)
        << word << ": " << result.status().message();
  }
}

std::string model(const std::string& vocab, const std::string& merges, const std::string& parts = "") {
  return "{" + parts + R"("model":{"type":"BPE","vocab":)" + vocab + R"(,"merges":)" + merges + "}}";
}

TEST(Tokenizer, DemoModel) {
  const auto tokenizer = Tokenizer::load(OCTAVO_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(tokenizer->vocab_size(), 12288u);
  EXPECT_EQ(tokenizer->id_limit(), 12288);
  EXPECT_FALSE(tokenizer->bos_id());
  EXPECT_EQ(tokenizer->eos_token(), "<|endoftext|>");
  EXPECT_EQ(tokenizer->eos_id(), 12279);
  EXPECT_TRUE(tokenizer->is_special(12279));
  EXPECT_FALSE(tokenizer->is_special(0));
  EXPECT_FALSE(tokenizer->is_special(-1));
  EXPECT_EQ(tokenizer->token_to_id("<|im_start|>"), 12280);
  EXPECT_EQ(tokenizer->id_to_token(12280), "<|im_start|>");
  EXPECT_FALSE(tokenizer->id_to_token(12288));
  EXPECT_FALSE(tokenizer->token_to_id("no such token"));

  const std::string text =
      "<|im_start|>user\nThe wheel, caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80<|im_end|>\n";
  const auto ids = tokenizer->encode(text);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->front(), 12280);
  EXPECT_EQ(*tokenizer->decode(*ids, false), text);
  EXPECT_EQ(tokenizer->decode(*ids, true)->substr(0, 5), "user\n");
}

TEST(Tokenizer, LoadNamesTheFile) {
  const auto missing = Tokenizer::load("/nonexistent/folder");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("/nonexistent/folder"), std::string::npos);
  const auto wrong = Tokenizer::load(OCTAVO_SOURCE_DIR "/models/demo/config.json");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.status().message().find("config.json"), std::string::npos) << wrong.status().message();
}

TEST(Tokenizer, SpecialTokensInTextCanBePlain) {
  const auto tokenizer = from_text(
      byte_level_json(std::string(kByteLevel) +
                      R"("added_tokens":[{"id":258,"content":"<e>","special":true,"normalized":false},)"
                      R"({"id":259,"content":"<x>","special":false,"normalized":false}],)"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(*tokenizer->encode("a<e>"), (std::vector<int32_t>{64, 258}));
  const auto plain = tokenizer->encode("a<e><x>", {.parse_special_tokens = false});
  EXPECT_EQ(*plain, (std::vector<int32_t>{64, 27, 68, 29, 259}));
  EXPECT_EQ(*tokenizer->decode(*plain, true), "a<e><x>");
}

TEST(Tokenizer, InvalidUtf8NamesTheByte) {
  const auto tokenizer = from_text(byte_level_json(kByteLevel));
  ASSERT_TRUE(tokenizer.ok());
  const std::string faults[] = {"\xff", "\xc3", "\xe4\xbd", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                "\x80"};
  for (const std::string& fault : faults) {
    for (const char* tail : {"", " b"}) {
      const auto ids = tokenizer->encode("abc" + fault + tail);
      ASSERT_FALSE(ids.ok());
      EXPECT_EQ(ids.status().code(), StatusCode::kInvalidArgument);
      EXPECT_NE(ids.status().message().find("byte 3"), std::string::npos) << ids.status().message();
    }
  }
}

TEST(Tokenizer, DecodeLeavesOutUnknownIdsAndReplacesInvalidBytes) {
  const auto tokenizer = from_text(byte_level_json(kByteLevel));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(*tokenizer->decode(std::vector<int32_t>{64, 5000, 1 << 30, 65}, false), "ab");
  const int32_t lead = *tokenizer->token_to_id("\xc3\xa4");  // stands for byte 0xE4
  EXPECT_EQ(*tokenizer->decode(std::vector<int32_t>{64, lead, 65}, false),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{-1}, false).status().code(), StatusCode::kInvalidArgument);
}

TEST(Tokenizer, BosAndEosComeFromTheConfig) {
  const std::string tokenizer =
      byte_level_json(std::string(kByteLevel) + R"("added_tokens":[{"content":"<s>","special":true}],)");
  const auto named =
      from_text(tokenizer, R"({"bos_token":{"content":"<s>","lstrip":false},"eos_token":"the"})");
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->bos_id(), 258);
  EXPECT_EQ(named->eos_id(), 257);
  const auto unknown = from_text(tokenizer, R"({"bos_token":null,"eos_token":"</s>"})");
  ASSERT_TRUE(unknown.ok());
  EXPECT_EQ(unknown->bos_token(), "");
  EXPECT_EQ(unknown->eos_token(), "</s>");
  EXPECT_FALSE(unknown->eos_id());
  EXPECT_FALSE(from_text(tokenizer, R"({"eos_token":3})").ok());
}

TEST(Tokenizer, WhatIsNotKnownIsRefusedByName) {
  const auto with = [](const std::string& part) { return byte_level_json(part + ","); };
  const auto unsupported = StatusCode::kUnsupported;
  expect_refused(R"({"model":{"type":"WordPiece","vocab":{}}})", unsupported, {"WordPiece"});
  expect_refused(R"({"model":{"type":"Unigram","vocab":[]}})", unsupported, {"Unigram"});
  expect_refused(with(R"("normalizer":{"type":"BertNormalizer"})"), unsupported,
                 {"normalizer", "BertNormalizer"});
  expect_refused(with(R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Precompiled"}]})"),
                 unsupported, {"Precompiled"});
  expect_refused(with(R"("pre_tokenizer":{"type":"UnicodeScripts"})"), unsupported, {"UnicodeScripts"});
  expect_refused(with(R"("post_processor":{"type":"RobertaProcessing"})"), unsupported,
                 {"RobertaProcessing"});
  expect_refused(R"({"decoder":{"type":"CTC"},"model":{"vocab":{"a":0},"merges":[]}})", unsupported,
                 {"decoder", "CTC"});
  expect_refused(R"({"version":"2.0","model":{"vocab":{"a":0},"merges":[]}})", unsupported, {"2.0"});
  expect_refused(R"({"model":{"vocab":{"a":0},"merges":[],"dropout":0.1}})", unsupported, {"dropout"});
  expect_refused(
      with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Removed"})"),
      unsupported, {"intersection"});
}

TEST(Tokenizer, DamagedFilesAreRefusedByName) {
  const auto corrupt = StatusCode::kCorrupt;
  expect_refused("[]", corrupt, {"array"});
  expect_refused("{}", corrupt, {"model"});
  expect_refused(R"({"model":{"type":"BPE","merges":[]}})", corrupt, {"vocab"});
  expect_refused(model(R"(["a"])", "[]"), corrupt, {"vocab", "array"});
  expect_refused(model(R"({"a":0,"b":0})", "[]"), corrupt, {"id 0", "'a'", "'b'"});
  expect_refused(model(R"({"a":-1})", "[]"), corrupt, {"'a'", "-1"});
  expect_refused(model(R"({"a":100000000})", "[]"), corrupt, {"'a'", "100000000"});
  expect_refused(model(R"({"a":1.5})", "[]"), corrupt, {"'a'", "1.5"});
  expect_refused(model(R"({"a":0,"b":1})", R"(["a c"])"), corrupt, {"merge 0", "'c'"});
  expect_refused(model(R"({"a":0,"b":1})", R"([["a","b"]])"), corrupt, {"merge 0", "'ab'"});
  expect_refused(model(R"({"a":0,"b":1})", R"(["ab"])"), corrupt, {"merge 0", "'ab'"});
  expect_refused(model(R"({"a":0,"b":1})", R"([["a"]])"), corrupt, {"merge 0"});
  expect_refused(model(R"({"a":0})", "[]", R"("pre_tokenizer":{"type":"Metaspace","replacement":"xy"},)"),
                 corrupt, {"Metaspace", "'xy'"});
  expect_refused(
      model(R"({"a":0})", "[]",
            R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"s"}},)"
            R"({"Sequence":{"id":"A"}}],"special_tokens":{"s":{"ids":[7]}}},)"),
      corrupt, {"post_processor", "id 7"});
  // A lone surrogate is no text; the JSON reader refuses it.
  EXPECT_FALSE(base::parse_json(model(R"({"\ud800":0})", "[]")).ok());
}

TEST(Tokenizer, HolesInTheIdsAreNoTokens) {
  const auto tokenizer = from_text(model(R"({"a":3,"b":70,"ab":9})", R"(["a b"])"));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->vocab_size(), 3u);
  EXPECT_EQ(tokenizer->id_limit(), 71);
  EXPECT_EQ(*tokenizer->encode("aba"), (std::vector<int32_t>{9, 3}));
  EXPECT_FALSE(tokenizer->id_to_token(4));
  EXPECT_EQ(*tokenizer->decode(std::vector<int32_t>{9, 4, 3}, false), "ab a");
}

TEST(Tokenizer, AddedTokensThatCollide) {
  const auto parts = [](const std::string& tokens) { return R"("added_tokens":[)" + tokens + "],"; };
  // The next free id after two tokens is 2, which "c" has.
  expect_refused(model(R"({"a":0,"c":2})", "[]", parts(R"({"content":"x"})")), StatusCode::kCorrupt,
                 {"'x'", "'c'", "id 2"});
  // Two that lower-casing makes equal.
  expect_refused(model(R"({"a":0})", "[]",
                       R"("normalizer":{"type":"Lowercase"},)" + parts(R"({"content":"X"},{"content":"x"})")),
                 StatusCode::kCorrupt, {"'x'"});
  // One in the vocabulary keeps its id; of overlapping ones the leftmost, then the longest is found; twice is
  // once.
  const auto tokenizer = from_text(model(
      R"({"a":0,"b":1})", "[]",
      parts(
          R"({"content":"a"},{"content":"ab"},{"content":"abab"},{"content":"bb"},{"content":"ab"},{"content":""})")));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(tokenizer->vocab_size(), 5u);
  EXPECT_EQ(*tokenizer->encode("abababb"), (std::vector<int32_t>{3, 2, 1}));
}

TEST(Tokenizer, UnknownTokenMissingFromTheVocabularyIsAnErrorOnceNeeded) {
  const auto tokenizer =
      from_text(R"({"model":{"type":"BPE","unk_token":"<unk>","vocab":{"a":0},"merges":[]}})");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_TRUE(tokenizer->encode("aa").ok());
  const auto ids = tokenizer->encode("ab");
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("'<unk>'"), std::string::npos) << ids.status().message();
  EXPECT_TRUE(tokenizer->encode("aa").ok());
}

TEST(Tokenizer, WordsOfTenMegabytes) {
  const auto with_pattern =
      from_text(byte_level_json(kByteLevel, R"(,"aa":258,"aaaa":259)", R"(,"a a","aa aa")"));
  ASSERT_TRUE(with_pattern.ok()) << with_pattern.status().message();
#ifdef NDEBUG
  constexpr size_t kBytes = 10'000'000;
#else
  constexpr size_t kBytes = 1'000'000;  // the same, in the time that an unoptimized build takes
#endif
  const auto letters = with_pattern->encode(std::string(kBytes, 'a'));
  ASSERT_TRUE(letters.ok());
  EXPECT_EQ(*letters, std::vector<int32_t>(kBytes / 4, 259));
  EXPECT_EQ(with_pattern->encode(std::string(1'000'000, ' '))->size(), 1'000'000u);

  const auto without = from_text(model(R"({"a":0,"b":1,"ab":2,"abab":3})", R"(["a b","ab ab"])"));
  ASSERT_TRUE(without.ok());
  std::string text;
  while (text.size() < 1'000'000) text += "abba";
  EXPECT_EQ(without->encode(text)->size(), 750'000u);
}

TEST(Tokenizer, TextsOfUnboundedSizeAreRefused) {
  const auto tokenizer = from_text(byte_level_json(kByteLevel));
  const auto ids = tokenizer->encode(std::string((size_t{64} << 20) + 1, 'a'));
  EXPECT_EQ(ids.status().code(), StatusCode::kResourceExhausted);
}

TEST(Tokenizer, PatternsThatBlowUpAndTextsThatGrowAreErrors) {
  const auto blow_up = from_text(byte_level_json(
      R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"},)"));
  ASSERT_TRUE(blow_up.ok()) << blow_up.status().message();
  const auto ids = blow_up->encode(std::string(3000, 'a') + "b");
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ids.status().code(), StatusCode::kResourceExhausted);

  const std::string step =
      R"({"type":"Replace","pattern":{"String":"a"},"content":")" + std::string(1000, 'a') + R"("})";
  const auto growing = from_text(byte_level_json(R"("normalizer":{"type":"Sequence","normalizers":[)" + step +
                                                 "," + step + "," + step + "," + step + "]},"));
  ASSERT_TRUE(growing.ok());
  EXPECT_EQ(growing->encode("a").status().code(), StatusCode::kResourceExhausted);
}

TEST(Tokenizer, ThreadsShareOne) {
  const auto tokenizer = Tokenizer::load(OCTAVO_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(tokenizer.ok());
  const std::string text =
      "It was a bright cold day in April, and the clocks were striking thirteen. 12345\n";
  const auto expected = *tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::vector<int> n_equal(4);
  for (size_t t = 0; t < n_equal.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) n_equal[t] += *tokenizer->encode(text) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_equal, std::vector<int>(4, 50));
}

}  // namespace
}  // namespace octavo::text
