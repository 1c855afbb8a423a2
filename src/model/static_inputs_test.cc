// Linears whose input scale and zero point calibration has fixed, as compressed-tensors stores them: what is
// read, what is refused, and that the forward pass follows the formula of weights.h.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/config.h"
#include "model/step_profile.h"
#include "model/test_checkpoint.h"
#include "model/test_model.h"
#include "model/weights.h"

namespace octavo::model {
namespace {

using tensor::DType;

constexpr const char* kStatic[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                   "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj"};
const std::string kQ = "model.layers.1.self_attn.q_proj";

// qwen3-int8 with the static recipe; scales that fit its random weights.
TestCheckpoint static_model() {
  TestCheckpoint model(golden_path("qwen3-int8"));
  for (int layer = 0; layer < 2; ++layer) {
    for (const char* module : kStatic) {
      const bool is_output = std::string(module).ends_with("o_proj");
      model.fix_inputs("model.layers." + std::to_string(layer) + "." + module, is_output ? 0.011F : 0.023F,
                       static_cast<int8_t>(is_output ? -9 : 14 + layer));
    }
  }
  model.set_static(R"(["re:.*self_attn.*", "re:.*(gate|up)_proj$"])");
  return model;
}

Status read_all(const TestCheckpoint& model) {
  const TempFolder folder;
  const format::Checkpoint checkpoint = model.reopen(folder);
  OCTAVO_ASSIGN_OR_RETURN(const ModelConfig config, parse_model_config(checkpoint.config(), "config.json"));
  OCTAVO_RETURN_IF_ERROR(check_tensors(checkpoint, config));
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    OCTAVO_RETURN_IF_ERROR(read_layer(checkpoint, config, layer).status());
  }
  return {};
}

void expect_refused(const TestCheckpoint& model, StatusCode code, const std::vector<std::string>& words) {
  const Status status = read_all(model);
  EXPECT_EQ(status.code(), code) << status.message();
  for (const std::string& word : words) {
    EXPECT_NE(status.message().find(word), std::string::npos)
        << "'" << word << "' not in: " << status.message();
  }
}

TEST(StaticInputs, AreReadInEveryType) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{1}, {}}) {
      for (const bool wide : {false, true}) {
        TestCheckpoint model = static_model();
        const TestTensor scale = TestTensor::of(dtype, shape, std::vector<float>{0.0234F});
        const int32_t number = -77;
        TestTensor zero_point = {wide ? DType::kI32 : DType::kI8, shape, {}};
        const auto* bytes = reinterpret_cast<const std::byte*>(&number);
        zero_point.bytes.assign(bytes, bytes + (wide ? 4 : 1));
        for (const char* module : {"q_proj", "k_proj", "v_proj"}) {
          model["model.layers.1.self_attn." + std::string(module) + ".input_scale"] = scale;
          model["model.layers.1.self_attn." + std::string(module) + ".input_zero_point"] = zero_point;
        }
        const TempFolder folder;
        const format::Checkpoint checkpoint = model.reopen(folder);
        const auto config = parse_model_config(checkpoint.config(), "config.json");
        const auto layer = read_layer(checkpoint, *config, 1);
        ASSERT_TRUE(layer.ok()) << layer.status().message();
        const std::optional<StaticInput>& input = (*layer)[LinearSlot::kQ].input;
        ASSERT_TRUE(input.has_value());
        EXPECT_EQ(input->scale, scale.floats());
        EXPECT_EQ(input->product_scale, scale.floats()[0]);
        EXPECT_EQ(input->zero_point, -77);
        EXPECT_FALSE((*layer)[LinearSlot::kDown].input.has_value());
      }
    }
  }
}

TEST(StaticInputs, SymmetricOnesHaveNoZeroPoint) {
  TestCheckpoint model = static_model();
  std::string section = model.config.find("quantization_config")->dump();
  const std::string asymmetric = R"("symmetric":false)";
  section.replace(section.find(asymmetric), asymmetric.size(), R"("symmetric":true)");
  model.set_config("quantization_config", section);
  expect_refused(model, StatusCode::kCorrupt, {".input_zero_point", "not part of"});
  std::erase_if(model.tensors, [](const auto& named) { return named.first.ends_with(".input_zero_point"); });
  const TempFolder folder;
  const format::Checkpoint checkpoint = model.reopen(folder);
  const auto layer = read_layer(checkpoint, *parse_model_config(checkpoint.config(), "config.json"), 0);
  ASSERT_TRUE(layer.ok()) << layer.status().message();
  EXPECT_EQ((*layer)[LinearSlot::kUp].input, (StaticInput{{0.023F}, 0, 0.023F}));
}

// Near the logits of a float head, and not equal to them.
TEST(StaticInputs, TheHeadMayHaveThem) {
  TestCheckpoint model = static_model();
  const TempFolder float_folder, folder;
  model.write(float_folder.path());
  model.quantize("lm_head", DType::kF32);
  model.fix_inputs("lm_head", 0.03F, 3);
  std::string section = model.config.find("quantization_config")->dump();
  section.replace(section.find(R"(["lm_head"])"), 11, "[]");
  section.replace(section.find(R"("re:.*self_attn)"), 1, R"("lm_head",")");
  model.set_config("quantization_config", section);
  model.write(folder.path());
  base::ThreadPool pool(2);
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  const std::vector<float> want = run(*load_model(float_folder.path(), pool), tokens, 8);
  const std::vector<float> got = run(*load_model(folder.path(), pool), tokens, 3);
  double squares = 0, error = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    squares += static_cast<double>(want[i]) * want[i];
    error += std::pow(static_cast<double>(want[i]) - got[i], 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.002 * squares);
}

// silu(gate)·up goes to down_proj as codes, and a tap, which wants its values, changes no bit.
TEST(StaticInputs, OfDownProjAreTheGatedProductsCodes) {
  TestCheckpoint model = static_model();
  for (int layer = 0; layer < 2; ++layer) {
    model.fix_inputs("model.layers." + std::to_string(layer) + ".mlp.down_proj", 0.017F, -5);
  }
  model.set_static(R"(["re:.*(self_attn|mlp).*"])");
  const TempFolder folder;
  model.write(folder.path());
  base::ThreadPool pool(2);
  std::vector<int32_t> tokens(70);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % 50);
  class Deaf : public Tap {
    void on_rows(int64_t /*layer*/, TapSite /*site*/, const float* /*x*/, int64_t /*m*/,
                 int64_t /*k*/) override {}
  } tap;
  const std::vector<float> want =
      run(*load_model(folder.path(), pool, kernels::Isa::kRef), tokens, 70, KvType::kAuto, &tap);
  EXPECT_TRUE(std::ranges::all_of(want, [](float logit) { return std::isfinite(logit); }));
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    const auto loaded = load_model(folder.path(), pool, isa);
    StepProfile profile;
    loaded->set_profile(&profile);
    for (const size_t chunk : {70, 9, 1}) {
      EXPECT_EQ(fingerprint(run(*loaded, tokens, chunk)), fingerprint(want));
    }
    EXPECT_EQ(profile.seconds()[static_cast<size_t>(Operation::kSilu)], 0);
    run(*loaded, tokens, 70, KvType::kAuto, &tap);
    EXPECT_GT(profile.seconds()[static_cast<size_t>(Operation::kSilu)], 0);
  }
}

TEST(StaticInputs, WrongTensorsAreNamed) {
  for (const float bad : {0.0F, -1.0F, 1e-40F, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    TestCheckpoint model = static_model();
    model.fix_inputs(kQ, bad, 14);
    expect_refused(model, StatusCode::kCorrupt, {"model.safetensors", kQ + ".input_scale", "[0]"});
  }
  TestCheckpoint no_scale = static_model();
  no_scale.tensors.erase(kQ + ".input_scale");
  expect_refused(no_scale, StatusCode::kNotFound, {kQ + ".input_scale", "missing", "static"});
  TestCheckpoint no_zero_point = static_model();
  no_zero_point.tensors.erase(kQ + ".input_zero_point");
  expect_refused(no_zero_point, StatusCode::kNotFound, {kQ + ".input_zero_point", "missing", "asymmetric"});
  TestCheckpoint wide = static_model();
  wide[kQ + ".input_scale"] = TestTensor::of(DType::kF32, {40}, std::vector<float>(40, 0.1F));
  expect_refused(wide, StatusCode::kCorrupt, {kQ + ".input_scale", "[1]", "[40]"});
  TestCheckpoint integer = static_model();
  integer[kQ + ".input_scale"] = {DType::kI32, {1}, std::vector<std::byte>(4)};
  expect_refused(integer, StatusCode::kUnsupported, {kQ + ".input_scale", "I32"});
  TestCheckpoint real = static_model();
  real[kQ + ".input_zero_point"] = TestTensor::of(DType::kF32, {1}, std::vector<float>{1});
  expect_refused(real, StatusCode::kUnsupported, {kQ + ".input_zero_point", "I8 or I32", "F32"});
  TestCheckpoint large = static_model();
  large[kQ + ".input_zero_point"] = {DType::kI32, {1}, {std::byte{128}, {}, {}, {}}};
  expect_refused(large, StatusCode::kCorrupt, {kQ + ".input_zero_point", "127", "128"});
  TestCheckpoint unannounced = static_model();
  unannounced.set_quantized(R"(["Linear"])");
  expect_refused(unannounced, StatusCode::kCorrupt, {".input_scale", "not part of"});
}

TEST(StaticInputs, AGroupSharesOneScale) {
  TestCheckpoint scale = static_model();
  scale.fix_inputs("model.layers.1.self_attn.k_proj", 0.024F, 15);
  expect_refused(scale, StatusCode::kUnsupported,
                 {"model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "one input scale"});
  TestCheckpoint zero_point = static_model();
  zero_point.fix_inputs("model.layers.0.mlp.up_proj", 0.023F, 15);
  expect_refused(zero_point, StatusCode::kUnsupported,
                 {"model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj"});
  TestCheckpoint kind = static_model();
  kind.set_static(R"(["re:.*[qk]_proj", "re:.*o_proj", "re:.*(gate|up)_proj$"])");
  kind.set_config("quantization_config", [&] {
    std::string text = kind.config.find("quantization_config")->dump();
    const std::string dynamic = "re:.*down_proj$";
    return text.replace(text.find(dynamic), dynamic.size(), "re:.*(down|v)_proj$");
  }());
  for (int layer = 0; layer < 2; ++layer) {
    const std::string v = "model.layers." + std::to_string(layer) + ".self_attn.v_proj";
    kind.tensors.erase(v + ".input_scale");
    kind.tensors.erase(v + ".input_zero_point");
  }
  expect_refused(kind, StatusCode::kUnsupported, {"q_proj", "v_proj", "one input scale"});
}

// A layer's two blocks in double precision from the values of the checkpoint would repeat the decoder; here a
// single product is followed, and what static inputs change is the codes alone: with scales of absmax / 127
// of the only row, and no zero point, they are the dynamic codes.
TEST(StaticInputs, OneRowWithItsOwnScaleIsTheDynamicResult) {
  base::ThreadPool pool(2);
  const ModelConfig config = [&] {
    const auto checkpoint = format::Checkpoint::open(golden_path("qwen3-int8"));
    return parse_model_config(checkpoint->config(), "config.json").value();
  }();
  constexpr int64_t kN = 24, kK = 40;
  std::vector<float> x(kK);
  float widest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = std::sin(static_cast<float>(7 * i + 1));
    widest = std::max(widest, std::abs(x[i]));
  }
  const auto make = [&](std::optional<StaticInput> input) {
    LinearWeight weight;
    weight.n = kN;
    weight.k = kK;
    weight.dtype = DType::kI8;
    weight.data = tensor::Buffer(kN * kK);
    for (int64_t i = 0; i < kN * kK; ++i)
      weight.data.as<int8_t>()[i] = static_cast<int8_t>(i * 37 % 255 - 127);
    weight.scale.assign(kN, 0.02F);
    weight.input = std::move(input);
    return weight;
  };
  const auto product = [&](const Linear& linear) {
    std::vector<int8_t> codes(kK);
    float row_scale = 0;
    kernels::RowOut out = {kernels::RowForm::kS8, codes.data(), &row_scale};
    kernels::StaticCodes fixed;
    if (linear.static_input() != nullptr) {
      fixed = static_codes(*linear.static_input());
      out.static_codes = &fixed;
    }
    kernels::convert_rows(pool, kernels::select_elementwise(best_isa()), x.data(), kK, 1, kK, out);
    std::vector<float> y(kN);
    linear.forward(pool, {kernels::RowForm::kS8, codes.data(), &row_scale, 1, kK}, y.data(), kN);
    return y;
  };
  const float scale = widest / 127;
  const std::vector<float> dynamic = product(Linear(make(std::nullopt), best_isa()));
  const std::vector<float> fixed = product(Linear(make(StaticInput{{scale}, 0, scale}), best_isa()));
  EXPECT_EQ(fixed, dynamic);
  // Per column, and a zero point: the formula in double.
  StaticInput columns;
  for (int64_t k = 0; k < kK; ++k) columns.scale.push_back(scale * (1 + 0.01F * static_cast<float>(k)));
  columns.zero_point = 21;
  columns.product_scale = 0.5F;
  const std::vector<float> got = product(Linear(make(columns), best_isa()));
  const LinearWeight weight = make(std::nullopt);
  for (int64_t j = 0; j < kN; ++j) {
    double sum = 0;
    for (int64_t k = 0; k < kK; ++k) {
      const float quotient = x[static_cast<size_t>(k)] / columns.scale[static_cast<size_t>(k)];
      const double code = std::clamp(std::nearbyint(quotient) + 21, -128.0F, 127.0F);
      sum += (code - 21) * weight.data.as<int8_t>()[j * kK + k];
    }
    EXPECT_EQ(got[static_cast<size_t>(j)], static_cast<float>(sum) * 0.02F * 0.5F);
  }
}

}  // namespace
}  // namespace octavo::model
