#pragma once
// A folder of its own for a test, and safetensors files made by hand, right or wrong.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file.h"

namespace octavo::format {

class TestFolder {
 public:
  TestFolder() {
    std::string pattern = ::testing::TempDir() + "/octavo-format-é中-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "cannot make " << pattern;
    path_ = pattern;
  }
  ~TestFolder() {
    if (std::system(("rm -rf '" + path_ + "'").c_str()) != 0) ADD_FAILURE() << "cannot remove " << path_;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string path(std::string_view name) const { return base::join_path(path_, name); }
  std::string write(std::string_view name, std::string_view bytes) const {
    const Status status = base::write_file_atomic(path(name), bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    return path(name);
  }

 private:
  std::string path_;
};

inline std::string little_endian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

// A file with this header text and n_data_bytes of data that count 0, 1, 2, ….
inline std::string safetensors_bytes(std::string_view header, size_t n_data_bytes) {
  std::string bytes = little_endian(header.size()) + std::string(header);
  for (size_t i = 0; i < n_data_bytes; ++i) bytes += static_cast<char>(i);
  return bytes;
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace octavo::format
