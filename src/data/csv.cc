// RFC 4180, one pass: a row at a time into fields, each row checked against the header's width. Called by
// ceval.cc.
#include "data/csv.h"

#include <utility>

#include "base/text_format.h"

namespace octavo::data {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  }

  bool at_end() const { return position_ == text_.size(); }
  size_t line() const { return line_; }

  Result<std::vector<std::string>> read_row() {
    std::vector<std::string> fields;
    while (true) {
      std::string field;
      OCTAVO_RETURN_IF_ERROR(take('"') ? read_quoted(field) : read_bare(field));
      fields.push_back(std::move(field));
      if (take(',')) continue;
      if (take_newline() || at_end()) return fields;
      return error_at(position_, "text after a closing quote");
    }
  }

  // At byte `position` of the current line.
  Status error_at(size_t position, const std::string& what) const {
    return corrupt(base::quoted(origin_) + " line " + std::to_string(line_) + ", column " +
                   std::to_string(position - line_start_ + 1) + ": " + what);
  }

 private:
  bool take(char wanted) {
    if (at_end() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }

  bool take_newline() {
    const size_t length = text_.substr(position_).starts_with("\r\n")                           ? 2
                          : !at_end() && (text_[position_] == '\n' || text_[position_] == '\r') ? 1
                                                                                                : 0;
    position_ += length;
    if (length > 0) {
      ++line_;
      line_start_ = position_;
    }
    return length > 0;
  }

  Status read_bare(std::string& field) {
    const size_t end = std::min(text_.find_first_of(",\r\n", position_), text_.size());
    field = text_.substr(position_, end - position_);
    const size_t quote = field.find('"');
    if (quote != std::string::npos) {
      return error_at(position_ + quote, "a quote inside a field that does not begin with one");
    }
    position_ = end;
    return {};
  }

  Status read_quoted(std::string& field) {
    const size_t open = position_ - 1;
    const size_t first_line = line_, first_line_start = line_start_;
    while (true) {
      const size_t quote = text_.find('"', position_);
      if (quote == std::string_view::npos) {
        line_ = first_line;
        line_start_ = first_line_start;
        return error_at(open, "a quoted field is not closed");
      }
      const std::string_view part = text_.substr(position_, quote - position_);
      for (size_t i = 0; i < part.size(); ++i) {
        if (part[i] != '\n') continue;
        ++line_;
        line_start_ = position_ + i + 1;
      }
      field += part;
      position_ = quote + 1;
      if (!take('"')) return {};
      field += '"';
    }
  }

  std::string_view text_;
  const std::string& origin_;
  size_t position_ = 0, line_start_ = 0, line_ = 1;
};

}  // namespace

std::optional<size_t> CsvTable::column(std::string_view name) const {
  for (size_t i = 0; i < header.size(); ++i) {
    if (header[i] == name) return i;
  }
  return std::nullopt;
}

Result<CsvTable> parse_csv(std::string_view text, const std::string& origin) {
  if (!base::is_valid_utf8(text)) return corrupt(base::quoted(origin) + " is not valid UTF-8");
  Reader reader(text, origin);
  if (reader.at_end()) return corrupt(base::quoted(origin) + " is empty: expected a line of column names");
  CsvTable table;
  OCTAVO_ASSIGN_OR_RETURN(table.header, reader.read_row());
  while (!reader.at_end()) {
    const size_t line = reader.line();
    OCTAVO_ASSIGN_OR_RETURN(std::vector<std::string> row, reader.read_row());
    if (row.size() == 1 && row[0].empty()) continue;  // a blank line
    if (row.size() != table.header.size()) {
      return corrupt(base::quoted(origin) + " line " + std::to_string(line) + ": expected " +
                     std::to_string(table.header.size()) + " fields, as the header has, found " +
                     std::to_string(row.size()));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace octavo::data
