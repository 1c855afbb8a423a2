// Appending under a lock. Called by cli/batch_journal.cc.
#include "base/append_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/text_format.h"

namespace octavo::base {

namespace {

// Whether the name still leads to the open file: its last owner may have removed it between open and lock.
bool is_still_named(const std::string& path, const struct stat& open_file) {
  struct stat named {};
  return ::stat(path.c_str(), &named) == 0 && named.st_dev == open_file.st_dev &&
         named.st_ino == open_file.st_ino;
}

}  // namespace

Result<AppendFile> AppendFile::open(const std::string& path) {
  for (;;) {
    AppendFile file;
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    if (fd < 0) return os_error("create", path, errno);
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
      ::close(fd);
      return invalid_argument("cannot write " + quoted(path) + ": it is no regular file");
    }
    int error = 0;
    do {
      error = ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error != 0) {
      ::close(fd);
      if (error != EWOULDBLOCK) return os_error("lock", path, error);
      return invalid_argument(quoted(path) + " is in use by another process");
    }
    if (::fstat(fd, &info) != 0 || !is_still_named(path, info)) {
      ::close(fd);
      continue;
    }
    file.path_ = path;
    file.fd_ = fd;
    file.size_bytes_ = static_cast<uint64_t>(info.st_size);
    return file;
  }
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_bytes_(other.size_bytes_) {}

AppendFile::~AppendFile() {
  if (fd_ < 0) return;
  if (size_bytes_ == 0 && !path_.empty()) ::unlink(path_.c_str());
  ::close(fd_);
}

Status AppendFile::append(std::string_view bytes) {
  uint64_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(size_bytes_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      // Should this fail too, the reader of the next run meets the torn end.
      [[maybe_unused]] const int ignored = ::ftruncate(fd_, static_cast<off_t>(size_bytes_));
      return os_error("write", path_, error);
    }
    done += static_cast<uint64_t>(n);
  }
  size_bytes_ += bytes.size();
  return {};
}

Status AppendFile::cut(uint64_t size_bytes) {
  if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return os_error("cut", path_, errno);
  size_bytes_ = size_bytes;
  return {};
}

Status AppendFile::read(uint64_t offset, void* to, uint64_t n_bytes) const {
  uint64_t done = 0;
  while (done < n_bytes) {
    const ssize_t n =
        ::pread(fd_, static_cast<char*>(to) + done, n_bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("read", path_, errno);
    if (n == 0) return corrupt(quoted(path_) + " was cut short while it was in use");
    done += static_cast<uint64_t>(n);
  }
  return {};
}

Status AppendFile::sync() { return ::fdatasync(fd_) == 0 ? Status() : os_error("sync", path_, errno); }

Status AppendFile::remove() {
  if (::unlink(path_.c_str()) != 0) return os_error("remove", path_, errno);
  path_.clear();
  return {};
}

}  // namespace octavo::base
