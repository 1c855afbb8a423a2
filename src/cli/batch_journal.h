#pragma once
// What a batch has answered so far, on disk: OUT.partial. A header line, then a line an answer in the order
// of their completion, each with a checksum. A killed run leaves at most a torn end, which the next one cuts.
//   octavo run-batch 1 {"identity": …}
//   LINE LINE_HASH ok|failed CHECKSUM ANSWER
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "octavo/status.h"

#include "base/append_file.h"
#include "base/json.h"

namespace octavo::cli {

class BatchJournal {
 public:
  static constexpr size_t kMaxAnswerBytes = size_t{1} << 30;

  // Opens or creates the file, locked against other runs, and reads what it holds. A file that is no journal
  // is refused and left as it is.
  static Result<BatchJournal> open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  bool is_new() const { return header_.is_null(); }
  const base::Json& header() const { return header_; }
  uint64_t n_cut_bytes() const { return n_cut_bytes_; }  // the torn end that open() found
  Status begin(const base::Json& header);                // of a new one

  struct Place {
    uint64_t offset = 0, n_bytes = 0;  // of the answer in the file
    uint64_t line_hash = 0;            // of the request
  };
  // Where the answer to a line of the input is; nullptr: not answered.
  const Place* find(uint64_t line) const;
  int64_t n_answers() const { return static_cast<int64_t>(places_.size()); }
  int64_t n_failed() const { return n_failed_; }
  uint64_t last_line() const { return last_line_; }  // the largest that is answered

  // answer: of at most kMaxAnswerBytes. At most a second of answers is lost in a power cut, none when only
  // the process dies.
  Status append(uint64_t line, uint64_t line_hash, bool failed, std::string_view answer);
  Status sync() { return file_.sync(); }
  Result<std::string> read(const Place& place) const;
  Status remove() { return file_.remove(); }

 private:
  explicit BatchJournal(base::AppendFile file) : file_(std::move(file)) {}
  Status load();
  bool load_record(std::string_view record, uint64_t offset);

  base::AppendFile file_;
  base::Json header_;
  std::unordered_map<uint64_t, Place> places_;  // by line
  int64_t n_failed_ = 0;
  uint64_t last_line_ = 0, n_cut_bytes_ = 0;
  std::chrono::steady_clock::time_point last_sync_ = std::chrono::steady_clock::now();
};

}  // namespace octavo::cli
