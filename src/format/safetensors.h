#pragma once
// One safetensors file, read strictly: a header of at most 100 MB of valid JSON without duplicate keys, every
// tensor's bytes equal to shape times element size, tensors end to end without hole or overlap up to the end
// of the file. Every refusal names the file, the tensor, what was expected and what was found.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octavo/status.h"

#include "base/file.h"
#include "tensor/dtype.h"

namespace octavo::format {

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own cap
inline constexpr size_t kMaxRank = 8;

struct TensorInfo {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<int64_t> shape;  // row-major; empty: a scalar
  uint64_t offset = 0;         // of the first byte, from the start of the file
  uint64_t n_bytes = 0;

  int64_t n_elements() const;
};

// "[2, 3]"
std::string shape_text(std::span<const int64_t> shape);

using TensorMetadata = std::vector<std::pair<std::string, std::string>>;  // of "__metadata__", in file order

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in the order of their bytes
  TensorMetadata metadata;
};

// The JSON text between the 8 bytes of length and the data. `data_offset` is where the data begins in a file
// of `file_bytes`; `path` is for messages.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view text, uint64_t data_offset,
                                                   uint64_t file_bytes, const std::string& path);

class SafetensorsFile {
 public:
  // Reads and checks the header, no data.
  static Result<SafetensorsFile> open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  uint64_t size_bytes() const { return file_.size_bytes(); }
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }  // in the order of their bytes
  const TensorMetadata& metadata() const { return header_.metadata; }
  uint64_t header_hash() const { return header_hash_; }

  const TensorInfo* find(std::string_view name) const;  // nullptr: no such tensor
  // The same tensors under other names, or parts of them. Pointers to the old ones are void.
  void replace_tensors(std::vector<TensorInfo> tensors);
  // All info.n_bytes of a tensor of this file. Thread-safe.
  Status read(const TensorInfo& info, void* to) const;
  void prefetch(const TensorInfo& info) const { file_.prefetch(info.offset, info.n_bytes); }
  // Bytes [begin, begin + n_bytes) of a tensor of this file: a part of a large one. Thread-safe.
  Status read_part(const TensorInfo& info, uint64_t begin, uint64_t n_bytes, void* to) const;

 private:
  SafetensorsFile(base::InputFile file, SafetensorsHeader header, uint64_t header_hash);
  base::InputFile file_;
  SafetensorsHeader header_;
  std::vector<size_t> by_name_;  // positions in header_.tensors, sorted by name
  uint64_t header_hash_ = 0;
};

}  // namespace octavo::format
