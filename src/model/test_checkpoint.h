#pragma once
// For tests: a golden model in memory, to be changed and written to a folder of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "format/checkpoint.h"
#include "format/safetensors_writer.h"
#include "tensor/dtype.h"

namespace octavo::model {

inline std::string golden_path(const std::string& name) {
  return std::string(OCTAVO_SOURCE_DIR) + "/tests/golden/" + name;
}

// A folder that goes with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "octavo-model-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct TestTensor {
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  int64_t n() const {
    int64_t product = 1;
    for (const int64_t size : shape) product *= size;
    return product;
  }
  std::vector<float> floats() const {
    std::vector<float> values(static_cast<size_t>(n()));
    tensor::convert_to_f32(dtype, bytes.data(), values.data(), n());
    return values;
  }
  static TestTensor of(tensor::DType dtype, std::vector<int64_t> shape, std::span<const float> values) {
    TestTensor out{dtype, std::move(shape), {}};
    out.bytes.resize(values.size() * static_cast<size_t>(tensor::dtype_bytes(dtype)));
    tensor::convert_from_f32(dtype, values.data(), out.bytes.data(), static_cast<int64_t>(values.size()));
    return out;
  }
};

class TestCheckpoint {
 public:
  // A folder with one safetensors file.
  explicit TestCheckpoint(const std::string& folder) {
    const auto checkpoint = format::Checkpoint::open(folder);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    config = checkpoint->config();
    for (const format::TensorInfo* info : checkpoint->tensors()) {
      TestTensor& tensor = tensors[info->name];
      tensor = {info->dtype, info->shape, std::vector<std::byte>(info->n_bytes)};
      EXPECT_TRUE(checkpoint->read(info->name, tensor.bytes.data(), info->n_bytes).ok());
    }
  }

  TestTensor& operator[](const std::string& name) {
    EXPECT_TRUE(tensors.contains(name)) << name;
    return tensors[name];
  }
  void set_config(std::string_view key, const std::string& value) {
    config.set(key, base::parse_json(value).value());
  }

  // To W8A8 with scales of `scale_dtype`, rounded before the codes are computed.
  void quantize(const std::string& module, tensor::DType scale_dtype) {
    TestTensor& weight = (*this)[module + ".weight"];
    const std::vector<float> w = weight.floats();
    const auto n = static_cast<size_t>(weight.shape[0]), k = static_cast<size_t>(weight.shape[1]);
    std::vector<float> scale(n);
    std::vector<std::byte> codes(n * k);
    for (size_t i = 0; i < n; ++i) {
      float widest = 0;
      for (size_t j = 0; j < k; ++j) widest = std::max(widest, std::abs(w[i * k + j]));
      scale[i] = TestTensor::of(scale_dtype, {1}, std::vector<float>{widest / 127}).floats()[0];
      for (size_t j = 0; j < k; ++j) {
        const float code = std::clamp(std::nearbyint(w[i * k + j] / scale[i]), -127.0F, 127.0F);
        codes[i * k + j] = static_cast<std::byte>(static_cast<int8_t>(code));
      }
    }
    weight = {tensor::DType::kI8, weight.shape, std::move(codes)};
    tensors[module + ".weight_scale"] = TestTensor::of(scale_dtype, {weight.shape[0], 1}, scale);
  }
  // The quantization_config that makes `targets` (names or "re:" patterns) W8A8.
  void set_quantized(const std::string& targets) {
    set_config("quantization_config", R"({"quant_method": "compressed-tensors", "format": "int-quantized",
      "quantization_status": "compressed", "ignore": ["lm_head"], "config_groups": {"group_0": {"targets": )" +
                                          targets + R"(,
      "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false},
      "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token",
                            "dynamic": true}}}})");
  }

  // Static inputs for a quantized module: one scale and zero point, as compressed-tensors stores them.
  void fix_inputs(const std::string& module, float scale, int8_t zero_point) {
    tensors[module + ".input_scale"] = TestTensor::of(tensor::DType::kF32, {1}, std::vector<float>{scale});
    tensors[module + ".input_zero_point"] = {tensor::DType::kI8, {1}, {static_cast<std::byte>(zero_point)}};
  }
  // The quantization_config of the static recipe: `targets` with asymmetric static inputs, down_proj dynamic
  // unless they name it.
  void set_static(const std::string& targets) {
    const auto group = [](const std::string& names, const char* strategy, const char* more) {
      return R"({"targets": )" + names + R"(, "format": "int-quantized", "weights": {"num_bits": 8,
        "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false},
        "input_activations": {"num_bits": 8, "type": "int", "strategy": ")" +
             strategy + "\", " + more + "}}";
    };
    set_config("quantization_config",
               R"({"quant_method": "compressed-tensors", "format": "int-quantized",
                "quantization_status": "compressed", "ignore": ["lm_head"], "config_groups": {"group_0": )" +
                   group(targets, "tensor", R"("symmetric": false, "dynamic": false)") + R"(, "group_1": )" +
                   group(R"(["re:.*down_proj$"])", "token", R"("symmetric": true, "dynamic": true)") + "}}");
  }

  void write(const std::string& folder) const {
    ASSERT_TRUE(base::write_file_atomic(folder + "/config.json", config.dump(1)).ok());
    std::vector<format::TensorSpec> plan;
    for (const auto& [name, tensor] : tensors) plan.push_back({name, tensor.dtype, tensor.shape});
    auto writer = format::SafetensorsWriter::create(folder + "/model.safetensors", plan);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    for (const auto& [name, tensor] : tensors) {
      ASSERT_TRUE(writer->write(name, tensor.bytes.data(), tensor.bytes.size()).ok());
    }
    ASSERT_TRUE(writer->finish().ok());
  }
  // Written to a folder of its own and opened.
  format::Checkpoint reopen(const TempFolder& folder) const {
    write(folder.path());
    auto checkpoint = format::Checkpoint::open(folder.path());
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    return std::move(checkpoint).value();
  }

  base::Json config;
  std::map<std::string, TestTensor> tensors;
};

// A tensor of tests/golden/NAME.safetensors (tools/make_golden.py).
class Expected {
 public:
  explicit Expected(const std::string& name) {
    auto file = format::SafetensorsFile::open(golden_path(name + ".safetensors"));
    EXPECT_TRUE(file.ok()) << file.status().message();
    for (const format::TensorInfo& info : file->tensors()) {
      TestTensor& tensor = tensors_[info.name];
      tensor = {info.dtype, info.shape, std::vector<std::byte>(info.n_bytes)};
      EXPECT_TRUE(file->read(info, tensor.bytes.data()).ok());
    }
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  std::vector<float> floats(const std::string& name) const { return tensors_.at(name).floats(); }
  std::vector<int32_t> tokens() const {
    const TestTensor& tensor = tensors_.at("tokens");
    std::vector<int64_t> wide(static_cast<size_t>(tensor.n()));
    std::memcpy(wide.data(), tensor.bytes.data(), tensor.bytes.size());
    return {wide.begin(), wide.end()};
  }

 private:
  std::map<std::string, TestTensor> tensors_;
};

}  // namespace octavo::model
