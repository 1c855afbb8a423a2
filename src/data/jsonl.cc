// One pass over the lines of a file. Called by dataset.cc.
#include "data/jsonl.h"

#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/text_format.h"

namespace octavo::data {
namespace {

Result<JsonlRow> read_row(std::string_view line, size_t number) {
  OCTAVO_ASSIGN_OR_RETURN(base::Json object, base::parse_json(line));
  if (!object.is_object()) {
    return corrupt(std::string("expected an object with \"text\" or \"messages\", found ") +
                   object.type_name());
  }
  const base::Json* text = object.find("text");
  const base::Json* messages = object.find("messages");
  if ((text != nullptr) == (messages != nullptr)) {
    return corrupt(text != nullptr ? "both \"text\" and \"messages\"" : "neither \"text\" nor \"messages\"");
  }
  JsonlRow row{.line = number, .text = {}, .variables = {}};
  if (text != nullptr) {
    if (!text->is_string()) {
      return corrupt(std::string("\"text\": expected a string, found ") + text->type_name());
    }
    row.text = text->as_string();
    return row;
  }
  if (!messages->is_array()) {
    return corrupt(std::string("\"messages\": expected an array, found ") + messages->type_name());
  }
  row.variables = std::move(object);
  return row;
}

}  // namespace

Result<std::vector<JsonlRow>> read_jsonl(const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string bytes, base::read_file(path));
  std::vector<JsonlRow> rows;
  size_t number = 0;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const std::string_view line = std::string_view(bytes).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto row = read_row(line, number);
    if (!row.ok()) return row.status().with_context(base::quoted(path) + " line " + std::to_string(number));
    rows.push_back(std::move(row).value());
  }
  return rows;
}

}  // namespace octavo::data
