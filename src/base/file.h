#pragma once
// Files: bounded reads with pread (never mmap: a file cut short while it is read must be an error, not
// SIGBUS), and writes that are whole or not there (temporary name, fsync, rename).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

namespace octavo::base {

// The Status of a failed call on `path` with this errno; `doing` completes "cannot … 'path'".
// The name of the file `path` outlives a power cut.
Status sync_name(const std::string& path);
Status os_error(const char* doing, const std::string& path, int error);

// A regular file open for reading. Refuses directories, FIFOs and devices by name. Thread-safe reads.
class InputFile {
 public:
  static Result<InputFile> open(const std::string& path);
  InputFile(InputFile&&) noexcept;
  InputFile& operator=(InputFile&&) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }  // when it was opened
  // Exactly n_bytes at offset, or an error that names path, offset and how much was there.
  Status read(uint64_t offset, void* to, uint64_t n_bytes) const;
  // Asks the system to have these bytes in its cache soon. Returns before they are; never fails.
  void prefetch(uint64_t offset, uint64_t n_bytes) const;

 private:
  InputFile() = default;
  std::string path_;
  int fd_ = -1;
  uint64_t size_bytes_ = 0;
};

// Whole file; longer than max_bytes is an error.
Result<std::string> read_file(const std::string& path, uint64_t max_bytes = uint64_t{1} << 30);

// A file under a temporary name beside `path`, renamed to it by commit(); without commit() the destructor
// removes it. What a killed process of this host left of the same file is removed.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  // Appends. A full disk is an error here, naming the path.
  Status write(const void* bytes, uint64_t n_bytes);
  // Writes at `offset` instead, leaving the place of the next append as it is; unwritten bytes before are
  // zero.
  Status write_at(uint64_t offset, const void* bytes, uint64_t n_bytes);
  Status commit();  // fsync, rename, fsync of the folder

 private:
  AtomicFile() = default;
  std::string path_, temporary_path_;
  int fd_ = -1;
};

Status write_file_atomic(const std::string& path, std::string_view bytes);

// A folder under a temporary name beside `path`, renamed to it by commit(); without commit() the destructor
// removes it and all in it. create() refuses an existing `path` unless `replace` is set; then commit() swaps
// the old one out. What a killed process of this host left of the same folder is removed.
class AtomicFolder {
 public:
  static Result<AtomicFolder> create(const std::string& path, bool replace = false);
  AtomicFolder(AtomicFolder&&) noexcept;
  AtomicFolder& operator=(AtomicFolder&&) = delete;
  ~AtomicFolder();

  const std::string& temporary_path() const { return temporary_path_; }  // write here
  Status commit();                                                       // fsync of every file, rename

 private:
  AtomicFolder() = default;
  std::string path_, temporary_path_;
  bool replace_ = false;
};

bool path_exists(const std::string& path);
bool is_folder(const std::string& path);
std::string join_path(std::string_view folder, std::string_view name);
// Names (not paths) in a folder, sorted.
Result<std::vector<std::string>> list_folder(const std::string& path);
// Free bytes for this user on the file system that holds `path` or its nearest existing parent.
Result<uint64_t> free_disk_bytes(const std::string& path);
// Refuses n_bytes that do not fit there; `what` needs them: "the target".
Status check_disk_room(const std::string& path, uint64_t n_bytes, const std::string& what);

}  // namespace octavo::base
