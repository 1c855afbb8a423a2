#include "format/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "base/test_environment.h"
#include "format/test_folder.h"

namespace octavo::format {
namespace {

// The error of a header over n_data_bytes of data, or what was accepted.
std::string header_error(std::string_view header, uint64_t n_data_bytes) {
  const auto parsed =
      parse_safetensors_header(header, 8 + header.size(), 8 + header.size() + n_data_bytes, "f.st");
  if (parsed.ok()) return "accepted";
  EXPECT_TRUE(contains(parsed.status().message(), "'f.st'")) << parsed.status().message();
  return parsed.status().message();
}

std::string open_error(const std::string& path) {
  const auto file = SafetensorsFile::open(path);
  if (file.ok()) return "accepted";
  EXPECT_TRUE(contains(file.status().message(), path)) << file.status().message();
  return file.status().message();
}

constexpr std::string_view kTwo =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"a":{"dtype":"I8","shape":[4],"data_offsets":[24,28]}}  )";

TEST(SafetensorsTest, ReadsTensors) {
  const TestFolder folder;
  const auto file = SafetensorsFile::open(folder.write("m.safetensors", safetensors_bytes(kTwo, 28)));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->metadata(), (TensorMetadata{{"format", "pt"}}));
  const TensorInfo* b = file->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, tensor::DType::kF32);
  EXPECT_EQ(b->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(b->n_elements(), 6);
  EXPECT_EQ(b->offset, 8 + kTwo.size());
  char bytes[24];
  ASSERT_TRUE(file->read(*b, bytes).ok());
  for (int i = 0; i < 24; ++i) EXPECT_EQ(bytes[i], i);
  ASSERT_TRUE(file->read_part(*file->find("a"), 1, 2, bytes).ok());
  EXPECT_EQ(bytes[0], 25);
  EXPECT_EQ(bytes[1], 26);
  EXPECT_FALSE(file->read_part(*file->find("a"), 3, 2, bytes).ok());
  EXPECT_EQ(file->find("c"), nullptr);
}

TEST(SafetensorsTest, EmptyTensorsAndScalarsAreTensors) {
  EXPECT_EQ(
      header_error(
          R"({"s":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},"e":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]},"z":{"dtype":"F64","shape":[0],"data_offsets":[2,2]}})",
          2),
      "accepted");
  EXPECT_EQ(header_error("{}", 0), "accepted");
  EXPECT_EQ(header_error("{\"__metadata__\":{}}   ", 0), "accepted");
}

TEST(SafetensorsTest, EveryTypeIsRead) {
  for (const auto& [name, size] : std::initializer_list<std::pair<const char*, int>>{{"F64", 8},
                                                                                     {"F32", 4},
                                                                                     {"F16", 2},
                                                                                     {"BF16", 2},
                                                                                     {"I64", 8},
                                                                                     {"I32", 4},
                                                                                     {"I16", 2},
                                                                                     {"I8", 1},
                                                                                     {"U64", 8},
                                                                                     {"U32", 4},
                                                                                     {"U16", 2},
                                                                                     {"U8", 1},
                                                                                     {"BOOL", 1},
                                                                                     {"F8_E4M3", 1},
                                                                                     {"F8_E5M2", 1}}) {
    const std::string header = std::string(R"({"t":{"dtype":")") + name +
                               R"(","shape":[3],"data_offsets":[0,)" + std::to_string(3 * size) + "]}}";
    EXPECT_EQ(header_error(header, static_cast<uint64_t>(3 * size)), "accepted") << name;
  }
}

TEST(SafetensorsTest, TooShortFilesAreNamed) {
  const TestFolder folder;
  for (size_t n = 0; n < 8; ++n) {
    EXPECT_TRUE(contains(open_error(folder.write("short", std::string(n, '\0'))), "at least 8 bytes")) << n;
  }
  EXPECT_TRUE(contains(open_error(folder.write("only-length", little_endian(0))), "expected '{'"));
}

TEST(SafetensorsTest, HeaderLengthsAreChecked) {
  const TestFolder folder;
  const std::string rest = "{}";
  EXPECT_TRUE(contains(open_error(folder.write("l0", little_endian(0) + rest)), "expected '{'"));
  EXPECT_FALSE(SafetensorsFile::open(folder.write("l1", little_endian(1) + rest)).ok());
  EXPECT_TRUE(contains(open_error(folder.write("l3", little_endian(3) + rest)), "only 2 follow"));
  for (const uint64_t length : {kMaxHeaderBytes + 1, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7}) {
    EXPECT_TRUE(
        contains(open_error(folder.write("huge", little_endian(length) + rest)), "at most 100000000"));
  }
  EXPECT_TRUE(
      contains(open_error(folder.write("cap", little_endian(kMaxHeaderBytes) + rest)), "only 2 follow"));
}

TEST(SafetensorsTest, HeadersThatAreNoHeaderAreNamed) {
  EXPECT_TRUE(contains(header_error("[]", 0), "expected '{'"));
  EXPECT_TRUE(contains(header_error(" {}", 0), "expected '{'"));
  EXPECT_TRUE(contains(header_error("{\"\xFF\":1}", 0), "not valid UTF-8"));
  EXPECT_TRUE(contains(header_error("{\"a\":", 0), "ends inside a value"));
  EXPECT_TRUE(contains(header_error("{}x", 0), "more text after"));
  EXPECT_TRUE(contains(header_error(std::string("{}\0\0", 4), 0), "more text after"));
  EXPECT_TRUE(contains(header_error("{\"a\":" + std::string(10000, '['), 0), "deeper than"));
  EXPECT_TRUE(contains(header_error("{\"a\":[" + std::string(100, '[') + std::string(100, ']') + "]}", 0),
                       "deeper than"));
  const std::string twice =
      R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})";
  EXPECT_TRUE(contains(header_error(twice, 2), "duplicate key 't'"));
  EXPECT_TRUE(
      contains(header_error(R"({"a\u0000b":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1), "NUL"));
  EXPECT_TRUE(contains(header_error("{\"a\":1e400}", 0), "does not fit"));
}

TEST(SafetensorsTest, EntriesAreNamed) {
  // What is wrong with {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}, and what must be said.
  const std::vector<std::pair<const char*, const char*>> bad = {
      {"3", "expected an object, found integer"},
      {"[]", "expected an object, found array"},
      {"{}", "key 'dtype'"},
      {R"({"dtype":7,"shape":[2,3],"data_offsets":[0,24]})", "expected a string, found integer"},
      {R"({"dtype":"F4","shape":[2,3],"data_offsets":[0,24]})", "dtype 'F4'"},
      {R"({"dtype":"f32","shape":[2,3],"data_offsets":[0,24]})", "dtype 'f32'"},
      {R"({"dtype":"F32","data_offsets":[0,24]})", "shape: expected an array, found nothing"},
      {R"({"dtype":"F32","shape":"2,3","data_offsets":[0,24]})", "shape: expected an array, found string"},
      {R"({"dtype":"F32","shape":[2,"3"],"data_offsets":[0,24]})", "found string"},
      {R"({"dtype":"F32","shape":[2,-3],"data_offsets":[0,24]})", "found -3"},
      {R"({"dtype":"F32","shape":[2,1.5],"data_offsets":[0,24]})", "found 1.5"},
      {R"({"dtype":"F32","shape":[6.0],"data_offsets":[0,24]})", "found 6.0"},
      {R"({"dtype":"F32","shape":[-0],"data_offsets":[0,24]})", "found -0.0"},
      {R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,24]})", "sizes from 0 to 2^63-1"},
      {R"({"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,24]})", "exceeds"},
      {R"({"dtype":"I8","shape":[4294967296,4294967296],"data_offsets":[0,24]})", "exceeds"},
      {R"({"dtype":"I8","shape":[4294967296,4294967296,0],"data_offsets":[0,24]})", "exceeds"},
      {R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,6],"data_offsets":[0,24]})", "9 dimensions"},
      {R"({"dtype":"F32","shape":[2,4],"data_offsets":[0,24]})", "takes 32 bytes, data_offsets span 24"},
      {R"({"dtype":"F16","shape":[2,3],"data_offsets":[0,24]})", "takes 12 bytes"},
      {R"({"dtype":"F32","shape":[0],"data_offsets":[0,24]})", "takes 0 bytes"},
      {R"({"dtype":"F32","shape":[],"data_offsets":[0,24]})", "takes 4 bytes"},
      {R"({"dtype":"F32","shape":[2,3]})", "data_offsets: expected two integers"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[24]})", "two integers"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24,48]})", "two integers"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":["0","24"]})", "two integers"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24.0]})", "two integers"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[-24,0]})", "found -24 and 0"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[24,0]})", "found 24 and 0"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,18446744073709551615]})", "two integers"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[24,48]})", "in use only up to 0"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24],"extra":1})", "unknown key 'extra'"}};
  for (const auto& [entry, expected] : bad) {
    const std::string error = header_error(std::string("{\"layer.w\":") + entry + "}", 24);
    EXPECT_TRUE(contains(error, "tensor 'layer.w'") && contains(error, expected)) << entry << "\n" << error;
  }
  EXPECT_EQ(header_error(R"({"t":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", 24), "accepted");
}

TEST(SafetensorsTest, TheLayoutHasNoHoleOverlapOrRest) {
  const auto two = [](int a_begin, int a_end, int b_begin, int b_end) {
    const auto entry = [](const char* name, int begin, int end) {
      return std::string("\"") + name + R"(":{"dtype":"I8","shape":[)" + std::to_string(end - begin) +
             R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    };
    return "{" + entry("a", a_begin, a_end) + "," + entry("b", b_begin, b_end) + "}";
  };
  EXPECT_EQ(header_error(two(0, 4, 4, 10), 10), "accepted");
  EXPECT_EQ(header_error(two(6, 10, 0, 6), 10), "accepted");
  EXPECT_TRUE(contains(header_error(two(0, 4, 3, 10), 10),
                       "tensor 'b': begins at byte 3 of the data, inside tensor 'a'"));
  EXPECT_TRUE(contains(header_error(two(0, 10, 0, 10), 10), "inside tensor"));
  EXPECT_TRUE(contains(header_error(two(0, 4, 5, 10), 10),
                       "tensor 'b': begins at byte 5 of the data, but the bytes"));
  EXPECT_TRUE(contains(header_error(two(1, 4, 4, 10), 10), "tensor 'a': begins at byte 1"));
  EXPECT_TRUE(contains(header_error(two(0, 4, 4, 10), 9),
                       "tensor 'b': ends at byte 10 of the data, but the file holds 9"));
  EXPECT_TRUE(contains(header_error(two(0, 4, 4, 10), 11),
                       "the tensors end at byte 10 of the data, but the file holds 11"));
  EXPECT_TRUE(contains(header_error("{}", 5), "the tensors end at byte 0"));
}

TEST(SafetensorsTest, MetadataHoldsStringsOnly) {
  for (const char* value : {"1", "null", "{}", "[]", "true"}) {
    const std::string error = header_error(std::string(R"({"__metadata__":{"k":)") + value + "}}", 0);
    EXPECT_TRUE(contains(error, "__metadata__: key 'k': expected a string")) << error;
  }
  EXPECT_TRUE(contains(header_error(R"({"__metadata__":"text"})", 0), "__metadata__: expected an object"));
}

TEST(SafetensorsTest, AMillionKeysAreReadOrRefusedInBoundedSpace) {
  std::string header = "{";
  for (int i = 0; i < 1'000'000; ++i) {
    header += "\"t" + std::to_string(i) + R"(":{"dtype":"I8","shape":[0],"data_offsets":[0,0]},)";
  }
  header.back() = '}';
  const auto parsed = parse_safetensors_header(header, 8 + header.size(), 8 + header.size(), "f.st");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->tensors.size(), 1'000'000u);
  std::string values = R"({"t":{"dtype":"I8","shape":[)";
  for (int i = 0; i < 8'000'000; ++i) values += "1,";
  values.back() = ']';
  EXPECT_TRUE(contains(header_error(values + "}}", 0), "more than 8000000 values"));
}

TEST(SafetensorsTest, OnlyRegularFilesAreOpened) {
  const TestFolder folder;
  ASSERT_EQ(::mkfifo(folder.path("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(contains(open_error(folder.path("fifo")), "FIFO"));
  EXPECT_TRUE(contains(open_error(folder.path()), "a folder"));
  EXPECT_TRUE(contains(open_error("/dev/zero"), "a device"));
  EXPECT_EQ(SafetensorsFile::open(folder.path("none")).status().code(), StatusCode::kNotFound);
}

TEST(SafetensorsTest, AFileCutShortWhileItIsReadIsAnError) {
  const TestFolder folder;
  const std::string path = folder.write("m.safetensors", safetensors_bytes(kTwo, 28));
  const auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(8 + kTwo.size() + 10)), 0);
  char bytes[24];
  const Status status = file->read(*file->find("b"), bytes);
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_TRUE(contains(status.message(), "tensor 'b'") && contains(status.message(), path) &&
              contains(status.message(), "truncated"))
      << status.message();
  EXPECT_TRUE(contains(open_error(path), "tensor 'b': ends at byte 24"));  // opened again: the header tells
}

TEST(SafetensorsTest, ReadsFilesOfOtherWriters) {
  const std::string folder = base::test_data_folder() + "/safetensors/foreign";
  if (!base::is_folder(folder)) GTEST_SKIP() << "test data " << folder << " is missing";
  const auto names = base::list_folder(folder);
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    const auto file = SafetensorsFile::open(base::join_path(folder, name));
    if (name == "syoyo-abuse-1.safetensors") {
      EXPECT_FALSE(file.ok());
      continue;
    }
    ASSERT_TRUE(file.ok()) << file.status().message();
    for (const TensorInfo& info : file->tensors()) {
      std::vector<char> bytes(info.n_bytes);
      EXPECT_TRUE(file->read(info, bytes.data()).ok());
    }
  }
  const auto file = SafetensorsFile::open(folder + "/tensor-2d-float64.safetensors");
  double values[6];
  ASSERT_TRUE(file->read(*file->find("embedding"), values).ok());
  EXPECT_EQ(file->find("embedding")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::vector<double>(values, values + 6), (std::vector<double>{1, 2, 3, 24, 25, 26}));
}

// Thousands of damaged headers: each must be refused, or describe tensors that fill the data exactly.
TEST(SafetensorsTest, DamagedHeadersAreRefusedOrSound) {
  const std::string good(kTwo);
  const std::vector<std::string> pieces = {"{",
                                           "}",
                                           "[",
                                           "]",
                                           ",",
                                           ":",
                                           "\"",
                                           "-",
                                           "0",
                                           "1",
                                           "9",
                                           "e",
                                           ".",
                                           "\\",
                                           "\\u0000",
                                           "null",
                                           "1e400",
                                           "18446744073709551616",
                                           "\xFF",
                                           "[0,24]",
                                           "\"a\":",
                                           "\"__metadata__\":",
                                           "9223372036854775807",
                                           " ",
                                           "F64",
                                           "[]"};
  std::mt19937 random(20240607);  // any seed: the test must be the same each time
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  int n_accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const size_t at = below(text.size());
      switch (below(5)) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + below(8));
          break;
        case 2:
          text.insert(at, pieces[below(pieces.size())]);
          break;
        case 3:
          text.replace(at, std::min<size_t>(1 + below(4), text.size() - at), pieces[below(pieces.size())]);
          break;
        default:
          text.insert(at, text.substr(below(text.size()), below(40)));
          break;
      }
      if (text.empty()) text = "{";
    }
    const uint64_t data_offset = 8 + text.size(), file_bytes = data_offset + 28;
    const auto parsed = parse_safetensors_header(text, data_offset, file_bytes, "f.st");
    if (!parsed.ok()) {
      EXPECT_NE(parsed.status().message(), "");
      continue;
    }
    ++n_accepted;
    uint64_t end = data_offset;
    for (const TensorInfo& info : parsed->tensors) {
      EXPECT_EQ(info.offset, end) << text;
      end += info.n_bytes;
      EXPECT_EQ(info.n_elements() * tensor::dtype_bytes(info.dtype), static_cast<int64_t>(info.n_bytes));
    }
    EXPECT_EQ(end, file_bytes) << text;
  }
  EXPECT_GT(n_accepted, 20);  // a changed name or metadata is still a header
}

}  // namespace
}  // namespace octavo::format
