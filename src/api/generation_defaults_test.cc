#include "api/generation_defaults.h"

#include <gtest/gtest.h>

#include <limits>

namespace octavo::api {
namespace {

Result<GenerationDefaults> read(const std::string& text) {
  return read_generation_defaults(*base::parse_json(text), "generation_config.json", 100);
}

TEST(GenerationDefaults, TheRequestComesBeforeTheModelBeforeOurs) {
  const auto defaults = read(R"({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "max_new_tokens": 2048,
                                 "eos_token_id": [5, 7], "do_sample": false, "transformers_version": "4.51.0"})");
  ASSERT_TRUE(defaults.ok()) << defaults.status().message();
  EXPECT_EQ(defaults->eos_ids, (std::vector<int32_t>{5, 7}));
  EXPECT_EQ(defaults->sampling.max_tokens, 2048);
  SamplingParams request;
  request.top_k = -1;
  request.seed = 9;
  const engine::SamplingConfig config = resolve_sampling(request, defaults->sampling);
  EXPECT_EQ(config.temperature, 0.6F);
  EXPECT_EQ(config.top_k, -1);
  EXPECT_EQ(config.top_p, 0.95F);
  EXPECT_EQ(config.repetition_penalty, 1.0F);
  EXPECT_EQ(config.seed, 9U);
}

TEST(GenerationDefaults, SeedsDifferWhenNoneIsGiven) {
  EXPECT_NE(resolve_sampling({}, {}).seed, resolve_sampling({}, {}).seed);
}

TEST(GenerationDefaults, NoFileAndNullsSetNothing) {
  EXPECT_TRUE(read_generation_defaults(base::Json(), "x", 100).ok());
  const auto defaults = read(R"({"temperature": null, "eos_token_id": null})");
  ASSERT_TRUE(defaults.ok());
  EXPECT_FALSE(defaults->sampling.temperature);
  EXPECT_TRUE(defaults->eos_ids.empty());
}

TEST(GenerationDefaults, OneEosTokenIsAListOfOne) {
  EXPECT_EQ(read(R"({"eos_token_id": 2})")->eos_ids, (std::vector<int32_t>{2}));
}

TEST(GenerationDefaults, RefusesWhatNoRequestCouldSet) {
  for (const char* text :
       {R"({"temperature": "hot"})", R"({"temperature": -1})", R"({"top_p": 0})", R"({"top_k": 1.5})",
        R"({"top_k": -2})", R"({"top_k": 4294967296})", R"({"max_new_tokens": 0})",
        R"({"eos_token_id": "</s>"})", R"({"eos_token_id": [-1]})", R"({"eos_token_id": [99, 100]})",
        R"({"min_p": 2})", "[]"}) {
    const auto defaults = read(text);
    ASSERT_FALSE(defaults.ok()) << text;
    EXPECT_EQ(defaults.status().code(), StatusCode::kCorrupt) << text;
    EXPECT_EQ(defaults.status().message().rfind("generation_config.json: ", 0), 0U)
        << defaults.status().message();
  }
}

TEST(CheckSamplingParams, ABiasIsBounded) {
  SamplingParams params;
  params.logit_bias = {{3, -100.0F}, {4, 100.0F}};
  EXPECT_TRUE(check_sampling_params(params).ok());
  for (const float bias : {100.5F, -101.0F, std::numeric_limits<float>::quiet_NaN()}) {
    params.logit_bias = {{4, bias}};
    const Status status = check_sampling_params(params);
    EXPECT_EQ(status.message().rfind("logit_bias['4']: expected -100 to 100, found ", 0), 0U)
        << status.message();
  }
}

}  // namespace
}  // namespace octavo::api
