#pragma once
// A file that grows by whole pieces and belongs to one process at a time: the matter of journals.
#include <cstdint>
#include <string>
#include <string_view>

#include "octavo/status.h"

namespace octavo::base {

class AppendFile {
 public:
  // Opens or creates a regular file and locks it (flock) until the object goes. kInvalidArgument when another
  // process has it locked.
  static Result<AppendFile> open(const std::string& path);
  AppendFile(AppendFile&&) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  ~AppendFile();  // removes the file when it is empty

  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }
  // All of it or, on an error such as a full disk, nothing.
  Status append(std::string_view bytes);
  Status cut(uint64_t size_bytes);  // to its first bytes
  Status read(uint64_t offset, void* to, uint64_t n_bytes) const;
  Status sync();    // what was appended survives a power cut
  Status remove();  // the name; the object can only be destroyed after it

 private:
  AppendFile() = default;
  std::string path_;
  int fd_ = -1;
  uint64_t size_bytes_ = 0;
};

}  // namespace octavo::base
