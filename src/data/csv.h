#pragma once
// Comma-separated values as RFC 4180 has them: quoted fields with commas, newlines and doubled quotes; LF or
// CRLF; a byte order mark is skipped. Strict: a quote inside a bare field, text after a closing quote, an
// open quote at the end and rows of another width than the header are errors with their line.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

namespace octavo::data {

struct CsvTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // each as wide as the header
  // Index of a column by name.
  std::optional<size_t> column(std::string_view name) const;
};

// `origin` names the file in errors.
Result<CsvTable> parse_csv(std::string_view text, const std::string& origin);

}  // namespace octavo::data
