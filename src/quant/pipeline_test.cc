#include "quant/pipeline.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "format/quant_manifest/quant_manifest.h"
#include "quant/test_job.h"

namespace octavo::quant {
namespace {

using model::golden_path;
using model::TempFolder;
using model::TestCheckpoint;

const Recipe kSmooth = recipe_from("{}");
const Recipe kStatic = *load_recipe("w8a8-smoothquant");
const Recipe kPlain = recipe_from(R"({"smooth": false})");

// Of the logits' squares: some 14 linears of 1e-4 to 3e-4 each, for weights and activations of int8.
constexpr double kClose = 5e-3;
// Static inputs have one scale for all tokens, and clip what the 325 calibration tokens did not show: six
// times the error on llama-f32-llama3, 1.7 times with 6,400 tokens.
constexpr double kCloseStatic = 2e-2;

std::string read(const std::string& path) {
  auto bytes = base::read_file(path);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return bytes.ok() ? *bytes : "";
}

std::string refusal(const Job& job) {
  const auto flight = preflight(job);
  EXPECT_FALSE(flight.ok());
  return flight.ok() ? "" : flight.status().message();
}

void expect_has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
}

void expect_empty(const TempFolder& folder) { EXPECT_TRUE(base::list_folder(folder.path())->empty()); }

TEST(Pipeline, EveryGoldenModelBecomesASmallOneThatGivesTheSameLogits) {
  for (const char* name : {"qwen3-f32", "qwen3-f32-bias", "qwen3-f32-long", "qwen3-bf16-tied",
                           "llama-bf16-bias", "llama-f16-linear", "llama-f32-llama3"}) {
    for (const Recipe& recipe : {kPlain, kSmooth, kStatic}) {
      const TempFolder folder;
      const std::string target = folder.path() + "/out";
      const auto outcome = run_job(make_job(golden_path(name), target, recipe));
      ASSERT_TRUE(outcome.ok()) << name << ": " << outcome.status().message();
      const double error = relative_logits_error(golden_path(name), target);
      EXPECT_LT(error, recipe.name == kStatic.name ? kCloseStatic : kClose) << name;
      EXPECT_GT(error, 0) << name;
      const format::Checkpoint written = format::Checkpoint::open(target).value();
      EXPECT_EQ(written.find("model.layers.0.mlp.up_proj.weight")->dtype, tensor::DType::kI8);
      const format::TensorInfo* scale = written.find("model.layers.0.mlp.up_proj.weight_scale");
      ASSERT_NE(scale, nullptr);
      const format::Checkpoint source = format::Checkpoint::open(golden_path(name)).value();
      EXPECT_EQ(scale->dtype, source.find("model.layers.0.mlp.up_proj.weight")->dtype) << name;
      EXPECT_EQ(scale->shape[1], 1);
    }
  }
}

TEST(Pipeline, SameBytesForAnyNumberOfThreads) {
  for (const Recipe& recipe : {kSmooth, kStatic}) {
    const TempFolder folder;
    for (const int n_threads : {1, 2, 3}) {
      const std::string target = folder.path() + "/" + std::to_string(n_threads);
      ASSERT_TRUE(run_job(make_job(golden_path("qwen3-bf16-tied"), target, recipe, n_threads)).ok());
    }
    for (const char* file : {"model.safetensors", "config.json", "recipe.json"}) {
      const std::string one = read(folder.path() + "/1/" + file);
      EXPECT_TRUE(one == read(folder.path() + "/2/" + file)) << file;
      EXPECT_TRUE(one == read(folder.path() + "/3/" + file)) << file;
    }
  }
}

TEST(Pipeline, TheStaticRecipeStoresOneInputForThoseThatShareIt) {
  const TempFolder folder;
  const std::string target = folder.path() + "/out";
  ASSERT_TRUE(run_job(make_job(golden_path("llama-f16-linear"), target, kStatic)).ok());
  TestCheckpoint written(target);
  const auto stored = [&](const std::string& name) { return written["model.layers.1." + name]; };
  for (const char* suffix : {".input_scale", ".input_zero_point"}) {
    const model::TestTensor q = stored(std::string("self_attn.q_proj") + suffix);
    EXPECT_EQ(q.shape, std::vector<int64_t>{1});
    EXPECT_EQ(q.bytes, stored(std::string("self_attn.k_proj") + suffix).bytes);
    EXPECT_EQ(q.bytes, stored(std::string("self_attn.v_proj") + suffix).bytes);
    EXPECT_EQ(stored(std::string("mlp.gate_proj") + suffix).bytes,
              stored(std::string("mlp.up_proj") + suffix).bytes);
    EXPECT_FALSE(written.tensors.contains(std::string("model.layers.1.mlp.down_proj") + suffix));
  }
  EXPECT_EQ(stored("self_attn.o_proj.input_scale").dtype, tensor::DType::kF16);
  EXPECT_EQ(stored("self_attn.o_proj.input_zero_point").dtype, tensor::DType::kI8);

  const base::Json report = base::read_json_file(target + "/quant_report.json").value();
  const base::Json& linears = *report.find("layers")->as_array()[1].find("linears");
  EXPECT_EQ(*linears.find("mlp.down_proj")->find("activations"), base::Json("dynamic"));
  const base::Json& o = *linears.find("self_attn.o_proj");
  EXPECT_EQ(*o.find("activations"), base::Json("static"));
  EXPECT_EQ(static_cast<float>(o.find("input_scale")->as_double()),
            stored("self_attn.o_proj.input_scale").floats()[0]);
  EXPECT_EQ(*report.find("target")->find("n_static_inputs"), base::Json(12));
  EXPECT_EQ(*report.find("layers")->as_array()[1].find("smooth")->find("norm_qkv")->find("strength"),
            base::Json(0.5));
  EXPECT_EQ(*report.find("layers")->as_array()[1].find("smooth")->find("up_down")->find("smoothed"),
            base::Json(false));
}

// Golden Stick's layout is another spelling of the same numbers.
TEST(Pipeline, BothLayoutsGiveTheSameModel) {
  for (const char* name : {"qwen3-bf16-tied", "llama-f32-llama3", "llama-bf16-bias"}) {
    for (const Recipe& recipe : {kPlain, kStatic}) {
      const TempFolder folder;
      Job job = make_job(golden_path(name), folder.path() + "/compressed-tensors", recipe);
      ASSERT_TRUE(run_job(job).ok());
      const std::string first = job.target;
      job.target = folder.path() + "/golden-stick";
      job.layout = QuantLayout::kGoldenStick;
      const auto outcome = run_job(job);
      ASSERT_TRUE(outcome.ok()) << outcome.status().message();
      // One multiplies the sums by two scales one after the other, the other by their product.
      EXPECT_LT(relative_logits_error(first, job.target), 1e-4) << name;
      EXPECT_LT(relative_logits_error(job.source, job.target), kCloseStatic) << name;
      const std::string source = job.target;
      expect_has(refusal(make_job(source, folder.path() + "/again", kPlain)),
                 "already quantized ('golden-stick w8a8");
    }
  }
}

TEST(Pipeline, ShardsOfGoldenSticksLayoutAreNumbered) {
  const TempFolder folder;
  Job job = make_job(golden_path("qwen3-f32"), folder.path() + "/out", kStatic);
  job.layout = QuantLayout::kGoldenStick;
  job.max_shard_bytes = 50'000;
  ASSERT_TRUE(run_job(job).ok());
  EXPECT_TRUE(base::path_exists(job.target + "/quant-model-00002-of-0000" +
                                std::to_string(format::Checkpoint::open(job.target)->files().size()) +
                                ".safetensors"));
  EXPECT_LT(relative_logits_error(job.source, job.target), kClose);
}

TEST(Pipeline, StaticInputsWithoutCalibrationAreRefused) {
  const TempFolder folder;
  Job job = make_job(golden_path("qwen3-f32"), folder.path() + "/out",
                     recipe_from(R"({"smooth": false, "activations": {"dynamic": false}})"));
  job.load_samples = nullptr;
  expect_has(refusal(job), "needs calibration text");
  job.load_samples = [](int64_t) { return std::vector<data::TokenSample>(); };
  expect_has(refusal(job), "there is not one");
  expect_empty(folder);
}

TEST(Pipeline, OuterTensorsAndWhatStaysFloatAreTheSourcesBytes) {
  const TempFolder folder;
  const std::string target = folder.path() + "/out", source = golden_path("llama-bf16-bias");
  const Recipe recipe = recipe_from(R"({"smooth": false, "layers": {".*o_proj": "float"}})");
  ASSERT_TRUE(run_job(make_job(source, target, recipe)).ok());
  TestCheckpoint before(source), after(target);
  for (const auto& [name, tensor] : before.tensors) {
    ASSERT_TRUE(after.tensors.contains(name)) << name;
    if (after.tensors[name].dtype == tensor::DType::kI8) continue;
    EXPECT_EQ(after.tensors[name].dtype, tensor.dtype) << name;
    EXPECT_TRUE(after.tensors[name].bytes == tensor.bytes) << name;
  }
  EXPECT_EQ(after["model.layers.1.self_attn.o_proj.weight"].dtype, tensor::DType::kBF16);
  const auto manifest = format::QuantManifest::parse(after.config, "config.json");
  ASSERT_TRUE(manifest.ok());
  EXPECT_FALSE(manifest->find("model.layers.1.self_attn.o_proj")->has_value());
  EXPECT_TRUE(manifest->find("model.layers.1.self_attn.v_proj")->has_value());
  EXPECT_FALSE(manifest->find("lm_head")->has_value());
}

TEST(Pipeline, MixedPoliciesRunAndStayClose) {
  const TempFolder folder;
  const std::string target = folder.path() + "/out", source = golden_path("llama-bf16-bias");
  const Recipe recipe = recipe_from(R"({"layers": {".*k_proj": "float", ".*0\\.mlp\\.up_proj": "float",
                                                    ".*1\\.mlp": {"smooth": false}}})");
  ASSERT_TRUE(run_job(make_job(source, target, recipe)).ok());
  EXPECT_LT(relative_logits_error(source, target), kClose);
}

TEST(Pipeline, ATiedLmHeadIsNotDoubled) {
  const TempFolder folder, both;
  TestCheckpoint golden(golden_path("qwen3-bf16-tied"));
  golden.tensors["lm_head.weight"] = golden["model.embed_tokens.weight"];
  golden.write(both.path());
  const std::string target = folder.path() + "/out";
  ASSERT_TRUE(run_job(make_job(both.path(), target, kPlain)).ok());
  const format::Checkpoint written = format::Checkpoint::open(target).value();
  EXPECT_EQ(written.find("lm_head.weight"), nullptr);
  EXPECT_NE(written.find("model.embed_tokens.weight"), nullptr);
}

TEST(Pipeline, ShardsAreCutAndTheReportTellsWhatWasDone) {
  const TempFolder folder, source;
  TestCheckpoint(golden_path("qwen3-f32")).write(source.path());
  for (const char* name : {"merges.txt", "chat_template.jinja", "LICENSE", "notes.txt"}) {
    ASSERT_TRUE(base::write_file_atomic(source.path() + "/" + name, name).ok());
  }
  const std::string tokenizer = read(std::string(OCTAVO_SOURCE_DIR) + "/models/demo/tokenizer.json");
  ASSERT_TRUE(base::write_file_atomic(source.path() + "/tokenizer.json", tokenizer).ok());
  Job job = make_job(source.path(), folder.path() + "/out", kSmooth);
  job.max_shard_bytes = 20'000;
  const auto outcome = run_job(job);
  ASSERT_TRUE(outcome.ok()) << outcome.status().message();
  EXPECT_TRUE(base::path_exists(job.target + "/model.safetensors.index.json"));
  EXPECT_LT(relative_logits_error(source.path(), job.target), kClose);
  EXPECT_TRUE(read(job.target + "/tokenizer.json") == tokenizer);
  for (const char* name : {"merges.txt", "chat_template.jinja", "LICENSE"}) {
    EXPECT_EQ(read(job.target + "/" + name), name);
  }
  EXPECT_FALSE(base::path_exists(job.target + "/notes.txt"));
  EXPECT_EQ(load_recipe(job.target + "/recipe.json")->to_json(), kSmooth.to_json());

  const base::Json report = base::read_json_file(job.target + "/quant_report.json").value();
  EXPECT_EQ(report.dump(2) + "\n", outcome->report);
  EXPECT_EQ(*report.find("schema_version"), base::Json(1));
  EXPECT_EQ(*report.find("calibration")->find("n_samples"), base::Json(8));
  EXPECT_EQ(*report.find("calibration")->find("subjects")->find("odd")->find("n_samples"), base::Json(4));
  EXPECT_EQ(*report.find("calibration")->find("n_fit_samples"), base::Json(6));
  EXPECT_EQ(*report.find("calibration")->find("n_held_out_samples"), base::Json(2));
  EXPECT_TRUE(report.find("warnings")->as_array().empty());
  ASSERT_EQ(report.find("layers")->as_array().size(), 2U);
  const base::Json& layer = report.find("layers")->as_array()[1];
  EXPECT_TRUE(layer.find("smooth")->find("v_o")->find("strength") != nullptr);
  EXPECT_GT(layer.find("blocks")->find("mlp")->find("mse_plain")->as_double(), 0);
  EXPECT_GT(layer.find("linears")->find("self_attn.q_proj")->find("weight_sqnr_db")->as_double(), 35);
}

TEST(Pipeline, LittleCalibrationTextIsAWarningInPlanAndReport) {
  for (const std::vector<size_t>& lengths : {std::vector<size_t>{256}, {100, 155}, {100, 156}}) {
    const TempFolder folder;
    Job job = make_job(golden_path("qwen3-f32"), folder.path() + "/out", kSmooth);
    job.load_samples = [&](int64_t) {
      std::vector<data::TokenSample> samples;
      for (const size_t n : lengths) samples.push_back({.ids = random_tokens(n, 64, 1), .subject = ""});
      return Result<std::vector<data::TokenSample>>(std::move(samples));
    };
    const bool is_little = lengths.back() != 156;
    auto flight = preflight(job);
    ASSERT_TRUE(flight.ok()) << flight.status().message();
    EXPECT_EQ(flight->text().find("warning: calibration") != std::string::npos, is_little);
    const auto outcome = run_pipeline(job, std::move(flight).value(), nullptr);
    ASSERT_TRUE(outcome.ok()) << outcome.status().message();
    const base::Json report = base::parse_json(outcome->report).value();
    EXPECT_EQ(report.find("warnings")->as_array().size(), is_little ? 1U : 0U);
    EXPECT_EQ(report.find("calibration")->find("subjects"), nullptr);
  }
}

class Canceller : public Progress {
 public:
  explicit Canceller(std::string at) : at_(std::move(at)) {}
  void update(std::string_view what, int64_t done, int64_t total) override {
    EXPECT_LT(done, total);
    reached_ = reached_ || what == at_;
    if (what == "layer 1/2 collect") saw_folder_ = !base::list_folder(watched)->empty();
  }
  bool cancelled() const override { return reached_; }
  bool saw_folder() const { return saw_folder_; }
  std::string watched;

 private:
  std::string at_;
  bool reached_ = false, saw_folder_ = false;
};

TEST(Pipeline, CancellingLeavesNothingBehind) {
  for (const char* at : {"layer 1/2 collect", "layer 2/2 smooth", "layer 2/2 write", "compare"}) {
    const TempFolder folder;
    Canceller progress(at);
    progress.watched = folder.path();
    const auto outcome =
        run_job(make_job(golden_path("qwen3-f32"), folder.path() + "/out", kSmooth), &progress);
    ASSERT_FALSE(outcome.ok()) << at;
    EXPECT_EQ(outcome.status().code(), StatusCode::kCancelled) << at;
    EXPECT_TRUE(progress.saw_folder()) << "the work did not begin";
    expect_empty(folder);
  }
}

TEST(Pipeline, AFullDiskIsAnErrorAndLeavesNothingBehind) {
  const TempFolder folder;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{.rlim_cur = 30'000, .rlim_max = old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto outcome = run_job(make_job(golden_path("qwen3-f32"), folder.path() + "/out", kPlain));
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(outcome.ok());
  expect_has(outcome.status().message(), "model.safetensors");
  expect_empty(folder);
}

TEST(Pipeline, OverwritingReplacesAQuantizedModelOnly) {
  const TempFolder folder;
  Job job = make_job(golden_path("qwen3-f32"), folder.path() + "/out", kPlain);
  ASSERT_TRUE(run_job(job).ok());
  expect_has(refusal(job), "--overwrite");
  job.overwrite = true;
  ASSERT_TRUE(base::write_file_atomic(job.target + "/old.txt", "old").ok());
  ASSERT_TRUE(run_job(job).ok());
  EXPECT_FALSE(base::path_exists(job.target + "/old.txt"));
  EXPECT_EQ(base::list_folder(folder.path())->size(), 1U);

  ASSERT_TRUE(std::filesystem::remove(job.target + "/quant_report.json"));
  EXPECT_TRUE(preflight(job).ok()) << "its config.json still has a quantization_config";
  for (const char* config : {R"({"model_type": "qwen3"})", R"({"quantization_config")"}) {
    ASSERT_TRUE(base::write_file_atomic(job.target + "/config.json", config).ok());
    expect_has(refusal(job), "no quantized model");
  }
  ASSERT_TRUE(std::filesystem::remove(job.target + "/config.json"));
  expect_has(refusal(job), "no quantized model");
}

TEST(Preflight, ABrokenCompanionIsRefusedWhateverTheRecipe) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    for (const char* text : {"{\"a\": ", "[]"}) {
      const TempFolder folder, source;
      TestCheckpoint(golden_path("qwen3-f32")).write(source.path());
      ASSERT_TRUE(base::write_file_atomic(source.path() + "/" + name, text).ok());
      expect_has(refusal(make_job(source.path(), folder.path() + "/out", kPlain)), name);
      expect_empty(folder);
    }
  }
  const TempFolder folder, source;
  TestCheckpoint(golden_path("qwen3-f32")).write(source.path());
  ASSERT_TRUE(base::write_file_atomic(source.path() + "/tokenizer.json", R"({"model": {}})").ok());
  expect_has(refusal(make_job(source.path(), folder.path() + "/out", kPlain)), "tokenizer.json");
}

TEST(Preflight, RefusesBeforeAnyWork) {
  const TempFolder folder;
  const std::string target = folder.path() + "/out";
  expect_has(refusal(make_job(golden_path("qwen3-int8"), target, kPlain)), "already quantized");

  Job no_text = make_job(golden_path("qwen3-f32"), target, kSmooth);
  no_text.load_samples = nullptr;
  expect_has(refusal(no_text), "rtn-w8a8");
  no_text.load_samples = [](int64_t) {
    return Result<std::vector<data::TokenSample>>(not_found("no such text"));
  };
  expect_has(refusal(no_text), "no such text");

  const TempFolder source;
  TestCheckpoint golden(golden_path("qwen3-f32"));
  golden.tensors.erase("model.layers.1.mlp.up_proj.weight");
  golden.write(source.path());
  expect_has(refusal(make_job(source.path(), target, kPlain)), "model.layers.1.mlp.up_proj.weight");
  expect_has(refusal(make_job(source.path(), source.path(), kPlain)), "holds the source");
  Job parent = make_job(source.path(), source.path() + "/..", kPlain);
  parent.overwrite = true;
  expect_has(refusal(parent), "holds the source");
  expect_empty(folder);
}

TEST(Preflight, TellsThePlan) {
  const TempFolder folder;
  const auto flight = preflight(make_job(golden_path("qwen3-f32"), folder.path() + "/out",
                                         recipe_from(R"({"ignore": ["lm_head", "nothing"]})")));
  ASSERT_TRUE(flight.ok()) << flight.status().message();
  expect_has(flight->text(), "14 of 14 linears become int8");
  expect_has(flight->text(), "8 samples");
  expect_has(flight->text(), "'nothing' matches no module");
  EXPECT_LT(flight->plan.n_bytes, flight->source_bytes);
  expect_empty(folder);
}

TEST(Pipeline, AWeightThatIsNaNIsNamedAndLeavesNothingBehind) {
  for (const char* name : {"model.layers.1.mlp.down_proj.weight", "model.layers.0.input_layernorm.weight",
                           "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}) {
    const TempFolder folder, source;
    TestCheckpoint golden(golden_path("qwen3-f32"));
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(golden[name].bytes.data() + 20, &nan, sizeof(nan));
    golden.write(source.path());
    for (const Recipe& recipe : {kPlain, kSmooth}) {
      const auto outcome = run_job(make_job(source.path(), folder.path() + "/out", recipe));
      ASSERT_FALSE(outcome.ok());
      expect_has(outcome.status().message(), name);
      expect_has(outcome.status().message(), "model.safetensors");
      expect_empty(folder);
    }
  }
}

}  // namespace
}  // namespace octavo::quant
