#include "model/stored_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "model/linear_packing.h"
#include "model/test_checkpoint.h"

namespace octavo::model {
namespace {

using tensor::DType;

constexpr int64_t kN = 700, kK = 1000;  // several pieces of every type

// A checkpoint with a matrix more.
struct Matrix {
  explicit Matrix(DType dtype, int64_t n = kN, int64_t k = kK) : changed(golden_path("qwen3-f32")) {
    std::vector<float> values(static_cast<size_t>(n * k));
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i * i % 1009));
    changed.tensors["w"] = TestTensor::of(dtype, {n, k}, values);
  }
  void set(int64_t row, int64_t column, float value) {
    TestTensor& w = changed["w"];
    const size_t bytes = static_cast<size_t>(tensor::dtype_bytes(w.dtype));
    tensor::convert_from_f32(w.dtype, &value, w.bytes.data() + static_cast<size_t>(row * kK + column) * bytes,
                             1);
  }
  TestCheckpoint changed;
  TempFolder folder;
};

LinearWeight stored_weight(const format::Checkpoint& checkpoint) {
  LinearWeight weight;
  const format::TensorInfo& info = *checkpoint.find("w");
  weight.n = info.shape[0];
  weight.k = info.shape[1];
  weight.stored.emplace(checkpoint, info);
  weight.dtype = weight.stored->dtype();
  return weight;
}

TEST(StoredRows, PackedFromTheFileAreThoseOfMemory) {
  base::ThreadPool pool(3);
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    Matrix matrix(dtype);
    const format::Checkpoint checkpoint = matrix.changed.reopen(matrix.folder);
    LinearWeight weight = stored_weight(checkpoint);
    const auto packed = pack_linear(weight, kernels::cpu_isas().back(), pool);
    ASSERT_TRUE(packed.ok()) << packed.status().message();
    ASSERT_TRUE(read_rows(weight, pool).ok());
    EXPECT_FALSE(weight.stored);
    const std::vector<float> want = matrix.changed["w"].floats();
    std::vector<float> row(static_cast<size_t>(kK)), in_memory(want.size());
    tensor::convert_to_f32(weight.dtype, weight.data.data(), in_memory.data(), kN * kK);
    EXPECT_EQ(in_memory, want);
    for (int64_t i = 0; i < kN; ++i) {
      packed->weight_row(i, row.data());
      ASSERT_TRUE(std::equal(row.begin(), row.end(), want.begin() + i * kK)) << "row " << i;
    }
  }
}

// So long that a piece is half of a panel, and the last one pads it.
TEST(StoredRows, OutputsThatPadAPanelAreInNoFile) {
  base::ThreadPool pool(2);
  Matrix matrix(DType::kF32, 40, 5000);
  const format::Checkpoint checkpoint = matrix.changed.reopen(matrix.folder);
  const std::vector<float> want = matrix.changed["w"].floats();
  for (const kernels::Isa isa : kernels::cpu_isas()) {
    const auto packed = pack_linear(stored_weight(checkpoint), isa, pool);
    ASSERT_TRUE(packed.ok()) << packed.status().message();
    std::vector<float> row(5000);
    packed->weight_row(39, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), want.end() - 5000));
  }
}

TEST(StoredRows, TheFirstErrorInTheMatrixIsTheOneThatIsTold) {
  base::ThreadPool pool(4);
  Matrix matrix(DType::kBF16);
  matrix.set(kN - 1, 3, std::numeric_limits<float>::quiet_NaN());
  matrix.set(300, 7, std::numeric_limits<float>::infinity());
  matrix.set(650, 0, std::numeric_limits<float>::infinity());
  const format::Checkpoint checkpoint = matrix.changed.reopen(matrix.folder);
  for (int turn = 0; turn < 10; ++turn) {
    LinearWeight weight = stored_weight(checkpoint);
    const Status packed = pack_linear(weight, kernels::Isa::kRef, pool).status();
    EXPECT_EQ(packed.code(), StatusCode::kCorrupt);
    EXPECT_NE(packed.message().find("'w': expected finite values, found NaN or infinity at [300, 7]"),
              std::string::npos)
        << packed.message();
    EXPECT_EQ(read_rows(weight, pool).message(), packed.message());
    EXPECT_TRUE(weight.stored);
  }
}

TEST(StoredRows, AFileCutShortAfterItWasOpenedIsAnError) {
  base::ThreadPool pool(2);
  Matrix matrix(DType::kF32);
  const format::Checkpoint checkpoint = matrix.changed.reopen(matrix.folder);
  const std::string path = matrix.folder.path() + "/model.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - kN * kK * 2);
  const Status status = pack_linear(stored_weight(checkpoint), kernels::Isa::kRef, pool).status();
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  for (const char* words : {"'w'", "model.safetensors", "truncated"}) {
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace octavo::model
