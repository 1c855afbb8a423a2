#include "model/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "base/test_environment.h"
#include "model/arch/arch_spec.h"
#include "model/registry.h"

namespace octavo::model {
namespace {

using base::Json;

// Qwen3-0.6B's config.json, what it says of the arithmetic.
Json qwen3() {
  return base::parse_json(R"({
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072,
    "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "vocab_size": 151936, "max_position_embeddings": 40960, "rms_norm_eps": 1e-06, "rope_theta": 1000000,
    "rope_scaling": null, "hidden_act": "silu", "attention_bias": false, "tie_word_embeddings": true,
    "use_sliding_window": false, "sliding_window": null, "torch_dtype": "bfloat16",
    "bos_token_id": 151643, "eos_token_id": 151645})")
      .value();
}

Json with(std::string_view key, const std::string& value) {
  Json config = qwen3();
  config.set(key, base::parse_json(value).value());
  return config;
}

Json without(std::string_view key) {
  Json config = qwen3();
  std::erase_if(config.as_object(), [&](const base::JsonMember& member) { return member.first == key; });
  return config;
}

Result<ModelConfig> parse(const Json& config) { return parse_model_config(config, "F/config.json"); }

// Refused with that code, naming the file and every one of `words`.
void expect_refused(const Json& config, StatusCode code, const std::vector<std::string>& words) {
  const Result<ModelConfig> parsed = parse(config);
  ASSERT_FALSE(parsed.ok()) << config.dump();
  EXPECT_EQ(parsed.status().code(), code) << parsed.status().message();
  EXPECT_EQ(parsed.status().message().rfind("F/config.json: ", 0), 0U) << parsed.status().message();
  for (const std::string& word : words) {
    EXPECT_NE(parsed.status().message().find(word), std::string::npos)
        << "'" << word << "' is not in: " << parsed.status().message();
  }
}

TEST(ModelConfig, ReadsQwen3) {
  const Result<ModelConfig> parsed = parse(qwen3());
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_STREQ(parsed->arch->architecture, "Qwen3ForCausalLM");
  EXPECT_EQ(parsed->n_layers, 28);
  EXPECT_EQ(parsed->q_width(), 2048);  // not hidden_size
  EXPECT_EQ(parsed->kv_width(), 1024);
  EXPECT_EQ(parsed->d_ff, 3072);
  EXPECT_EQ(parsed->n_vocab, 151936);
  EXPECT_EQ(parsed->max_positions, 40960);
  EXPECT_EQ(parsed->rope.theta, 1e6);
  EXPECT_EQ(parsed->rms_norm_eps, 1e-6F);
  EXPECT_TRUE(parsed->tied_embeddings);
  EXPECT_FALSE(parsed->attention_bias);
  EXPECT_EQ(parsed->eos_ids, std::vector<int32_t>{151645});
  EXPECT_EQ(parsed->bos_ids, std::vector<int32_t>{151643});
}

TEST(ModelConfig, DefaultsAreTransformers) {
  Json config = base::parse_json(R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64,
    "intermediate_size": 100, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 10,
    "max_position_embeddings": 32})")
                    .value();
  const Result<ModelConfig> parsed = parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->n_kv_heads, 4);
  EXPECT_EQ(parsed->head_dim, 16);
  EXPECT_EQ(parsed->rope.theta, 10000.0);
  EXPECT_EQ(parsed->rms_norm_eps, 1e-6F);
  EXPECT_FALSE(parsed->tied_embeddings || parsed->attention_bias || parsed->mlp_bias);
  EXPECT_TRUE(parsed->eos_ids.empty());
}

TEST(ModelConfig, HeadsAndSizes) {
  expect_refused(with("num_key_value_heads", "3"), StatusCode::kInvalidArgument,
                 {"num_key_value_heads", "16", "3"});
  expect_refused(with("num_key_value_heads", "0"), StatusCode::kInvalidArgument,
                 {"num_key_value_heads", "0"});
  expect_refused(with("head_dim", "0"), StatusCode::kInvalidArgument, {"head_dim", "found 0"});
  expect_refused(with("head_dim", "63"), StatusCode::kInvalidArgument, {"head_dim", "even", "63"});
  expect_refused(with("head_dim", "-64"), StatusCode::kInvalidArgument, {"head_dim", "-64"});
  Json config = without("head_dim");
  config.set("hidden_size", Json(1000));
  expect_refused(config, StatusCode::kInvalidArgument, {"head_dim", "1000", "16"});
  ASSERT_TRUE(parse(without("head_dim")).ok());
  EXPECT_EQ(parse(without("head_dim"))->head_dim, 64);

  for (const char* key : {"num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size",
                          "max_position_embeddings", "num_attention_heads"}) {
    expect_refused(without(key), StatusCode::kInvalidArgument, {key, "found nothing"});
    for (const char* value : {"0", "-1", "1000000000", "9223372036854775807"}) {
      expect_refused(with(key, value), StatusCode::kInvalidArgument, {key, value});
    }
    for (const char* value : {"\"8\"", "1.5", "[8]", "true", "1e30"}) {
      expect_refused(with(key, value), StatusCode::kInvalidArgument, {key, "expected"});
    }
  }
  // 1024 heads of 1024 overflow no integer, but no product takes them.
  Json wide = with("num_attention_heads", "1024");
  wide.set("head_dim", Json(1024));
  expect_refused(wide, StatusCode::kInvalidArgument, {"num_attention_heads * head_dim"});
}

TEST(ModelConfig, Architecture) {
  expect_refused(with("architectures", R"(["Qwen2ForCausalLM"])"), StatusCode::kUnsupported,
                 {"Qwen2ForCausalLM", "Qwen3ForCausalLM", "LlamaForCausalLM"});
  expect_refused(with("architectures", R"(["Qwen3ForCausalLM", "LlamaForCausalLM"])"),
                 StatusCode::kInvalidArgument, {"architectures"});
  expect_refused(with("architectures", "[]"), StatusCode::kInvalidArgument, {"architectures"});
  expect_refused(with("architectures", "\"Qwen3ForCausalLM\""), StatusCode::kInvalidArgument,
                 {"architectures"});
  expect_refused(with("model_type", "\"llama\""), StatusCode::kInvalidArgument,
                 {"llama", "Qwen3ForCausalLM", "qwen3"});
  EXPECT_TRUE(parse(without("architectures")).ok());  // model_type says it
  Json config = without("architectures");
  config.set("model_type", Json("gpt2"));
  expect_refused(config, StatusCode::kUnsupported, {"gpt2", "Qwen3ForCausalLM"});
  config.set("model_type", Json());
  expect_refused(config, StatusCode::kInvalidArgument, {"model_type"});
  expect_refused(Json(base::JsonArray{}), StatusCode::kInvalidArgument, {"object", "array"});
}

TEST(ModelConfig, RopeScalings) {
  const auto parsed = parse(with("rope_scaling", R"({"type": "linear", "factor": 4})"));
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->rope.scaling, RopeConfig::Scaling::kLinear);
  EXPECT_EQ(parsed->rope.factor, 4.0);
  const std::string llama3 = R"("rope_type": "llama3", "factor": 32.0, "high_freq_factor": 4.0,
                                "low_freq_factor": 1.0, "original_max_position_embeddings": 8192)";
  const auto scaled = parse(with("rope_scaling", "{" + llama3 + "}"));
  ASSERT_TRUE(scaled.ok()) << scaled.status().message();
  EXPECT_EQ(scaled->rope.scaling, RopeConfig::Scaling::kLlama3);
  EXPECT_EQ(scaled->rope.original_max_positions, 8192.0);
  EXPECT_TRUE(parse(with("rope_scaling", R"({"rope_type": "default"})")).ok());

  Json config = without("rope_scaling");  // transformers 5
  std::erase_if(config.as_object(),
                [](const base::JsonMember& member) { return member.first == "rope_theta"; });
  config.set("rope_parameters", base::parse_json("{\"rope_theta\": 500000.0, " + llama3 + "}").value());
  ASSERT_TRUE(parse(config).ok()) << parse(config).status().message();
  EXPECT_EQ(parse(config)->rope.theta, 500000.0);
  EXPECT_EQ(parse(config)->rope.factor, 32.0);
  config.set("rope_scaling", base::parse_json(R"({"type": "linear", "factor": 4})").value());
  expect_refused(config, StatusCode::kInvalidArgument, {"rope_scaling", "rope_parameters"});

  for (const char* type : {"yarn", "dynamic", "longrope", "su", "mrope", ""}) {
    expect_refused(with("rope_scaling", std::string(R"({"rope_type": ")") + type + R"(", "factor": 2.0})"),
                   StatusCode::kUnsupported, {"rope_scaling", type, "llama3"});
  }
  expect_refused(with("rope_scaling", R"({"rope_type": "linear"})"), StatusCode::kInvalidArgument,
                 {"factor"});
  expect_refused(with("rope_scaling", R"({"rope_type": "linear", "factor": 0})"),
                 StatusCode::kInvalidArgument, {"factor", "0"});
  expect_refused(with("rope_scaling", R"({"type": "default", "mrope_section": [1, 2]})"),
                 StatusCode::kUnsupported, {"mrope_section"});
  expect_refused(with("rope_scaling", "3"), StatusCode::kInvalidArgument, {"rope_scaling", "object"});
  expect_refused(with("rope_scaling", R"({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
                      "high_freq_factor": 4, "original_max_position_embeddings": 8192})"),
                 StatusCode::kInvalidArgument, {"high_freq_factor"});
}

TEST(ModelConfig, NumbersOutOfRange) {
  for (const char* key : {"rope_theta", "rms_norm_eps"}) {
    for (const char* value : {"0", "-1", "\"x\"", "1e300"}) {
      expect_refused(with(key, value), StatusCode::kInvalidArgument, {key});
    }
    for (const double value :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      Json config = qwen3();
      config.set(key, Json(value));
      expect_refused(config, StatusCode::kInvalidArgument, {key, "no finite number"});
    }
  }
}

TEST(ModelConfig, TokenIds) {
  const auto parsed = parse(with("eos_token_id", "[151645, 151643]"));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->eos_ids, (std::vector<int32_t>{151645, 151643}));
  EXPECT_TRUE(parse(with("eos_token_id", "null"))->eos_ids.empty());
  EXPECT_TRUE(parse(without("eos_token_id"))->eos_ids.empty());
  for (const char* value : {"-1", "151936", "[1, 151936]", "\"</s>\"", "[[1]]", "1.0", "4294967297"}) {
    expect_refused(with("eos_token_id", value), StatusCode::kInvalidArgument, {"eos_token_id", "151935"});
  }
  expect_refused(with("bos_token_id", "-1"), StatusCode::kInvalidArgument, {"bos_token_id"});
}

TEST(ModelConfig, WhatTheForwardPassLacksIsRefusedByName) {
  expect_refused(with("use_sliding_window", "true"), StatusCode::kUnsupported, {"use_sliding_window"});
  EXPECT_TRUE(parse(with("sliding_window", "4096")).ok());  // use_sliding_window is false
  expect_refused(with("hidden_act", "\"gelu\""), StatusCode::kUnsupported, {"hidden_act", "gelu", "silu"});
  expect_refused(with("partial_rotary_factor", "0.5"), StatusCode::kUnsupported,
                 {"partial_rotary_factor", "0.5"});
  expect_refused(with("attn_logit_softcapping", "50.0"), StatusCode::kUnsupported,
                 {"attn_logit_softcapping"});
  expect_refused(with("attention_bias", "1"), StatusCode::kInvalidArgument, {"attention_bias", "boolean"});
  Json config = with("num_hidden_layers", "2");
  config.set("layer_types", base::parse_json(R"(["full_attention", "full_attention"])").value());
  EXPECT_TRUE(parse(config).ok());
  config.set("layer_types", base::parse_json(R"(["full_attention", "sliding_attention"])").value());
  expect_refused(config, StatusCode::kUnsupported, {"layer_types", "layer 1", "sliding_attention"});
  config.set("layer_types", base::parse_json(R"(["full_attention"])").value());
  expect_refused(config, StatusCode::kInvalidArgument, {"layer_types", "2"});
}

// Any value under any key gives a config or a refusal.
TEST(ModelConfig, SurvivesAnyValue) {
  const Json sane = qwen3();
  const std::vector<Json> values = {Json(),
                                    Json(true),
                                    Json(0),
                                    Json(-1),
                                    Json(3),
                                    Json(std::numeric_limits<int64_t>::max()),
                                    Json(std::numeric_limits<int64_t>::min()),
                                    Json(1e300),
                                    Json(-0.0),
                                    Json("x"),
                                    Json(base::JsonArray{}),
                                    Json(base::JsonArray{Json(1), Json("a")}),
                                    Json(base::JsonObject{}),
                                    Json(base::JsonObject{{"rope_type", Json(3)}, {"factor", Json("2")}})};
  std::vector<std::string> keys = {"layer_types", "rope_parameters", "mlp_bias", "partial_rotary_factor"};
  for (const auto& [key, value] : sane.as_object()) keys.push_back(key);
  for (const std::string& key : keys) {
    for (const Json& value : values) {
      for (const std::string& second : {std::string("head_dim"), std::string("hidden_size")}) {
        Json config = sane;
        config.set(second, Json(int64_t{1} << 20));
        config.set(key, value);
        const Result<ModelConfig> parsed = parse(config);
        if (parsed.ok()) {
          EXPECT_LE(parsed->d_model, 131072);
          EXPECT_LE(parsed->q_width(), 131072);
        }
      }
    }
  }
}

// Every real config.json: dense Qwen3 and Llama parse, all others are refused by name.
TEST(ModelConfig, RealConfigs) {
  const std::filesystem::path data = base::test_data_folder();
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no test data at " << data;
  int n_parsed = 0, n_refused = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with("config.json") || name.starts_with("generation") || name.starts_with("tokenizer") ||
        name.find("tokenizer_config") != std::string::npos ||
        name.find("generation_config") != std::string::npos) {
      continue;
    }
    const Result<Json> config = base::read_json_file(entry.path().string());
    ASSERT_TRUE(config.ok()) << config.status().message();
    const Json* model_type = config->find("model_type");
    if (model_type == nullptr) continue;
    const bool is_ours = *model_type == Json("qwen3") || *model_type == Json("llama");
    const Result<ModelConfig> parsed = parse_model_config(*config, entry.path().string());
    EXPECT_EQ(parsed.ok(), is_ours) << entry.path() << ": " << parsed.status().message();
    if (!parsed.ok()) {
      EXPECT_EQ(parsed.status().code(), StatusCode::kUnsupported) << parsed.status().message();
    }
    (parsed.ok() ? n_parsed : n_refused) += 1;
  }
  EXPECT_GE(n_parsed, 15);
  EXPECT_GE(n_refused, 8);
}

TEST(Registry, KnowsItsArchitectures) {
  EXPECT_EQ(arch_names(), (std::vector<std::string>{"Qwen3ForCausalLM", "LlamaForCausalLM"}));
  EXPECT_EQ(find_arch("Qwen3ForCausalLM"), find_arch_by_model_type("qwen3"));
  EXPECT_EQ(find_arch("qwen3"), nullptr);
  EXPECT_EQ(linear_name(*find_arch("LlamaForCausalLM"), 3, LinearSlot::kDown),
            "model.layers.3.mlp.down_proj");
}

}  // namespace
}  // namespace octavo::model
