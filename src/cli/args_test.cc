#include "cli/args.h"

#include <gtest/gtest.h>

namespace octavo::cli {
namespace {

struct Values {
  std::string model, output = "default";
  std::optional<std::string> prompt;
  std::vector<std::string> stop;
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
  int64_t window = 2048;
  bool json = false;
};

class ArgsTest : public ::testing::Test {
 protected:
  ArgsTest() {
    options_.positional("MODEL", values_.model, "A model");
    options_.option("-o,--output", "DST", values_.output, "A target");
    options_.option("--prompt", "TEXT", values_.prompt, "A text");
    options_.option("--stop", "TEXT", values_.stop, "Several");
    options_.option("--temperature", "T", values_.temperature, "A number");
    options_.option("--top-k", "K", values_.top_k, "An integer");
    options_.option("--seed", "N", values_.seed, "Not below 0");
    options_.option("--window", "N", values_.window, "Wide");
    options_.flag("--json", values_.json, "A flag");
  }

  void parses(const std::vector<std::string>& words) {
    bool help = false;
    const Status status = options_.parse(words, help);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_FALSE(help);
  }
  std::string error_of(const std::vector<std::string>& words) {
    bool help = false;
    const Status status = options_.parse(words, help);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    return status.message();
  }

  Values values_;
  Options options_;
};

TEST_F(ArgsTest, ReadsEveryKindOfValue) {
  parses(
      {"m", "-o", "out", "--temperature=0.5", "--top-k", "-1", "--seed", "18446744073709551615", "--json"});
  EXPECT_EQ(values_.model, "m");
  EXPECT_EQ(values_.output, "out");
  EXPECT_EQ(values_.temperature, 0.5F);
  EXPECT_EQ(values_.top_k, -1);
  EXPECT_EQ(values_.seed, 18446744073709551615U);
  EXPECT_TRUE(values_.json);
  EXPECT_EQ(values_.window, 2048);
  EXPECT_FALSE(values_.prompt);
}

TEST_F(ArgsTest, ATextIsTakenAsItIs) {
  for (const char* text :
       {"", "-5", "--json", "[a, b]", "a=b", "--seed=", "{\"k\": 1}", "\n", "'quoted'", "- item", "%"}) {
    values_.prompt.reset();
    parses({"m", "--prompt", text});
    EXPECT_EQ(values_.prompt, text);
    EXPECT_FALSE(values_.json);
  }
  parses({"--stop", "[x]", "m", "--stop", "", "--stop", "a,b"});
  EXPECT_EQ(values_.stop, (std::vector<std::string>{"[x]", "", "a,b"}));
}

TEST_F(ArgsTest, AnEmptyValueTakesNoOtherWord) {
  parses({"m", "--prompt=", "--seed", "7"});
  EXPECT_EQ(values_.prompt, "");
  EXPECT_EQ(values_.seed, 7U);
  EXPECT_EQ(error_of({"m", "--window=", "3"}).find("unexpected argument '3'"), 0U);
  EXPECT_NE(error_of({"m", "--promt=", "--seed", "7"}).find("did you mean '--prompt'"), std::string::npos);
  parses({"--json=", "m"});
  EXPECT_TRUE(values_.json);
  EXPECT_EQ(error_of({"m", "--="}), "unknown option '--'");
}

TEST_F(ArgsTest, RefusesNumbersThatAreNotWholeWords) {
  EXPECT_EQ(error_of({"m", "--top-k", "1.5"}), "--top-k: expected an integer, found '1.5'");
  EXPECT_EQ(error_of({"m", "--top-k", ""}), "--top-k: expected an integer, found ''");
  EXPECT_EQ(error_of({"m", "--top-k", "2147483648"}),
            "--top-k: expected an integer from -2147483648 to 2147483647, found '2147483648'");
  EXPECT_EQ(error_of({"m", "--seed", "-1"}), "--seed: expected an integer not below 0, found '-1'");
  EXPECT_EQ(error_of({"m", "--temperature", "nan"}), "--temperature: expected a number, found 'nan'");
  EXPECT_EQ(error_of({"m", "--temperature", "1,5"}), "--temperature: expected a number, found '1,5'");
}

TEST_F(ArgsTest, NamesWhatIsMissingUnknownOrTooMuch) {
  EXPECT_EQ(error_of({}), "missing argument MODEL");
  EXPECT_EQ(error_of({"m", "--jsn"}), "unknown option '--jsn'; did you mean '--json'?");
  EXPECT_EQ(error_of({"m", "--ouput=x"}), "unknown option '--ouput'; did you mean '--output'?");
  EXPECT_EQ(error_of({"m", "--qqqqqqqq"}), "unknown option '--qqqqqqqq'");
  EXPECT_EQ(error_of({"m", "n"}), "unexpected argument 'n'");
  EXPECT_NE(error_of({"m", "--seed"}).find("--seed"), std::string::npos);
  EXPECT_NE(error_of({"m", "--seed", "1", "--seed", "1"}).find("--seed"), std::string::npos);
}

TEST_F(ArgsTest, HelpIsGivenWhateverElseIsWrong) {
  bool help = false;
  EXPECT_TRUE(options_.parse({"--jsn", "--help"}, help).ok());
  EXPECT_TRUE(help);
  const std::string text = options_.help("generate", "Continue a prompt");
  EXPECT_EQ(text.rfind("Continue a prompt.\n\nUsage: octavo generate MODEL [options]\n", 0), 0U) << text;
  EXPECT_NE(text.find("  -o, --output DST  A target\n"), std::string::npos) << text;
}

TEST_F(ArgsTest, ARequiredOption) {
  options_.option("--text", "FILE", values_.prompt, "Needed");
  options_.required();
  EXPECT_EQ(error_of({"m"}), "missing option --text FILE");
}

}  // namespace
}  // namespace octavo::cli
