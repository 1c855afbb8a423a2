#pragma once
// A file's lines from the first to the last, in bounded memory.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "octavo/status.h"

#include "base/file.h"

namespace octavo::cli {

struct Line {
  std::string_view text;     // without its end ("\n" or "\r\n"); valid until the next call
  uint64_t number = 0;       // from 1
  uint64_t begin = 0;        // where it begins in the file
  uint64_t end = 0;          // where the next one begins
  uint64_t hash = 0;         // of the whole text, even where it is too long
  bool is_too_long = false;  // `text` is then its beginning
  bool has_end = true;       // false: the file ends within the line

  bool is_blank() const { return text.find_first_not_of(" \t\r") == std::string_view::npos; }
};

class LineReader {
 public:
  // file: must outlive the reader; only the bytes that it had when it was opened are read.
  explicit LineReader(const base::InputFile& file, size_t max_line_bytes = size_t{64} << 20);
  // false at the end. A UTF-8 byte order mark before the first line is no part of it.
  Result<bool> next(Line& line);

 private:
  Status fill();

  const base::InputFile& file_;
  const size_t max_line_bytes_;
  std::string buffer_, text_;
  size_t at_ = 0;         // in buffer_
  uint64_t file_at_ = 0;  // where buffer_ ends in the file
  uint64_t n_lines_ = 0;
};

}  // namespace octavo::cli
