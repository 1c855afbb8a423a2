#include "text/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "base/json.h"
#include "base/text_format.h"

namespace octavo::text {
namespace {

Tokenizer demo() {
  auto tokenizer = Tokenizer::load(OCTAVO_SOURCE_DIR "/models/demo");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

// Llama's decoder over a vocabulary of bytes and a few words.
Tokenizer byte_fallback() {
  std::string vocab = R"("▁":256,"▁a":257,"b":258)";
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof(token), "<0x%02X>", static_cast<unsigned>(byte));
    vocab += ",\"" + std::string(token) + "\":" + std::to_string(byte);
  }
  const auto tree =
      base::parse_json(R"({"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":)"
                       R"({"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},)"
                       R"({"type":"Strip","content":" ","start":1,"stop":0}]},"model":{"vocab":{)" +
                       vocab + R"(},"merges":[]}})");
  EXPECT_TRUE(tree.ok());
  auto tokenizer = Tokenizer::from_json(*tree, {});
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

struct Streamed {
  std::vector<std::string> parts;  // the last one from flush()
  std::string text;
  std::optional<size_t> stopped_by;
};

Streamed stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                std::vector<std::string> stops = {}) {
  auto decoder = StreamDecoder::create(tokenizer, false, std::move(stops));
  EXPECT_TRUE(decoder.ok()) << decoder.status().message();
  Streamed result;
  for (const int32_t id : ids) result.parts.push_back(*decoder->push(id));
  result.parts.push_back(*decoder->flush());
  for (const std::string& part : result.parts) {
    EXPECT_TRUE(base::is_valid_utf8(part));
    result.text += part;
  }
  result.stopped_by = decoder->stopped_by();
  return result;
}

// A token for each character of an ASCII text.
std::vector<int32_t> character_ids(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(tokenizer.encode(std::string(1, c))->at(0));
  return ids;
}

TEST(StreamDecoder, HoldsBackHalfCharacters) {
  const Tokenizer tokenizer = byte_fallback();
  const Streamed a = stream(tokenizer, {257, 0xE4, 0xBD, 0xA0, 258});
  EXPECT_EQ(a.parts, (std::vector<std::string>{"a", "", "", "",
                                               "\xe4\xbd\xa0"
                                               "b",
                                               ""}));
  // A run of bytes counts as a whole: one wrong byte spoils it all, as decode() has it.
  const Streamed b = stream(tokenizer, {257, 0xE4, 0xBD, 0xA0, 0xFF, 258});
  EXPECT_EQ(b.text,
            "a\uFFFD\uFFFD\uFFFD\uFFFD"
            "b");
  EXPECT_EQ(stream(tokenizer, {0xE4, 0xBD}).parts.back(), "\uFFFD\uFFFD");
}

TEST(StreamDecoder, StripsOnlyTheFirstSpace) {
  const Tokenizer tokenizer = byte_fallback();
  EXPECT_EQ(stream(tokenizer, {256, 257, 257}).parts, (std::vector<std::string>{"", " a", " a", ""}));
  EXPECT_EQ(stream(tokenizer, {}).text, "");
}

TEST(StreamDecoder, EqualsDecodeForAnyIds) {
  std::mt19937 random(7);
  for (const Tokenizer& tokenizer : {demo(), byte_fallback()}) {
    for (int round = 0; round < 400; ++round) {
      std::vector<int32_t> ids(random() % 30);
      // Half of them from the 256 bytes, so that characters come out cut and broken in every way.
      for (int32_t& id : ids) {
        id = static_cast<int32_t>(random() %
                                  (random() % 2 ? 256 : static_cast<unsigned>(tokenizer.id_limit()) + 3));
      }
      EXPECT_EQ(stream(tokenizer, ids).text, *tokenizer.decode(ids, false));
    }
  }
}

TEST(StreamDecoder, ByteLevelEmitsACharacterWithItsLastByte) {
  const Tokenizer tokenizer = demo();
  const int32_t lead = *tokenizer.token_to_id("\xc3\xb0");  // byte 0xF0
  EXPECT_EQ(stream(tokenizer, {lead, lead}).parts, (std::vector<std::string>{"", "\uFFFD", "\uFFFD"}));
  const auto smile = *tokenizer.encode("\xf0\x9f\x98\x80");
  const Streamed result = stream(tokenizer, smile);
  EXPECT_EQ(result.text, "\xf0\x9f\x98\x80");
  EXPECT_EQ(result.parts[smile.size() - 1], "\xf0\x9f\x98\x80");
}

TEST(StreamDecoder, StopStringsAreFoundAcrossTokens) {
  const Tokenizer tokenizer = demo();
  const auto ids = character_ids(tokenizer, "one two END three");
  const Streamed result = stream(tokenizer, ids, {"END"});
  EXPECT_EQ(result.text, "one two ");
  EXPECT_EQ(result.stopped_by, 0u);
  EXPECT_EQ(result.parts[8], "");   // E is held back
  EXPECT_EQ(result.parts[11], "");  // nothing after the stop
}

TEST(StreamDecoder, FalseBeginningsAreGivenOutLater) {
  const Tokenizer tokenizer = demo();
  const Streamed result = stream(tokenizer, character_ids(tokenizer, "aab aaac ENE EN"), {"aaab", "END"});
  EXPECT_EQ(result.text, "aab aaac ENE EN");
  EXPECT_FALSE(result.stopped_by);
  EXPECT_EQ(result.parts.back(), "EN");
}

TEST(StreamDecoder, TheStopThatEndsFirstWinsAndThenTheLongest) {
  const Tokenizer tokenizer = demo();
  const auto in_characters = character_ids(tokenizer, "xabcdy");
  const auto in_one = *tokenizer.encode("xabcdy");
  for (const auto& ids : {in_characters, in_one}) {
    EXPECT_EQ(stream(tokenizer, ids, {"bcd", "ab"}).text, "x");
    EXPECT_EQ(stream(tokenizer, ids, {"bcd", "ab"}).stopped_by, 1u);
    EXPECT_EQ(stream(tokenizer, ids, {"c", "abc", "bc"}).stopped_by, 1u);
    EXPECT_EQ(stream(tokenizer, ids, {"y", "z"}).text, "xabcd");
  }
  EXPECT_EQ(StreamDecoder::create(tokenizer, false, {"a", ""}).status().code(), StatusCode::kInvalidArgument);
}

TEST(StreamDecoder, TheStopStringCanBeKept) {
  const Tokenizer tokenizer = demo();
  auto decoder = StreamDecoder::create(tokenizer, false, {"cd"}, /*keep_stop_string=*/true);
  ASSERT_TRUE(decoder.ok());
  std::string text;
  for (const int32_t id : character_ids(tokenizer, "abcdef")) text += *decoder->push(id);
  EXPECT_EQ(text + *decoder->flush(), "abcd");
  EXPECT_EQ(decoder->stopped_by(), 0U);
}

TEST(StreamDecoder, AStopStringIsTextWhereNothingMayStop) {
  const Tokenizer tokenizer = demo();
  const auto ids = character_ids(tokenizer, "cdabcdef");
  for (const auto& [n_before, expected] :
       {std::pair<size_t, const char*>{2, "cdab"}, {5, "cdab"}, {6, "cdabcdef"}, {8, "cdabcdef"}}) {
    auto decoder = StreamDecoder::create(tokenizer, false, {"cd"});
    ASSERT_TRUE(decoder.ok());
    std::string text;
    for (size_t i = 0; i < ids.size(); ++i) text += *decoder->push(ids[i], /*may_stop=*/i >= n_before);
    EXPECT_EQ(text + *decoder->flush(), expected) << n_before;
  }
}

TEST(StreamDecoder, StoppingDoesNotDependOnHowTextIsCut) {
  const Tokenizer tokenizer = demo();
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += "ab\n"[random() % 3];
    std::vector<std::string> stops;
    for (int i = 0; i < 3; ++i)
      stops.push_back(text.substr(random() % 12, 1 + random() % 4) + (random() % 2 ? "b" : ""));
    const Streamed a = stream(tokenizer, character_ids(tokenizer, text), stops);
    const Streamed b = stream(tokenizer, *tokenizer.encode(text), stops);
    EXPECT_EQ(a.text, b.text) << text;
    EXPECT_EQ(a.stopped_by, b.stopped_by) << text;
  }
}

}  // namespace
}  // namespace octavo::text
