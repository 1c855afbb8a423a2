// Writing: what is computed and what is copied goes through one path, in the plan's order, and is checksummed
// from memory; compare() reads the files back, so a fault anywhere between here and the disk is found before
// the folder gets its name. Called by pipeline.cc.
#include "quant/write.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/text_format.h"
#include "format/quant_manifest/golden_stick_write.h"
#include "model/arch/arch_spec.h"

namespace octavo::quant {
namespace {

using base::quoted;
using model::LinearSlot;

constexpr uint64_t kPartBytes = uint64_t{8} << 20;  // of a tensor read, written or checked at a time

// A 64-bit checksum of bytes that come in parts of kPartBytes (the last may be shorter). Against faults, not
// against forgery: four multiply-xor lanes over 8-byte words.
class Checksum {
 public:
  void add(const void* bytes, uint64_t n_bytes) {
    constexpr uint64_t kPrime = 0x9E3779B97F4A7C15U;
    const auto* from = static_cast<const unsigned char*>(bytes);
    std::array<uint64_t, 4> lanes = {1, 2, 3, 4};
    uint64_t at = 0;
    for (; at + 32 <= n_bytes; at += 32) {
      for (size_t lane = 0; lane < 4; ++lane) {
        uint64_t word = 0;
        std::memcpy(&word, from + at + 8 * lane, 8);
        lanes[lane] = (lanes[lane] ^ word) * kPrime;
        lanes[lane] ^= lanes[lane] >> 29;
      }
    }
    for (; at < n_bytes; ++at) lanes[at % 4] = (lanes[at % 4] ^ from[at]) * kPrime;
    for (const uint64_t lane : lanes) {
      value_ = (value_ ^ lane) * kPrime;
      value_ ^= value_ >> 32;
    }
    value_ += n_bytes;
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

// Calls part(bytes, n_bytes) over a tensor of a checkpoint.
template <class Part>
Status for_each_part(const format::Checkpoint& checkpoint, const format::TensorInfo& info, const Part& part) {
  tensor::Buffer buffer(static_cast<size_t>(std::min(kPartBytes, std::max<uint64_t>(info.n_bytes, 1))));
  for (uint64_t begin = 0; begin < info.n_bytes; begin += kPartBytes) {
    const uint64_t n_bytes = std::min(kPartBytes, info.n_bytes - begin);
    OCTAVO_RETURN_IF_ERROR(checkpoint.read_part(info.name, begin, n_bytes, buffer.data()));
    OCTAVO_RETURN_IF_ERROR(part(buffer.data(), n_bytes));
  }
  return {};
}

// What is copied unread would otherwise carry a NaN into a model that then gives only NaNs.
Status check_finite(const format::Checkpoint& checkpoint, const format::TensorInfo& info, const void* bytes,
                    uint64_t n_bytes) {
  using enum tensor::DType;
  if (info.dtype != kF32 && info.dtype != kBF16 && info.dtype != kF16) return {};
  const auto n = static_cast<int64_t>(n_bytes) / tensor::dtype_bytes(info.dtype);
  if (!model::find_non_finite(info.dtype, bytes, n)) return {};
  return corrupt(checkpoint.file_of(info).path() + ": tensor " + quoted(info.name) +
                 ": expected finite values, found NaN or infinity");
}

ComputedTensor store(std::string name, const std::vector<float>& values, tensor::DType dtype) {
  ComputedTensor stored{std::move(name),
                        tensor::Buffer(values.size() * static_cast<size_t>(tensor::dtype_bytes(dtype)))};
  tensor::convert_from_f32(dtype, values.data(), stored.bytes.data(), static_cast<int64_t>(values.size()));
  return stored;
}

tensor::Buffer store_matrix(const model::LinearWeight& weight, tensor::DType dtype) {
  const int64_t n = weight.n * weight.k;
  std::vector<float> values(static_cast<size_t>(n));
  tensor::convert_to_f32(weight.dtype, weight.data.data(), values.data(), n);
  tensor::Buffer stored(values.size() * static_cast<size_t>(tensor::dtype_bytes(dtype)));
  tensor::convert_from_f32(dtype, values.data(), stored.data(), n);
  return stored;
}

constexpr std::array<std::string_view, 7> kCarriedNames = {
    "generation_config.json",  "vocab.json",        "merges.txt", "vocab.txt",
    "special_tokens_map.json", "added_tokens.json", "NOTICE"};
constexpr std::array<std::string_view, 3> kCarriedPrefixes = {"tokenizer", "chat_template", "LICENSE"};
constexpr std::array<std::string_view, 3> kCarriedSuffixes = {".jinja", ".model", ".tiktoken"};

bool is_carried(std::string_view name) {
  const auto any = [](const auto& candidates, const auto& holds) {
    return std::any_of(candidates.begin(), candidates.end(), holds);
  };
  return any(kCarriedNames, [&](std::string_view known) { return name == known; }) ||
         any(kCarriedPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); }) ||
         any(kCarriedSuffixes, [&](std::string_view suffix) { return name.ends_with(suffix); });
}

}  // namespace

Result<std::vector<ComputedTensor>> computed_tensors(const format::Checkpoint& checkpoint,
                                                     const LayerSource& source, const LayerFolds& folds,
                                                     std::array<BlockCandidate, 2> blocks,
                                                     QuantLayout layout) {
  const model::ArchSpec& arch = *source.config->arch;
  std::vector<ComputedTensor> tensors;
  for (size_t block = 0; block < blocks.size(); ++block) {
    for (const LinearSlot slot : slots_of(static_cast<Block>(block))) {
      model::LinearWeight& weight = blocks[block].weights[slot];
      const std::string module = model::linear_name(arch, source.layer, slot);
      const tensor::DType storage = source.storage[static_cast<size_t>(slot)];
      if (!weight.bias.empty() && !folds.of(slot).row_divisor.empty()) {
        const tensor::DType dtype = checkpoint.find(module + ".bias")->dtype;
        tensors.push_back(store(module + ".bias", weight.bias, dtype));
      }
      if (weight.dtype == tensor::DType::kI8) {
        auto stored = stored_linear(layout, module, std::move(weight), storage);
        std::move(stored.begin(), stored.end(), std::back_inserter(tensors));
      } else if (folds.changes(slot)) {
        tensors.push_back({module + ".weight", store_matrix(weight, storage)});
      }
    }
  }
  const std::string prefix = std::string(arch.layers) + "." + std::to_string(source.layer) + ".";
  if (!folds.input_norm.empty()) {
    tensors.push_back(
        store(prefix + arch.input_norm + ".weight", folds.input_norm, source.input_norm_storage));
  }
  if (!folds.post_attention_norm.empty()) {
    tensors.push_back(store(prefix + arch.post_attention_norm + ".weight", folds.post_attention_norm,
                            source.post_attention_norm_storage));
  }
  return tensors;
}

Result<TargetWriter> TargetWriter::create(const std::string& folder, const TargetPlan& plan,
                                          uint64_t max_shard_bytes, QuantLayout layout) {
  const format::ShardNames names =
      layout == QuantLayout::kGoldenStick ? format::kGoldenStickShards : format::ShardNames{};
  OCTAVO_ASSIGN_OR_RETURN(auto writer,
                          format::ShardedWriter::create(folder, plan.in_order(), max_shard_bytes, names));
  return TargetWriter(std::move(writer));
}

Status TargetWriter::write(const std::vector<format::TensorSpec>& tensors, const format::Checkpoint& source,
                           const std::vector<ComputedTensor>& computed) {
  for (const format::TensorSpec& spec : tensors) {
    Checksum checksum;
    const auto append = [&](const void* bytes, uint64_t n_bytes) {
      checksum.add(bytes, n_bytes);
      return writer_.write(spec.name, bytes, n_bytes);
    };
    const auto made = std::find_if(computed.begin(), computed.end(),
                                   [&](const ComputedTensor& tensor) { return tensor.name == spec.name; });
    if (made == computed.end()) {
      const format::TensorInfo* info = source.find(spec.name);
      OCTAVO_CHECK(info != nullptr && info->dtype == spec.dtype);
      OCTAVO_RETURN_IF_ERROR(for_each_part(source, *info, [&](const void* bytes, uint64_t n_bytes) {
        const Status finite = check_finite(source, *info, bytes, n_bytes);
        return finite.ok() ? append(bytes, n_bytes) : finite;
      }));
    } else {
      const auto* bytes = made->bytes.as<std::byte>();
      for (uint64_t begin = 0; begin < made->bytes.size_bytes(); begin += kPartBytes) {
        OCTAVO_RETURN_IF_ERROR(append(bytes + begin, std::min(kPartBytes, made->bytes.size_bytes() - begin)));
      }
    }
    checksums_[spec.name] = checksum.value();
  }
  return {};
}

Status TargetWriter::finish() { return writer_.finish(); }

namespace {

Status compare_tensor(const format::Checkpoint& written, const std::string& name, uint64_t expected) {
  const format::TensorInfo* info = written.find(name);
  if (info == nullptr)
    return internal_error("tensor " + quoted(name) + " was written and cannot be found again");
  Checksum checksum;
  OCTAVO_RETURN_IF_ERROR(for_each_part(written, *info, [&](const void* bytes, uint64_t n_bytes) {
    checksum.add(bytes, n_bytes);
    return Status();
  }));
  if (checksum.value() == expected) return {};
  return io_error(written.file_of(*info).path() + ": tensor " + quoted(name) +
                  " reads back different from what was written; the disk or the memory is faulty");
}

}  // namespace

Status TargetWriter::compare(const std::string& folder, base::ThreadPool& pool) const {
  OCTAVO_ASSIGN_OR_RETURN(const format::Checkpoint written, format::Checkpoint::open(folder));
  const std::vector<std::pair<std::string, uint64_t>> tensors(checksums_.begin(), checksums_.end());
  // Each reader holds a part of kPartBytes: so many of them, however many threads there are.
  constexpr size_t kReaders = 8;
  std::vector<Status> statuses(tensors.size());
  pool.parallel_for(kReaders, [&](int64_t reader, int) {
    for (size_t i = static_cast<size_t>(reader); i < tensors.size(); i += kReaders) {
      const auto& [name, expected] = tensors[i];
      statuses[i] = compare_tensor(written, name, expected);
    }
  });
  for (const Status& status : statuses) OCTAVO_RETURN_IF_ERROR(status);
  if (written.tensors().size() == checksums_.size()) return {};
  return internal_error(folder + ": " + std::to_string(written.tensors().size()) + " tensors were written, " +
                        std::to_string(checksums_.size()) + " were meant");
}

Result<std::vector<std::string>> carried_files(const std::string& source) {
  OCTAVO_ASSIGN_OR_RETURN(std::vector<std::string> names, base::list_folder(source));
  std::erase_if(names, [&](const std::string& name) {
    return !is_carried(name) || base::is_folder(base::join_path(source, name));
  });
  return names;
}

Status carry_files(const std::string& source, const std::vector<std::string>& names,
                   const std::string& target) {
  tensor::Buffer part(kPartBytes);
  for (const std::string& name : names) {
    OCTAVO_ASSIGN_OR_RETURN(const base::InputFile from, base::InputFile::open(base::join_path(source, name)));
    OCTAVO_ASSIGN_OR_RETURN(base::AtomicFile to, base::AtomicFile::create(base::join_path(target, name)));
    for (uint64_t begin = 0; begin < from.size_bytes(); begin += kPartBytes) {
      const uint64_t n_bytes = std::min(kPartBytes, from.size_bytes() - begin);
      OCTAVO_RETURN_IF_ERROR(from.read(begin, part.data(), n_bytes));
      OCTAVO_RETURN_IF_ERROR(to.write(part.data(), n_bytes));
    }
    OCTAVO_RETURN_IF_ERROR(to.commit());
  }
  return {};
}

}  // namespace octavo::quant
