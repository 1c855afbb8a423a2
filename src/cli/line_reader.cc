// Lines of a file. Called by batch_runner.cc (requests, answers) and batch_journal.cc.
#include "cli/line_reader.h"

#include <algorithm>

#include "base/hash.h"

namespace octavo::cli {

namespace {
constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
}  // namespace

LineReader::LineReader(const base::InputFile& file, size_t max_line_bytes)
    : file_(file), max_line_bytes_(max_line_bytes) {}

Status LineReader::fill() {
  buffer_.resize(std::min<uint64_t>(kBufferBytes, file_.size_bytes() - file_at_));
  at_ = 0;
  OCTAVO_RETURN_IF_ERROR(file_.read(file_at_, buffer_.data(), buffer_.size()));
  const bool at_begin = file_at_ == 0;
  file_at_ += buffer_.size();
  if (at_begin && buffer_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  return {};
}

Result<bool> LineReader::next(Line& line) {
  text_.clear();
  line = Line();
  line.begin = file_at_ - (buffer_.size() - at_);
  line.number = ++n_lines_;
  line.has_end = false;
  base::Hash hash;
  bool is_empty = true;
  bool ends_in_return = false;  // hashed late: it is part of the line's end when "\n" follows
  while (!line.has_end) {
    if (at_ == buffer_.size()) {
      if (file_at_ == file_.size_bytes()) break;
      OCTAVO_RETURN_IF_ERROR(fill());
    }
    const size_t end = std::min(buffer_.find('\n', at_), buffer_.size());
    std::string_view piece(buffer_.data() + at_, end - at_);
    line.has_end = end < buffer_.size();
    at_ = end + (line.has_end ? 1 : 0);
    is_empty = is_empty && piece.empty() && !line.has_end;
    if (!piece.empty() && ends_in_return) hash.add("\r");
    if (!piece.empty()) ends_in_return = piece.back() == '\r';
    hash.add(ends_in_return && !piece.empty() ? piece.substr(0, piece.size() - 1) : piece);
    text_.append(piece.substr(0, max_line_bytes_ + 1 - std::min(max_line_bytes_ + 1, text_.size())));
  }
  if (is_empty) return false;
  line.is_too_long = text_.size() > max_line_bytes_;
  if (line.is_too_long) text_.resize(max_line_bytes_);
  if (!text_.empty() && text_.back() == '\r') text_.pop_back();
  line.text = text_;
  line.end = file_at_ - (buffer_.size() - at_);
  line.hash = hash.value();
  return true;
}

}  // namespace octavo::cli
