// octavo generate: text, speed, seeds, threads, stops, and stopping.
#include <gtest/gtest.h>

#include "program.h"

namespace octavo::e2e {
namespace {

constexpr char kPrompt[] = "It was the best of times, it was";

Outcome generate(std::vector<std::string> arguments, const RunOptions& options = {}) {
  arguments.insert(arguments.begin(), {"generate", demo_model()});
  Outcome outcome = run_octavo(arguments, options);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return outcome;
}

TEST(Generate, GreedyTextDoesNotDependOnThreadsOrWhereThePromptCameFrom) {
  const Outcome one = generate({"--prompt", kPrompt, "--greedy", "--max-tokens", "24", "--threads", "1"});
  EXPECT_GT(one.out.size(), 20U);
  const Outcome two =
      generate({"--prompt", kPrompt, "--temperature", "0", "--max-tokens", "24", "--threads", "2"});
  EXPECT_EQ(one.out, two.out);
  RunOptions options;
  options.input = kPrompt;
  EXPECT_EQ(generate({"--greedy", "--max-tokens", "24"}, options).out, one.out);
}

TEST(Generate, EveryInstructionSetWritesTheSameText) {
  RunOptions options;
  options.environment = {"OCTAVO_ISA=ref"};
  const std::vector<std::string> arguments = {"--prompt", kPrompt, "--greedy", "--max-tokens", "8", "--json"};
  const base::Json reference = json_of(generate(arguments, options).out);
  const base::Json best = json_of(generate(arguments).out);
  EXPECT_EQ(*reference.find("text"), *best.find("text"));
  EXPECT_EQ(*reference.find("model")->find("isa"), base::Json("ref"));
  EXPECT_EQ(*reference.find("model")->find("fingerprint"), *best.find("model")->find("fingerprint"));
  options.environment = {"OCTAVO_ISA=sse9"};
  const Outcome refused = run_octavo({"generate", demo_model(), "--prompt", "a"}, options);
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("sse9"), std::string::npos) << refused.err;
}

TEST(Generate, SpeedIsOnStderrAndStdoutIsTheTextAlone) {
  const Outcome outcome = generate({"--prompt", kPrompt, "--greedy", "--max-tokens", "4"});
  EXPECT_EQ(outcome.out.find("tok/s"), std::string::npos);
  EXPECT_NE(outcome.err.find("prefill"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("decode 3 tokens"), std::string::npos) << outcome.err;
}

TEST(Generate, ASeedGivesTheSameTextAndAnotherSeedAnother) {
  const auto text = [](const char* seed) {
    return generate({"--prompt", kPrompt, "--temperature", "1.5", "--max-tokens", "16", "--seed", seed}).out;
  };
  EXPECT_EQ(text("7"), text("7"));
  EXPECT_NE(text("7"), text("8"));
}

TEST(Generate, AStopTextEndsTheOutputBeforeItself) {
  const std::string whole = generate({"--prompt", kPrompt, "--greedy", "--max-tokens", "24"}).out;
  const std::string stop = whole.substr(whole.size() / 2, 3);
  const Outcome stopped = generate(
      {"--prompt", kPrompt, "--greedy", "--max-tokens", "24", "--stop", "never there", "--stop", stop});
  EXPECT_EQ(stopped.out, whole.substr(0, whole.find(stop)));
}

TEST(Generate, TheJsonObjectSaysWhatHappened) {
  const base::Json object =
      json_of(generate({"--prompt", kPrompt, "--greedy", "--max-tokens", "5", "--ignore-eos", "--json"}).out);
  EXPECT_EQ(*object.find("schema_version"), base::Json(1));
  EXPECT_EQ(*object.find("finish_reason"), base::Json("length"));
  EXPECT_EQ(*object.find("n_output_tokens"), base::Json(5));
  EXPECT_EQ(object.find("token_ids")->as_array().size(), 5U);
  EXPECT_EQ(*object.find("model")->find("architecture"), base::Json("Qwen3ForCausalLM"));
  EXPECT_EQ(*object.find("model")->find("quantization"), base::Json("none"));
  EXPECT_FALSE(object.find("text")->as_string().empty());
}

TEST(Generate, AChatMessageGoesThroughTheTemplate) {
  const std::vector<std::string> common = {"--greedy", "--max-tokens", "6", "--json"};
  auto chat = common;
  chat.insert(chat.end(),
              {"--system", "Be brief.", "--chat", "Hello?", "--chat-template-kwargs", "{\"x\": 1}"});
  auto rendered = common;
  rendered.insert(rendered.end(),
                  {"--prompt",
                   "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello?<|im_end|>\n"
                   "<|im_start|>assistant\n"});
  const base::Json a = json_of(generate(chat).out), b = json_of(generate(rendered).out);
  EXPECT_EQ(*a.find("token_ids"), *b.find("token_ids"));
  EXPECT_EQ(*a.find("n_prompt_tokens"), *b.find("n_prompt_tokens"));
}

TEST(Generate, ThePromptMustBeTextAndFitTheContext) {
  RunOptions options;
  options.input = "caf\xe9";
  const Outcome not_text = run_octavo({"generate", demo_model()}, options);
  EXPECT_EQ(not_text.exit_code, 2);
  EXPECT_NE(not_text.err.find("UTF-8"), std::string::npos) << not_text.err;

  options.input.clear();
  for (int i = 0; i < 600; ++i) options.input += "word ";
  const Outcome too_long = run_octavo({"generate", demo_model()}, options);
  EXPECT_EQ(too_long.exit_code, 2);
  EXPECT_NE(too_long.err.find("512"), std::string::npos) << too_long.err;

  const Outcome empty = run_octavo({"generate", demo_model(), "--prompt", ""});
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_NE(empty.err.find("at least one token"), std::string::npos) << empty.err;
}

TEST(Generate, OutputEndsAtTheContextsEnd) {
  const base::Json object = json_of(
      generate({"--prompt", kPrompt, "--max-context", "20", "--greedy", "--ignore-eos", "--json"}).out);
  EXPECT_EQ(object.find("n_prompt_tokens")->as_int() + object.find("n_output_tokens")->as_int(), 20);
  EXPECT_EQ(*object.find("finish_reason"), base::Json("length"));
}

TEST(Generate, CtrlCStopsCleanly) {
  RunOptions options;
  options.send_interrupt_after_output = " ";
  options.environment = {"OCTAVO_ISA=ref"};  // slow enough to be caught at it
  const Outcome outcome =
      run_octavo({"generate", demo_model(), "--prompt", kPrompt, "--ignore-eos"}, options);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("tok/s"), std::string::npos) << outcome.err;
}

TEST(Generate, APublishedGreedyStoryCharacterForCharacter) {
  if (data_folder().empty()) GTEST_SKIP() << "stories260k is not here; set OCTAVO_DATA";
  const std::string model = data_folder() + "/models/stories260k";
  const Outcome outcome =
      run_octavo({"generate", model, "--prompt", "", "--greedy", "--max-tokens", "200", "--ignore-eos"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, read_text(model + "/expected_text.txt"));
}

}  // namespace
}  // namespace octavo::e2e
