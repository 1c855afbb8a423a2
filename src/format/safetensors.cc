// The safetensors reader: 8 bytes of little-endian header length, a JSON header {name: {dtype, shape,
// data_offsets}}, data. Used by checkpoint.cc and inspect.cc; the checks are those of the format's reference
// implementation, plus rank and field names. Everything a header says is checked before anything is sized by
// it.
#include "format/safetensors.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text_format.h"

namespace octavo::format {

namespace {

using base::Json;
using base::quoted;

constexpr uint64_t kLengthBytes = 8;
// A header of a million tensors has seven million values; 100 MB of "0," would have fifty.
constexpr size_t kMaxHeaderNodes = 8'000'000;
constexpr size_t kMaxHeaderDepth = 8;

Result<std::vector<int64_t>> parse_shape(const Json* field) {
  if (field == nullptr || !field->is_array()) {
    return corrupt(std::string("shape: expected an array, found ") +
                   (field == nullptr ? "nothing" : field->type_name()));
  }
  const base::JsonArray& sizes = field->as_array();
  if (sizes.size() > kMaxRank) {
    return unsupported("shape: " + std::to_string(sizes.size()) + " dimensions; at most " +
                       std::to_string(kMaxRank) + " are supported");
  }
  std::vector<int64_t> shape;
  for (const Json& size : sizes) {
    if (!size.is_int() || size.as_int() < 0) {
      return corrupt("shape: expected sizes from 0 to 2^63-1, found " +
                     (size.is_number() ? size.dump() : size.type_name()));
    }
    shape.push_back(size.as_int());
  }
  return shape;
}

// Product of element size and shape; nothing when it does not fit 63 bits.
std::optional<uint64_t> checked_bytes(tensor::DType dtype, std::span<const int64_t> shape) {
  int64_t n_bytes = tensor::dtype_bytes(dtype);
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(n_bytes, size, &n_bytes)) return std::nullopt;
  }
  return static_cast<uint64_t>(n_bytes);
}

// One "name": {…} of the header. Offsets in the result still count from the data's begin.
Result<TensorInfo> parse_tensor(const std::string& name, const Json& entry) {
  if (!entry.is_object()) return corrupt(std::string("expected an object, found ") + entry.type_name());
  for (const auto& [key, value] : entry.as_object()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      return corrupt("unknown key " + quoted(key) + "; expected dtype, shape and data_offsets");
    }
  }
  TensorInfo info;
  info.name = name;
  OCTAVO_ASSIGN_OR_RETURN(const std::string dtype_text, base::get_string(entry, "dtype"));
  const auto dtype = tensor::dtype_from_name(dtype_text);
  if (!dtype) {
    return unsupported(
        "dtype " + quoted(dtype_text) +
        "; expected one of F64 F32 F16 BF16 F8_E4M3 F8_E5M2 I64 I32 I16 I8 U64 U32 U16 U8 BOOL");
  }
  info.dtype = *dtype;
  OCTAVO_ASSIGN_OR_RETURN(info.shape, parse_shape(entry.find("shape")));

  const Json* offsets = entry.find("data_offsets");
  const bool is_pair = offsets != nullptr && offsets->is_array() && offsets->as_array().size() == 2;
  if (!is_pair || !offsets->as_array()[0].is_int() || !offsets->as_array()[1].is_int()) {
    return corrupt("data_offsets: expected two integers");
  }
  const int64_t begin = offsets->as_array()[0].as_int();
  const int64_t end = offsets->as_array()[1].as_int();
  if (begin < 0 || end < begin) {
    return corrupt("data_offsets: expected 0 <= begin <= end, found " + std::to_string(begin) + " and " +
                   std::to_string(end));
  }
  info.offset = static_cast<uint64_t>(begin);
  info.n_bytes = static_cast<uint64_t>(end - begin);

  const auto expected_bytes = checked_bytes(info.dtype, info.shape);
  if (!expected_bytes)
    return corrupt("shape " + shape_text(info.shape) + ": the size in bytes exceeds 2^63-1");
  if (*expected_bytes != info.n_bytes) {
    return corrupt("shape " + shape_text(info.shape) + " of " + dtype_text + " takes " +
                   std::to_string(*expected_bytes) + " bytes, data_offsets span " +
                   std::to_string(info.n_bytes));
  }
  return info;
}

Result<TensorMetadata> parse_metadata(const Json& entry) {
  if (!entry.is_object()) return corrupt(std::string("expected an object, found ") + entry.type_name());
  TensorMetadata metadata;
  for (const auto& [key, value] : entry.as_object()) {
    if (!value.is_string()) {
      return corrupt("key " + quoted(key) + ": expected a string, found " + value.type_name());
    }
    metadata.emplace_back(key, value.as_string());
  }
  return metadata;
}

// Sorts by place; the tensors must follow each other from 0 to n_data_bytes.
Status check_layout(std::vector<TensorInfo>& tensors, uint64_t n_data_bytes) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    if (a.offset != b.offset) return a.offset < b.offset;
    if (a.n_bytes != b.n_bytes)
      return a.n_bytes < b.n_bytes;  // an empty tensor before the one that starts there
    return a.name < b.name;
  });
  uint64_t end = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& info = tensors[i];
    const std::string named =
        "tensor " + quoted(info.name) + ": begins at byte " + std::to_string(info.offset) + " of the data, ";
    if (info.offset < end) {
      return corrupt(named + "inside tensor " + quoted(tensors[i - 1].name) + ", which ends at " +
                     std::to_string(end));
    }
    if (info.offset > end) {
      return corrupt(named + "but the bytes before it are in use only up to " + std::to_string(end));
    }
    end = info.offset + info.n_bytes;
    if (end > n_data_bytes) {
      return corrupt("tensor " + quoted(info.name) + ": ends at byte " + std::to_string(end) +
                     " of the data, but the file holds " + std::to_string(n_data_bytes) +
                     "; it is cut short or damaged");
    }
  }
  if (end != n_data_bytes) {
    return corrupt("the tensors end at byte " + std::to_string(end) + " of the data, but the file holds " +
                   std::to_string(n_data_bytes));
  }
  return {};
}

Status check_name(const std::string& name) {
  if (name.find('\0') != std::string::npos) return corrupt("the name holds a NUL character");
  return {};
}

}  // namespace

int64_t TensorInfo::n_elements() const { return static_cast<int64_t>(n_bytes) / tensor::dtype_bytes(dtype); }

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (const int64_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

Result<SafetensorsHeader> parse_safetensors_header(std::string_view text, uint64_t data_offset,
                                                   uint64_t file_bytes, const std::string& path) {
  OCTAVO_CHECK(data_offset <= file_bytes);
  const std::string in_file = "file " + quoted(path);
  if (text.substr(0, 1) != "{") {
    return corrupt(in_file + ": no safetensors header: expected '{' at byte 8, found " +
                   quoted(text.substr(0, 8)));
  }
  base::JsonLimits limits;
  limits.max_bytes = kMaxHeaderBytes;
  limits.max_depth = kMaxHeaderDepth;
  limits.max_nodes = kMaxHeaderNodes;
  Result<Json> tree = base::parse_json(text, limits);
  if (!tree.ok()) return tree.status().with_context(in_file + ": header");

  SafetensorsHeader header;
  for (const auto& [name, entry] : tree->as_object()) {
    if (name == "__metadata__") {
      Result<TensorMetadata> metadata = parse_metadata(entry);
      if (!metadata.ok()) return metadata.status().with_context(in_file + ": __metadata__");
      header.metadata = std::move(*metadata);
      continue;
    }
    const std::string in_tensor = in_file + ": tensor " + quoted(name);
    OCTAVO_RETURN_IF_ERROR(check_name(name).with_context(in_tensor));
    Result<TensorInfo> info = parse_tensor(name, entry);
    if (!info.ok())
      return Status(info.status().code() == StatusCode::kUnsupported ? StatusCode::kUnsupported
                                                                     : StatusCode::kCorrupt,
                    info.status().message())
          .with_context(in_tensor);
    header.tensors.push_back(std::move(*info));
  }
  OCTAVO_RETURN_IF_ERROR(check_layout(header.tensors, file_bytes - data_offset).with_context(in_file));
  for (TensorInfo& info : header.tensors) info.offset += data_offset;
  return header;
}

SafetensorsFile::SafetensorsFile(base::InputFile file, SafetensorsHeader header, uint64_t header_hash)
    : file_(std::move(file)), header_(std::move(header)), header_hash_(header_hash) {
  replace_tensors(std::move(header_.tensors));
}

void SafetensorsFile::replace_tensors(std::vector<TensorInfo> tensors) {
  header_.tensors = std::move(tensors);
  by_name_.resize(header_.tensors.size());
  for (size_t i = 0; i < by_name_.size(); ++i) by_name_[i] = i;
  std::sort(by_name_.begin(), by_name_.end(),
            [&](size_t a, size_t b) { return header_.tensors[a].name < header_.tensors[b].name; });
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(base::InputFile file, base::InputFile::open(path));
  const std::string in_file = "file " + quoted(path);
  if (file.size_bytes() < kLengthBytes) {
    return corrupt(in_file + ": no safetensors file: expected at least 8 bytes, found " +
                   std::to_string(file.size_bytes()));
  }
  unsigned char bytes[kLengthBytes];
  OCTAVO_RETURN_IF_ERROR(file.read(0, bytes, kLengthBytes));
  uint64_t n_header_bytes = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) n_header_bytes |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  if (n_header_bytes > kMaxHeaderBytes) {
    return corrupt(in_file + ": the header's length is given as " + std::to_string(n_header_bytes) +
                   " bytes; at most " + std::to_string(kMaxHeaderBytes) +
                   " are allowed (is this a safetensors file?)");
  }
  if (n_header_bytes > file.size_bytes() - kLengthBytes) {
    return corrupt(in_file + ": the header's length is given as " + std::to_string(n_header_bytes) +
                   " bytes, but only " + std::to_string(file.size_bytes() - kLengthBytes) +
                   " follow; it is cut short or no safetensors file");
  }
  std::string text(n_header_bytes, '\0');
  OCTAVO_RETURN_IF_ERROR(file.read(kLengthBytes, text.data(), text.size()));
  OCTAVO_ASSIGN_OR_RETURN(
      SafetensorsHeader header,
      parse_safetensors_header(text, kLengthBytes + n_header_bytes, file.size_bytes(), path));
  return SafetensorsFile(std::move(file), std::move(header), base::Hash().add(text).value());
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](size_t i, std::string_view wanted) { return header_.tensors[i].name < wanted; });
  if (found == by_name_.end() || header_.tensors[*found].name != name) return nullptr;
  return &header_.tensors[*found];
}

Status SafetensorsFile::read(const TensorInfo& info, void* to) const {
  return read_part(info, 0, info.n_bytes, to);
}

Status SafetensorsFile::read_part(const TensorInfo& info, uint64_t begin, uint64_t n_bytes, void* to) const {
  if (begin > info.n_bytes || n_bytes > info.n_bytes - begin) {
    return invalid_argument("file " + quoted(path()) + ": tensor " + quoted(info.name) + " has " +
                            std::to_string(info.n_bytes) + " bytes; cannot read " + std::to_string(n_bytes) +
                            " at " + std::to_string(begin));
  }
  return file_.read(info.offset + begin, to, n_bytes).with_context("tensor " + quoted(info.name));
}

}  // namespace octavo::format
