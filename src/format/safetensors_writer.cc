// The safetensors writer and the shards of a checkpoint; used by quant/write.cc. The header a writer puts out
// is first read by our own strict reader, so no plan can lead to a file that readers refuse.
#include "format/safetensors_writer.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "base/check.h"
#include "base/json.h"
#include "base/text_format.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;

constexpr uint64_t kLengthBytes = 8;

Json header_entry(const TensorInfo& info) {
  base::JsonArray shape(info.shape.begin(), info.shape.end());
  const base::JsonArray offsets = {Json(info.offset), Json(info.offset + info.n_bytes)};
  return Json(base::JsonObject{{"dtype", Json(tensor::dtype_name(info.dtype))},
                               {"shape", Json(std::move(shape))},
                               {"data_offsets", Json(offsets)}});
}

Status check_unique(const std::vector<TensorSpec>& plan) {
  std::vector<std::string_view> names;
  for (const TensorSpec& spec : plan) names.push_back(spec.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return invalid_argument("tensor " + quoted(*twice) + ": planned twice");
  return {};
}

}  // namespace

Result<uint64_t> tensor_bytes(const TensorSpec& spec) {
  int64_t n_bytes = tensor::dtype_bytes(spec.dtype);
  for (const int64_t size : spec.shape) {
    if (size < 0 || __builtin_mul_overflow(n_bytes, size, &n_bytes)) {
      return invalid_argument("tensor " + quoted(spec.name) + ": shape " + shape_text(spec.shape) +
                              " is negative or exceeds 2^63-1 bytes");
    }
  }
  return static_cast<uint64_t>(n_bytes);
}

SafetensorsWriter::SafetensorsWriter(base::AtomicFile file, std::vector<TensorInfo> tensors)
    : file_(std::move(file)), tensors_(std::move(tensors)) {
  skip_complete_tensors();
}

Result<SafetensorsWriter> SafetensorsWriter::create(const std::string& path,
                                                    const std::vector<TensorSpec>& plan,
                                                    const TensorMetadata& metadata) {
  std::vector<TensorInfo> tensors;
  for (const TensorSpec& spec : plan) {
    OCTAVO_ASSIGN_OR_RETURN(const uint64_t n_bytes, tensor_bytes(spec));
    if (spec.name == "__metadata__" || !base::is_valid_utf8(spec.name)) {
      return invalid_argument("tensor " + quoted(spec.name) + ": the name is reserved or not valid UTF-8");
    }
    tensors.push_back({spec.name, spec.dtype, spec.shape, 0, n_bytes});
  }
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return tensor::dtype_bytes(tensors[a].dtype) > tensor::dtype_bytes(tensors[b].dtype);
  });

  base::JsonObject header;
  base::JsonObject metadata_entry;
  for (const auto& [key, value] : metadata) metadata_entry.emplace_back(key, Json(value));
  if (!metadata.empty()) header.emplace_back("__metadata__", Json(std::move(metadata_entry)));
  uint64_t n_data_bytes = 0;
  for (const size_t i : order) {
    tensors[i].offset = n_data_bytes;
    if (__builtin_add_overflow(n_data_bytes, tensors[i].n_bytes, &n_data_bytes) ||
        n_data_bytes > INT64_MAX / 2) {
      return invalid_argument("file " + quoted(path) + ": its tensors exceed 2^62 bytes");
    }
    header.emplace_back(tensors[i].name, header_entry(tensors[i]));
  }
  std::string text = Json(std::move(header)).dump();
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');  // data begins aligned
  const uint64_t data_offset = kLengthBytes + text.size();
  const auto readable = parse_safetensors_header(text, data_offset, data_offset + n_data_bytes, path);
  if (!readable.ok()) return invalid_argument(readable.status().message());

  OCTAVO_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::create(path));
  unsigned char length[kLengthBytes];
  for (size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<unsigned char>(text.size() >> (8 * i));
  OCTAVO_RETURN_IF_ERROR(file.write(length, kLengthBytes));
  OCTAVO_RETURN_IF_ERROR(file.write(text.data(), text.size()));
  for (TensorInfo& info : tensors) info.offset += data_offset;
  return SafetensorsWriter(std::move(file), std::move(tensors));
}

void SafetensorsWriter::skip_complete_tensors() {
  while (next_ < tensors_.size() && n_written_ == tensors_[next_].n_bytes) {
    ++next_;
    n_written_ = 0;
  }
}

Status SafetensorsWriter::write(std::string_view name, const void* bytes, uint64_t n_bytes) {
  if (n_bytes == 0) return {};
  if (next_ == tensors_.size())
    return invalid_argument("tensor " + quoted(name) + ": all planned tensors are written");
  const TensorInfo& info = tensors_[next_];
  if (name != info.name) {
    return invalid_argument("tensor " + quoted(name) + ": the plan expects " + quoted(info.name) + " next");
  }
  if (n_bytes > info.n_bytes - n_written_) {
    return invalid_argument("tensor " + quoted(name) + ": " + std::to_string(n_bytes) + " bytes given, " +
                            std::to_string(info.n_bytes - n_written_) + " of its " +
                            std::to_string(info.n_bytes) + " are left to write");
  }
  OCTAVO_RETURN_IF_ERROR(
      file_.write_at(info.offset + n_written_, bytes, n_bytes).with_context("tensor " + quoted(name)));
  n_written_ += n_bytes;
  skip_complete_tensors();
  return {};
}

Status SafetensorsWriter::finish() {
  if (next_ < tensors_.size()) {
    const TensorInfo& info = tensors_[next_];
    return invalid_argument("tensor " + quoted(info.name) + ": " + std::to_string(n_written_) + " of " +
                            std::to_string(info.n_bytes) + " bytes were written");
  }
  return file_.commit();
}

Result<ShardedWriter> ShardedWriter::create(const std::string& folder, std::vector<TensorSpec> plan,
                                            uint64_t max_shard_bytes, const ShardNames& names) {
  ShardedWriter writer;
  writer.folder_ = folder;
  OCTAVO_RETURN_IF_ERROR(check_unique(plan));
  for (TensorSpec& spec : plan) {
    OCTAVO_ASSIGN_OR_RETURN(const uint64_t n_bytes, tensor_bytes(spec));
    const bool fits = !writer.shards_.empty() && n_bytes <= max_shard_bytes &&
                      writer.shards_.back().n_bytes <= max_shard_bytes - n_bytes;
    if (!fits) writer.shards_.emplace_back();
    writer.shards_.back().plan.push_back(std::move(spec));
    writer.shards_.back().n_bytes += n_bytes;
    if (__builtin_add_overflow(writer.total_bytes_, n_bytes, &writer.total_bytes_)) {
      return invalid_argument("folder " + quoted(folder) + ": its tensors exceed 2^64 bytes");
    }
  }
  if (writer.shards_.empty()) return invalid_argument("folder " + quoted(folder) + ": no tensor to write");
  constexpr size_t kMaxShards = 99'999;  // five digits in the names
  if (writer.shards_.size() > kMaxShards) {
    return invalid_argument("folder " + quoted(folder) + ": " + std::to_string(writer.shards_.size()) +
                            " shards; at most " + std::to_string(kMaxShards) +
                            " can be named, so allow larger ones");
  }
  writer.has_index_ = names.always_numbered || writer.shards_.size() > 1;
  for (size_t i = 0; i < writer.shards_.size(); ++i) {
    char number[32] = "";
    if (writer.has_index_)
      std::snprintf(number, sizeof(number), "-%05zu-of-%05zu", i + 1, writer.shards_.size());
    writer.shards_[i].file_name = names.stem + number + ".safetensors";
  }
  OCTAVO_RETURN_IF_ERROR(base::check_disk_room(folder, writer.total_bytes_, "the new checkpoint"));
  OCTAVO_RETURN_IF_ERROR(writer.open_next_shard());
  return writer;
}

Status ShardedWriter::open_next_shard() {
  const Shard& shard = shards_[n_started_];
  OCTAVO_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                          SafetensorsWriter::create(base::join_path(folder_, shard.file_name), shard.plan));
  open_.emplace(std::move(writer));
  left_in_shard_bytes_ = shard.n_bytes;
  ++n_started_;
  return {};
}

Status ShardedWriter::write(std::string_view name, const void* bytes, uint64_t n_bytes) {
  if (n_bytes == 0) return {};
  while (left_in_shard_bytes_ == 0 && n_started_ < shards_.size()) {
    OCTAVO_RETURN_IF_ERROR(open_->finish());
    OCTAVO_RETURN_IF_ERROR(open_next_shard());
  }
  OCTAVO_RETURN_IF_ERROR(open_->write(name, bytes, n_bytes));
  left_in_shard_bytes_ -= n_bytes;
  return {};
}

Status ShardedWriter::finish() {
  OCTAVO_RETURN_IF_ERROR(open_->finish());
  while (n_started_ <
         shards_.size()) {  // only shards of empty tensors can be left; others name what is missing
    OCTAVO_RETURN_IF_ERROR(open_next_shard());
    OCTAVO_RETURN_IF_ERROR(open_->finish());
  }
  if (!has_index_) return {};
  base::JsonObject weight_map;
  for (const Shard& shard : shards_) {
    for (const TensorSpec& spec : shard.plan) weight_map.emplace_back(spec.name, Json(shard.file_name));
  }
  std::sort(weight_map.begin(), weight_map.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  Json index;
  index.set("metadata", Json(base::JsonObject{{"total_size", Json(total_bytes_)}}));
  index.set("weight_map", Json(std::move(weight_map)));
  return base::write_file_atomic(base::join_path(folder_, "model.safetensors.index.json"),
                                 index.dump(2) + "\n");
}

std::vector<std::string> ShardedWriter::file_names() const {
  std::vector<std::string> names;
  for (const Shard& shard : shards_) names.push_back(shard.file_name);
  return names;
}

}  // namespace octavo::format
