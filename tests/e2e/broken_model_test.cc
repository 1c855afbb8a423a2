// Broken folders: every command that loads one ends with 1 and says which file is wrong, never with a signal.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "program.h"

namespace octavo::e2e {
namespace {

namespace fs = std::filesystem;

void replace(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_text(path);
  const size_t place = text.find(from);
  ASSERT_NE(place, std::string::npos) << from;
  write_text(path, text.replace(place, from.size(), to));
}

struct Damage {
  const char* name;
  std::function<void(const std::string& folder)> apply;
  const char* expected;  // in the message
};

const Damage kDamages[] = {
    {"cut weights", [](const std::string& f) { fs::resize_file(f + "/model.safetensors", 1'000'000); },
     "model.safetensors"},
    {"empty weights", [](const std::string& f) { fs::resize_file(f + "/model.safetensors", 0); },
     "model.safetensors"},
    {"no weights", [](const std::string& f) { fs::remove(f + "/model.safetensors"); }, "safetensors"},
    {"weights are a folder",
     [](const std::string& f) {
       fs::remove(f + "/model.safetensors");
       fs::create_directory(f + "/model.safetensors");
     },
     "model.safetensors"},
    {"empty config", [](const std::string& f) { write_text(f + "/config.json", ""); }, "config.json"},
    {"config without keys", [](const std::string& f) { write_text(f + "/config.json", "{}"); },
     "config.json"},
    {"config is a list", [](const std::string& f) { write_text(f + "/config.json", "[]"); }, "config.json"},
    {"no config", [](const std::string& f) { fs::remove(f + "/config.json"); }, "config.json"},
    {"wrong width",
     [](const std::string& f) {
       replace(f + "/config.json", "\"hidden_size\": 256", "\"hidden_size\": 320");
     },
     "embed_tokens"},
    {"too many layers",
     [](const std::string& f) {
       replace(f + "/config.json", "\"num_hidden_layers\": 5", "\"num_hidden_layers\": 6");
     },
     "layers.5"},
    {"too few layers",
     [](const std::string& f) {
       replace(f + "/config.json", "\"num_hidden_layers\": 5", "\"num_hidden_layers\": 4");
     },
     "layers.4"},
    {"a huge model",
     [](const std::string& f) {
       replace(f + "/config.json", "\"num_hidden_layers\": 5", "\"num_hidden_layers\": 4611686018427387904");
     },
     "num_hidden_layers"},
    {"wrong tensor name", [](const std::string& f) { replace(f + "/model.safetensors", "q_norm", "q_n0rm"); },
     "q_n"},
    {"broken generation config",
     [](const std::string& f) { write_text(f + "/generation_config.json", "{\"temperature\": \"hot\"}"); },
     "generation_config.json"},
    {"an end token past the vocabulary",
     [](const std::string& f) { write_text(f + "/generation_config.json", "{\"eos_token_id\": 12288}"); },
     "12287"},
    {"broken tokenizer", [](const std::string& f) { fs::resize_file(f + "/tokenizer.json", 1000); },
     "tokenizer.json"},
    {"no tokenizer", [](const std::string& f) { fs::remove(f + "/tokenizer.json"); }, "tokenizer.json"},
};

TEST(BrokenModel, GenerateFailsWithTheFilesName) {
  for (const Damage& damage : kDamages) {
    const TemporaryFolder folder;
    const std::string model = folder.copy_demo();
    damage.apply(model);
    const Outcome outcome = run_octavo({"generate", model, "--prompt", "a", "--max-tokens", "2"});
    EXPECT_EQ(outcome.exit_code, 1) << damage.name << ": " << outcome.err;
    EXPECT_EQ(outcome.out, "") << damage.name;
    EXPECT_NE(outcome.err.find(damage.expected), std::string::npos) << damage.name << ": " << outcome.err;
  }
}

TEST(BrokenModel, InspectFailsWithTheReasonInTextAndJson) {
  for (const Damage& damage : kDamages) {
    const std::string name = damage.name;
    if (name == "no tokenizer") continue;  // such a folder can still be scored and quantized
    const TemporaryFolder folder;
    const std::string model = folder.copy_demo();
    damage.apply(model);
    const Outcome outcome = run_octavo({"inspect", model, "--json"});
    EXPECT_EQ(outcome.exit_code, 1) << name << ": " << outcome.out;
    EXPECT_NE(outcome.err.find(damage.expected), std::string::npos) << name << ": " << outcome.err;
    const base::Json report = json_of(outcome.out);
    ASSERT_NE(report.find("healthy"), nullptr) << name;
    EXPECT_EQ(*report.find("healthy"), base::Json(false)) << name;
    ASSERT_TRUE(report.find("reason") != nullptr && report.find("reason")->is_string()) << name;
    EXPECT_NE(report.find("reason")->as_string().find(damage.expected), std::string::npos) << name;
  }
}

TEST(BrokenModel, WeightsThatAreNotNumbersAreFound) {
  const TemporaryFolder folder;
  const std::string model = folder.copy_demo();
  std::string weights = read_text(model + "/model.safetensors");
  weights.replace(weights.size() - 64, 2, "\xc0\x7f");  // a bf16 NaN
  write_text(model + "/model.safetensors", weights);
  const Outcome outcome = run_octavo({"generate", model, "--prompt", "a"});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("model.safetensors"), std::string::npos) << outcome.err;
  const Outcome inspected = run_octavo({"inspect", model});
  EXPECT_EQ(inspected.exit_code, 1);
  EXPECT_NE(inspected.err.find("model.safetensors': tensor "), std::string::npos) << inspected.err;
}

TEST(BrokenModel, TextCommandsNameTheTokenizer) {
  const TemporaryFolder folder;
  const std::string model = folder.copy_demo();
  write_text(model + "/tokenizer.json", "{}");
  write_text(model + "/tokenizer_config.json", "[");
  RunOptions options;
  options.input = "\"a\"\n";
  const Outcome tokenize = run_octavo({"tokenize", model}, options);
  EXPECT_EQ(tokenize.exit_code, 1);
  EXPECT_NE(tokenize.err.find("tokenizer"), std::string::npos) << tokenize.err;
  const Outcome chat = run_octavo({"chat-template", model}, options);
  EXPECT_EQ(chat.exit_code, 1);
  EXPECT_NE(chat.err.find("tokenizer_config.json"), std::string::npos) << chat.err;
}

}  // namespace
}  // namespace octavo::e2e
