// Help, versions, typos and exit codes: what a person sees first.
#include <gtest/gtest.h>

#include "program.h"

namespace octavo::e2e {
namespace {

const char* const kCommandNames[] = {"quantize", "generate",      "eval", "inspect",
                                     "tokenize", "chat-template", "score"};

::testing::AssertionResult says(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "expected '" << part << "' in:\n" << text;
}

TEST(CommandLine, HelpListsEveryCommandAndEachExplainsItself) {
  const Outcome help = run_octavo({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_EQ(help.err, "");
  for (const char* name : kCommandNames) {
    EXPECT_TRUE(says(help.out, name));
    const Outcome command = run_octavo({name, "--help"});
    EXPECT_EQ(command.exit_code, 0);
    EXPECT_TRUE(says(command.out, std::string("Usage: octavo ") + name));
  }
}

TEST(CommandLine, Version) {
  const Outcome outcome = run_octavo({"--version"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out.rfind("octavo ", 0), 0U) << outcome.out;
}

TEST(CommandLine, UsageErrorsExitWithTwoAndNameTheMistake) {
  struct Case {
    std::vector<std::string> arguments;
    const char* expected;
  };
  const std::string model = demo_model();
  const Case cases[] = {
      {{}, "missing command"},
      {{"genrate"}, "did you mean 'generate'?"},
      {{"--verison"}, "did you mean '--version'?"},
      {{"xyzzy"}, "unknown command 'xyzzy'"},
      {{"generate"}, "missing argument MODEL"},
      {{"generate", model, "--temprature", "1"}, "did you mean '--temperature'?"},
      {{"generate", model, "--temprature=1"}, "did you mean '--temperature'?"},
      {{"generate", model, "--temperature", "hot"}, "--temperature: expected a number, found 'hot'"},
      {{"generate", model, "--temperature"}, "--temperature"},
      {{"generate", model, "--max-tokens", "12x"}, "--max-tokens: expected an integer"},
      {{"generate", model, "--seed", "-1"}, "--seed: expected an integer not below 0"},
      {{"generate", model, "--top-k", "99999999999"}, "--top-k: expected an integer from"},
      {{"generate", model, "extra"}, "unexpected argument 'extra'"},
      {{"generate", model, "--seed", "1", "--seed", "2"}, "--seed"},
      {{"generate", model, "--prompt", "a", "--chat", "b"}, "--prompt and --chat exclude each other"},
      {{"generate", model, "--prompt", "a", "--top-p", "1.5"}, "top_p: expected above 0 and at most 1"},
      {{"generate", model, "--prompt", "a", "--temperature", "-1"}, "temperature"},
      {{"generate", model, "--prompt", "a", "--max-tokens", "0"}, "max_tokens: expected at least 1"},
      {{"generate", model, "--prompt", "a", "--stop", ""}, "stop"},
      {{"generate", model, "--prompt", "a", "--threads", "-2"}, "threads"},
      {{"generate", model, "--chat", "a", "--chat-template-kwargs", "[1]"},
       "--chat-template-kwargs: expected a JSON object"},
      {{"quantize", model}, "missing option --output DST"},
      {{"quantize", model, "-o", "/nowhere/x", "--recipe", "rtn-w8a7"}, "did you mean 'rtn-w8a8'?"},
      {{"quantize", model, "-o", "/nowhere/x", "--calib", "cveal:x"}, "did you mean 'ceval:'?"},
      {{"quantize", model, "-o", "/nowhere/x", "--samples", "0"}, "--samples"},
      {{"generate", model, "--prompt", "caf\xe9"}, "argument 'caf\\xe9' is not valid UTF-8"},
      {{"eval", model}, "missing option --text FILE"},
      {{"eval", model, "--text", "x", "--window", "1"}, "--window: expected at least 2"},
  };
  for (const Case& c : cases) {
    const Outcome outcome = run_octavo(c.arguments);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.rfind("octavo: error: ", 0), 0U) << outcome.err;
    EXPECT_TRUE(says(outcome.err, c.expected));
  }
}

TEST(CommandLine, AMissingModelIsAFailureNotAMisuse) {
  for (const char* name : {"generate", "inspect", "tokenize", "score", "chat-template"}) {
    const Outcome outcome = run_octavo({name, "/nonexistent/model"});
    EXPECT_EQ(outcome.exit_code, 1) << name << ": " << outcome.err;
    EXPECT_TRUE(says(outcome.err, "/nonexistent/model"));
  }
}

TEST(CommandLine, AFullDiskIsAnError) {
  const Outcome outcome = run_octavo({"inspect", demo_model()});
  ASSERT_EQ(outcome.exit_code, 0);
  // /dev/full refuses every write; the shell only opens it.
  const std::string command =
      std::string(OCTAVO_PROGRAM) + " inspect '" + demo_model() + "' > /dev/full 2> /dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
}

}  // namespace
}  // namespace octavo::e2e
