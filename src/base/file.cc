// Files and folders on POSIX. Readers (format/, text/, data/) get exact bounded reads; writers get files and
// folders that appear whole under their name or not at all.
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/hash.h"
#include "base/text_format.h"

namespace octavo::base {

namespace {

constexpr uint64_t kMaxBytesPerCall = uint64_t{1} << 30;  // Linux moves at most 2 GiB - 4 KiB a call

Status check_path(const std::string& path) {
  if (path.empty()) return invalid_argument("empty path");
  if (path.find('\0') != std::string::npos)
    return invalid_argument("path " + base::quoted(path) + " holds a NUL byte");
  return {};
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISSOCK(mode)) return "a socket";
  return "no regular file";
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Where a process number means one process: this boot of this host, in this namespace of processes.
std::string process_space() {
  char host[256] = {}, space[64] = {}, boot[64] = {};
  if (::gethostname(host, sizeof host - 1) != 0 ||
      ::readlink("/proc/self/ns/pid", space, sizeof space - 1) < 0) {
    return "unknown";
  }
  const int fd = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  const bool known = fd >= 0 && ::read(fd, boot, sizeof boot - 1) > 0;
  if (fd >= 0) ::close(fd);
  if (!known) return "unknown";
  return hex(Hash().add(std::string(host) + "/" + space + "/" + boot).value());
}

// What every temporary name of this process space for `path` begins with: "dir/.name.KIND-SPACE-".
std::string temporary_prefix(const std::string& path, const char* kind) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  // File systems allow 255 bytes a name; a long one is cut at a character so that the suffix fits.
  std::string shown = path.substr(name, 190);
  shown.resize(std::max<size_t>(valid_utf8_prefix(shown), 1));
  return path.substr(0, name) + "." + shown + "." + kind + "-" + process_space() + "-";
}

// A name beside `path` that no other call of this or another process uses: the prefix and "PID-N". Of kind
// "tmp" is what is not finished, of kind "old" what it replaces.
std::string temporary_name(const std::string& path, const char* kind = "tmp") {
  static std::atomic<uint64_t> counter{0};
  return temporary_prefix(path, kind) + std::to_string(::getpid()) + "-" +
         std::to_string(counter.fetch_add(1));
}

Status sync_path(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return os_error("open", path, errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some network file systems cannot fsync a folder; the rename is then as durable as they make it.
  if (error != 0 && !((flags & O_DIRECTORY) != 0 && error == EINVAL)) return os_error("sync", path, error);
  return {};
}

Status sync_folder(const std::string& path) { return sync_path(path, O_RDONLY | O_DIRECTORY); }

Status sync_tree(const std::string& folder) {
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(folder, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    const auto type = entry->symlink_status(error).type();
    if (error) break;
    if (type == std::filesystem::file_type::regular) {
      OCTAVO_RETURN_IF_ERROR(sync_path(entry->path().string(), O_RDONLY));
    } else if (type == std::filesystem::file_type::directory) {
      OCTAVO_RETURN_IF_ERROR(sync_folder(entry->path().string()));
    }
  }
  if (error) return os_error("list", folder, error.value());
  return sync_folder(folder);
}

void remove_tree(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

bool read_number(const char*& at, const char* end, int64_t& number) {
  const auto [after, error] = std::from_chars(at, end, number);
  at = after;
  return error == std::errc() && number >= 0;
}

// Files and folders that processes of this host began under a temporary name of `target` and, killed, left
// behind.
void remove_abandoned(const std::string& target) {
  if (process_space() == "unknown") return;
  const std::string prefix = temporary_prefix(target, "tmp");
  const std::string parent = parent_of(target);
  const Result<std::vector<std::string>> names = list_folder(parent);
  if (!names.ok()) return;
  const std::string begin = prefix.substr(prefix.rfind('/') + 1);  // npos + 1 is 0
  for (const std::string& name : names.value()) {
    if (!name.starts_with(begin)) continue;
    int64_t pid = 0, number = 0;
    const char *at = name.data() + begin.size(), *end = name.data() + name.size();
    const bool is_ours = read_number(at, end, pid) && pid > 0 && at != end && *at++ == '-' &&
                         read_number(at, end, number) && at == end;
    if (!is_ours || !std::in_range<pid_t>(pid)) continue;
    if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) remove_tree(join_path(parent, name));
  }
}

}  // namespace

Status sync_name(const std::string& path) { return sync_folder(parent_of(path)); }

Status os_error(const char* doing, const std::string& path, int error) {
  const std::string message = std::string("cannot ") + doing + " " + base::quoted(path) + ": " +
                              std::generic_category().message(error);
  if (error == ENOENT || error == ENOTDIR) return not_found(message);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) return resource_exhausted(message);
  return io_error(message);
}

Result<InputFile> InputFile::open(const std::string& path) {
  OCTAVO_RETURN_IF_ERROR(check_path(path));
  // Asked before it is opened, because opening a device can act on it; and again after, because names can
  // change.
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return os_error("open", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return invalid_argument("cannot read " + base::quoted(path) + ": expected a regular file, found " +
                            kind_of(info.st_mode));
  }
  InputFile file;
  file.path_ = path;
  file.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file.fd_ < 0) return os_error("open", path, errno);
  if (::fstat(file.fd_, &info) != 0) return os_error("examine", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return invalid_argument("cannot read " + base::quoted(path) + ": expected a regular file, found " +
                            kind_of(info.st_mode));
  }
  file.size_bytes_ = static_cast<uint64_t>(info.st_size);
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_bytes_(other.size_bytes_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status InputFile::read(uint64_t offset, void* to, uint64_t n_bytes) const {
  uint64_t done = 0;
  constexpr uint64_t kMaxOffset = static_cast<uint64_t>(INT64_MAX);
  const bool in_range = offset <= kMaxOffset && n_bytes <= kMaxOffset - offset;
  while (in_range && done < n_bytes) {
    const ssize_t n = ::pread(fd_, static_cast<char*>(to) + done, std::min(n_bytes - done, kMaxBytesPerCall),
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("read", path_, errno);
    if (n == 0) break;
    done += static_cast<uint64_t>(n);
  }
  if (done == n_bytes) return {};
  return corrupt(base::quoted(path_) + " is truncated: expected " + std::to_string(n_bytes) +
                 " bytes at offset " + std::to_string(offset) + ", found " + std::to_string(done) +
                 " (it had " + std::to_string(size_bytes_) + " bytes when it was opened)");
}

void InputFile::prefetch(uint64_t offset, uint64_t n_bytes) const {
  (void)::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(n_bytes), POSIX_FADV_WILLNEED);
}

Result<std::string> read_file(const std::string& path, uint64_t max_bytes) {
  OCTAVO_ASSIGN_OR_RETURN(const InputFile file, InputFile::open(path));
  if (file.size_bytes() > max_bytes) {
    return resource_exhausted(base::quoted(path) + " has " + format_bytes(file.size_bytes()) + "; at most " +
                              format_bytes(max_bytes) + " are read");
  }
  std::string bytes(file.size_bytes(), '\0');
  OCTAVO_RETURN_IF_ERROR(file.read(0, bytes.data(), bytes.size()));
  return bytes;
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  OCTAVO_RETURN_IF_ERROR(check_path(path));
  if (is_folder(path))
    return invalid_argument("cannot write file " + base::quoted(path) + ": it is a folder");
  remove_abandoned(path);
  AtomicFile file;
  file.path_ = path;
  const std::string temporary_path = temporary_name(path);
  file.fd_ = ::open(temporary_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file.fd_ < 0) return os_error("create", path, errno);
  file.temporary_path_ = temporary_path;
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

Status AtomicFile::write(const void* bytes, uint64_t n_bytes) {
  if (fd_ < 0) return invalid_argument("write to " + base::quoted(path_) + " after it was committed");
  uint64_t done = 0;
  while (done < n_bytes) {
    const ssize_t n =
        ::write(fd_, static_cast<const char*>(bytes) + done, std::min(n_bytes - done, kMaxBytesPerCall));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("write", path_, errno);
    done += static_cast<uint64_t>(n);
  }
  return {};
}

Status AtomicFile::write_at(uint64_t offset, const void* bytes, uint64_t n_bytes) {
  if (fd_ < 0) return invalid_argument("write to " + base::quoted(path_) + " after it was committed");
  uint64_t done = 0;
  while (done < n_bytes) {
    const ssize_t n = ::pwrite(fd_, static_cast<const char*>(bytes) + done,
                               std::min(n_bytes - done, kMaxBytesPerCall), static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("write", path_, errno);
    done += static_cast<uint64_t>(n);
  }
  return {};
}

Status AtomicFile::commit() {
  if (fd_ < 0) return invalid_argument(base::quoted(path_) + " was committed before");
  const int sync_error = ::fsync(fd_) == 0 ? 0 : errno;
  const int close_error = ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno;
  if (sync_error != 0) return os_error("sync", path_, sync_error);
  if (close_error != 0) return os_error("close", path_, close_error);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return os_error("create", path_, errno);
  temporary_path_.clear();
  return sync_name(path_);
}

Status write_file_atomic(const std::string& path, std::string_view bytes) {
  OCTAVO_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  OCTAVO_RETURN_IF_ERROR(file.write(bytes.data(), bytes.size()));
  return file.commit();
}

Result<AtomicFolder> AtomicFolder::create(const std::string& path, bool replace) {
  OCTAVO_RETURN_IF_ERROR(check_path(path));
  const std::string target = without_trailing_slashes(path);
  if (path_exists(target) && !replace) {
    return invalid_argument("folder " + base::quoted(target) +
                            " exists already; choose another name or allow replacing it");
  }
  if (path_exists(target) && !is_folder(target)) {
    return invalid_argument("cannot replace " + base::quoted(target) + ": it is not a folder");
  }
  remove_abandoned(target);
  AtomicFolder folder;
  folder.path_ = target;
  folder.replace_ = replace;
  const std::string temporary_path = temporary_name(target);
  if (::mkdir(temporary_path.c_str(), 0777) != 0) return os_error("create folder", target, errno);
  folder.temporary_path_ = temporary_path;
  return folder;
}

AtomicFolder::AtomicFolder(AtomicFolder&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})),
      replace_(other.replace_) {}

AtomicFolder::~AtomicFolder() {
  if (!temporary_path_.empty()) remove_tree(temporary_path_);
}

Status AtomicFolder::commit() {
  if (temporary_path_.empty()) return invalid_argument(base::quoted(path_) + " was committed before");
  OCTAVO_RETURN_IF_ERROR(sync_tree(temporary_path_));
  std::string old;  // the replaced folder, under a temporary name
  if (replace_ && path_exists(path_)) {
    old = temporary_name(path_, "old");
    if (::rename(path_.c_str(), old.c_str()) != 0) return os_error("replace folder", path_, errno);
  } else if (path_exists(path_)) {
    // rename() would silently take the place of an empty folder that appeared meanwhile.
    return invalid_argument("folder " + base::quoted(path_) + " was created by someone else meanwhile");
  }
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    if (!old.empty() && ::rename(old.c_str(), path_.c_str()) != 0) {
      return os_error("create folder", path_, error)
          .with_context("the replaced folder is kept as " + base::quoted(old));
    }
    return os_error("create folder", path_, error);
  }
  temporary_path_.clear();
  const Status synced = sync_name(path_);
  if (!old.empty()) remove_tree(old);
  return synced;
}

bool path_exists(const std::string& path) {
  struct stat info {};
  return check_path(path).ok() && ::lstat(path.c_str(), &info) == 0;
}

bool is_folder(const std::string& path) {
  struct stat info {};
  return check_path(path).ok() && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string join_path(std::string_view folder, std::string_view name) {
  std::string path(folder);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
  OCTAVO_RETURN_IF_ERROR(check_path(path));
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return os_error("list folder", path, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(folder);
  if (error != 0) return os_error("list folder", path, error);
  std::sort(names.begin(), names.end());
  return names;
}

Result<uint64_t> free_disk_bytes(const std::string& path) {
  OCTAVO_RETURN_IF_ERROR(check_path(path));
  std::string existing = without_trailing_slashes(path);
  struct statvfs info {};
  while (::statvfs(existing.c_str(), &info) != 0) {
    if (errno != ENOENT || existing == "." || existing == "/") return os_error("examine", existing, errno);
    existing = parent_of(existing);
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

Status check_disk_room(const std::string& path, uint64_t n_bytes, const std::string& what) {
  OCTAVO_ASSIGN_OR_RETURN(const uint64_t free_bytes, free_disk_bytes(path));
  if (n_bytes <= free_bytes) return {};
  return resource_exhausted(what + " needs " + format_bytes(n_bytes) + ", the disk of " + base::quoted(path) +
                            " has " + format_bytes(free_bytes) + " free");
}

}  // namespace octavo::base
