// Golden Stick's layouts: those that it wrote itself (shared data, skipped without it) give the float model's
// logits as nearly as the original's own simulation does; those of tools/make_golden_stick.py give what that
// script computes from the same tensors in double precision; broken ones are refused by name.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "base/json.h"
#include "base/test_environment.h"
#include "format/quant_manifest/quant_manifest.h"
#include "model/config.h"
#include "model/test_checkpoint.h"
#include "model/test_model.h"
#include "model/weights.h"

namespace octavo::model {
namespace {

// Relative mean squared error of the logits. Golden Stick's own simulation of the recipe has 0.0011.
constexpr double kMaxError = 0.002;

std::string golden_stick_data() { return base::test_data_folder() + "/golden-stick"; }

std::vector<float> row_of(const base::Json& numbers) {
  std::vector<float> row;
  for (const base::Json& number : numbers.as_array()) row.push_back(static_cast<float>(number.as_double()));
  return row;
}

TEST(GoldenStick, ItsOwnCheckpointsGiveTheFloatModelsLogits) {
  const std::string data = golden_stick_data();
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no test data at " << data;
  const auto expected = base::read_json_file(data + "/expected.json");
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  base::ThreadPool pool(2);
  for (const char* layout : {"format-a", "format-b-ascend", "format-b-none"}) {
    const auto checkpoint = format::Checkpoint::open(data + "/" + layout);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const auto manifest = format::QuantManifest::read(*checkpoint);
    ASSERT_TRUE(manifest.ok()) << manifest.status().message();
    EXPECT_EQ(manifest->description(), "golden-stick w8a8 static and dynamic");
    const auto model = load_model(data + "/" + layout, pool);
    double squares = 0, wanted_squares = 0;
    for (size_t i = 0; i < 4; ++i) {
      std::vector<int32_t> tokens;
      for (const base::Json& id : expected->find("input_ids")->as_array()[i].as_array()) {
        tokens.push_back(static_cast<int32_t>(id.as_int()));
      }
      const std::vector<float> want = row_of(expected->find("float_last_logits")->as_array()[i]);
      const std::vector<float> all = run(*model, tokens, tokens.size());
      const std::span<const float> got = std::span(all).last(want.size());
      for (size_t j = 0; j < want.size(); ++j) {
        squares += std::pow(static_cast<double>(got[j]) - want[j], 2);
        wanted_squares += std::pow(static_cast<double>(want[j]), 2);
      }
    }
    std::printf("%-16s relative mean squared error of the logits %.5f\n", layout, squares / wanted_squares);
    EXPECT_LT(squares / wanted_squares, kMaxError) << layout;
  }
}

TEST(GoldenStick, EveryLayoutGivesWhatItsTensorsSay) {
  const Expected expected("golden-stick/expected");
  base::ThreadPool pool(2);
  for (const char* layout : {"a", "a-fused", "b-ascend", "b-none", "b-smoothed", "c"}) {
    const std::string folder = golden_path("golden-stick/") + layout;
    const auto checkpoint = format::Checkpoint::open(folder);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const std::string name = std::string(layout) == "c" ? "ascend" : "golden-stick";
    EXPECT_EQ(format::QuantManifest::read(*checkpoint)->description(), name + " w8a8 static and dynamic");
    const auto model = load_model(folder, pool);
    const std::vector<float> want = expected.floats(layout);
    const std::vector<float> got = run(*model, expected.tokens(), 1000);
    ASSERT_EQ(got.size(), want.size());
    float widest = 0, difference = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      widest = std::max(widest, std::abs(want[i]));
      difference = std::max(difference, std::abs(want[i] - got[i]));
    }
    std::printf("%-16s max error %.2e of max |logit|\n", layout, difference / widest);
    EXPECT_LE(difference, 1e-6F * widest) << layout;  // no code falls to the other side of an edge
  }
}

// The synthetic checkpoint of one layout, to be changed. Its tensors have Hugging Face's names.
struct Changed {
  explicit Changed(const std::string& layout)
      : model(golden_path("golden-stick/" + layout)), description(base::JsonObject{}) {
    for (const auto& [name, tensor] : model.tensors) {
      const bool is_float = name.find("_proj.") == std::string::npos;
      description.set(name, is_float                                      ? "FLOAT"
                            : name.find("down_proj") == std::string::npos ? "W8A8"
                                                                          : "W8A8_DYNAMIC");
    }
  }
  void add(const std::string& name, TestTensor tensor, const char* type = "W8A8") {
    model.tensors[name] = std::move(tensor);
    description.set(name, type);
  }
  Status load() const {
    const TempFolder folder;
    const std::string file = folder.path() + "/quantization_description.json";
    EXPECT_TRUE(base::write_file_atomic(file, description.dump()).ok());
    OCTAVO_RETURN_IF_ERROR(check(model.reopen(folder)));
    return {};
  }
  static Status check(const format::Checkpoint& checkpoint) {
    base::ThreadPool pool(1);
    return Model::load(checkpoint, {best_isa(), &pool}).status();
  }

  TestCheckpoint model;
  base::Json description;
};

void expect_refused(const Changed& changed, StatusCode code, const std::vector<std::string>& words) {
  const Status status = changed.load();
  EXPECT_EQ(status.code(), code) << status.message();
  for (const std::string& word : words) {
    EXPECT_NE(status.message().find(word), std::string::npos)
        << "'" << word << "' not in: " << status.message();
  }
}

const std::string kQ = "model.layers.0.self_attn.q_proj", kDown = "model.layers.0.mlp.down_proj";

TEST(GoldenStick, WrongTensorsAreNamed) {
  EXPECT_TRUE(Changed("b-ascend").load().ok()) << Changed("b-ascend").load().message();
  const auto refused = [](StatusCode code, const std::vector<std::string>& words, const auto& change) {
    Changed changed("b-ascend");
    change(changed);
    expect_refused(changed, code, words);
  };
  for (const float bad : {0.0F, -0.1F, std::numeric_limits<float>::quiet_NaN()}) {
    refused(StatusCode::kCorrupt, {kQ + ".input_scale", "[3]"}, [&](Changed& changed) {
      TestTensor& scale = changed.model[kQ + ".input_scale"];
      std::vector<float> values = scale.floats();
      values[3] = bad;
      scale = TestTensor::of(scale.dtype, scale.shape, values);
    });
  }
  refused(StatusCode::kCorrupt, {kQ + ".input_scale", "[24]", "[12]"}, [](Changed& changed) {
    changed.model[kQ + ".input_scale"] =
        TestTensor::of(tensor::DType::kF32, {12}, std::vector<float>(12, 0.1F));
  });
  refused(StatusCode::kNotFound, {kQ + ".input_offset", "missing", "static"}, [](Changed& changed) {
    changed.model.tensors.erase(kQ + ".input_offset");
    std::erase_if(changed.description.as_object(),
                  [](const auto& member) { return member.first == kQ + ".input_offset"; });
  });
  refused(StatusCode::kUnsupported, {kQ + ".input_offset", "one zero point", "[5]"},
          [](Changed& changed) { changed.model[kQ + ".input_offset"].bytes[5] ^= std::byte{1}; });
  refused(StatusCode::kCorrupt, {kQ + ".quant_bias", "zero point", "[7]"},
          [](Changed& changed) { changed.model[kQ + ".quant_bias"].bytes[4 * 7 + 2] ^= std::byte{0x10}; });
  refused(StatusCode::kCorrupt, {kQ + ".deq_scale", "[40]", "[40, 1]"}, [](Changed& changed) {
    changed.model[kQ + ".deq_scale"].shape = {40, 1};
  });
  refused(StatusCode::kUnsupported, {kDown + ".weight_offset", "asymmetric"},
          [](Changed& changed) { changed.model[kDown + ".weight_offset"].bytes[8] = std::byte{1}; });
  refused(StatusCode::kUnsupported, {kQ + ".beta", "Outlier Suppression+"}, [](Changed& changed) {
    changed.add(kQ + ".beta", TestTensor::of(tensor::DType::kF32, {24}, std::vector<float>(24)));
  });
  refused(StatusCode::kUnsupported, {kDown + ".smooth_scale", "dynamic"}, [](Changed& changed) {
    changed.add(kDown + ".smooth_scale", TestTensor::of(tensor::DType::kF32, {36}, std::vector<float>(36, 1)),
                "W8A8_DYNAMIC");
  });
  Changed halves("b-smoothed");  // deq_scale as the bits of floats in 64-bit words
  halves.model[kQ + ".deq_scale"].bytes[8 * 2 + 5] = std::byte{1};
  expect_refused(halves, StatusCode::kCorrupt, {kQ + ".deq_scale", "[2]"});
  Changed smoothed("b-smoothed");
  smoothed.model.tensors.erase(kQ + ".deq_scale");
  std::erase_if(smoothed.description.as_object(),
                [](const auto& member) { return member.first == kQ + ".deq_scale"; });
  expect_refused(smoothed, StatusCode::kUnsupported, {kQ + ".input_scale", "no deq_scale"});
}

// For aclnn Golden Stick stores float offsets and scales to multiply by.
TEST(GoldenStick, FloatOffsetsComeWithReciprocalScales) {
  Changed changed("b-none");
  const std::string module = "model.layers.0.self_attn.o_proj";
  const float scale = changed.model[module + ".input_scale"].floats()[0];
  changed.model[module + ".input_scale"] =
      TestTensor::of(tensor::DType::kF32, {1}, std::vector<float>{1 / scale});
  changed.model[module + ".input_offset"] = TestTensor::of(tensor::DType::kF32, {1}, std::vector<float>{-3});
  const TempFolder folder;
  const std::string file = folder.path() + "/quantization_description.json";
  ASSERT_TRUE(base::write_file_atomic(file, changed.description.dump()).ok());
  const format::Checkpoint checkpoint = changed.model.reopen(folder);
  const auto config = parse_model_config(checkpoint.config(), "config.json");
  const auto layer = read_layer(checkpoint, *config, 0);
  ASSERT_TRUE(layer.ok()) << layer.status().message();
  EXPECT_NEAR((*layer)[LinearSlot::kO].input->scale[0], scale, 1e-7F * scale);
  EXPECT_EQ((*layer)[LinearSlot::kO].input->zero_point, -3);
  changed.model[module + ".input_offset"] =
      TestTensor::of(tensor::DType::kF32, {1}, std::vector<float>{-3.5F});
  expect_refused(changed, StatusCode::kCorrupt, {module + ".input_offset", "whole numbers", "-3.5"});
}

}  // namespace
}  // namespace octavo::model
