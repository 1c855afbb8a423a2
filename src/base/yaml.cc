// YAML recipes into the JSON tree, from libyaml's events; read by quant/recipe and the command line.
// Kept: one document, block and flow collections, quoted and literal text, plain scalars by the core schema
// of YAML 1.2 (so `no` and `on` are strings). Refused: anchors, aliases, tags, duplicate keys, non-finite
// numbers.
#include "base/yaml.h"

#include <yaml.h>

#include <charconv>
#include <cmath>
#include <memory>

#include "base/file.h"
#include "base/text_format.h"

namespace octavo::base {

namespace {

constexpr size_t kMaxYamlBytes = size_t{8}
                                 << 20;  // recipes are pages; libyaml takes seconds for hundreds of MB

struct Parser {
  yaml_parser_t parser;
  bool ready = yaml_parser_initialize(&parser) == 1;
  ~Parser() {
    if (ready) yaml_parser_delete(&parser);
  }
};

struct Event {
  yaml_event_t event{};
  ~Event() { yaml_event_delete(&event); }
};

std::string at(const yaml_mark_t& mark) {
  return "line " + std::to_string(mark.line + 1) + ", column " + std::to_string(mark.column + 1);
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

bool only(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

// Whether text is [-+]? ( . [0-9]+ | [0-9]+ ( . [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool is_float(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const auto skip_digits = [&] {
    const size_t n = std::min(text.find_first_not_of(kDigits), text.size());
    text.remove_prefix(n);
    return n;
  };
  const auto skip_sign = [&] {
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  };
  skip_sign();
  size_t n_digits = skip_digits();
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    n_digits += skip_digits();
  }
  if (n_digits == 0) return false;
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    skip_sign();
    return skip_digits() > 0 && text.empty();
  }
  return text.empty();
}

Result<Json> decimal(std::string_view text, std::string_view shown) {
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || !std::isfinite(value)) {
    return corrupt("number " + quoted(shown) + " does not fit a double");
  }
  return Json(value);
}

// A plain scalar by the core schema.
Result<Json> plain_scalar(std::string_view text) {
  if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return Json();
  if (is_one_of(text, {"true", "True", "TRUE"})) return Json(true);
  if (is_one_of(text, {"false", "False", "FALSE"})) return Json(false);
  std::string_view unsigned_text = text;
  if (text[0] == '-' || text[0] == '+') unsigned_text.remove_prefix(1);
  if (is_one_of(unsigned_text, {".inf", ".Inf", ".INF"}) || is_one_of(text, {".nan", ".NaN", ".NAN"})) {
    return corrupt("number " + quoted(text) + " is not finite");
  }
  int base = 0;
  std::string_view digits = text;
  if (only(unsigned_text, "0123456789")) {
    base = 10;
    if (text[0] == '+') digits.remove_prefix(1);
  } else if (text.substr(0, 2) == "0o" && only(text.substr(2), "01234567")) {
    base = 8;
    digits.remove_prefix(2);
  } else if (text.substr(0, 2) == "0x" && only(text.substr(2), "0123456789abcdefABCDEF")) {
    base = 16;
    digits.remove_prefix(2);
  }
  if (base != 0) {
    int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ec == std::errc()) {
      return Json(value);
    }
    if (base == 10) return decimal(digits, text);
    return corrupt("number " + quoted(text) + " does not fit 64 bits");
  }
  if (is_float(text)) return decimal(text[0] == '+' ? text.substr(1) : text, text);
  return Json(text);
}

// Events to tree; holds the open collections, innermost last.
class TreeBuilder {
 public:
  explicit TreeBuilder(const JsonLimits& limits) : limits_(limits) {}

  Status take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++n_documents_ > 1) return corrupt("a second document; expected one");
        return {};
      case YAML_ALIAS_EVENT:
        return corrupt("an alias (*name); aliases are not supported, repeat the value");
      case YAML_SCALAR_EVENT:
        return take_scalar(event);
      case YAML_SEQUENCE_START_EVENT: {
        const auto& start = event.data.sequence_start;
        return open(start.anchor, start.tag, Json(JsonArray()));
      }
      case YAML_MAPPING_START_EVENT: {
        const auto& start = event.data.mapping_start;
        return open(start.anchor, start.tag, Json(JsonObject()));
      }
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: {
        Json value = std::move(frames_.back().value);
        frames_.pop_back();
        return place(std::move(value));
      }
      default:
        return {};
    }
  }

  Json take_root() { return std::move(root_); }

 private:
  struct Frame {
    Json value;
    bool has_key = false;
    std::string key;
  };

  bool expects_key() const {
    return !frames_.empty() && frames_.back().value.is_object() && !frames_.back().has_key;
  }

  Status check_node(const yaml_char_t* anchor, const yaml_char_t* tag) {
    if (anchor != nullptr) return corrupt("an anchor (&name); anchors are not supported, repeat the value");
    if (tag != nullptr) return corrupt("a tag (!name); tags are not supported");
    if (++n_nodes_ > limits_.max_nodes) {
      return resource_exhausted("more than " + std::to_string(limits_.max_nodes) + " values");
    }
    return {};
  }

  Status open(const yaml_char_t* anchor, const yaml_char_t* tag, Json value) {
    OCTAVO_RETURN_IF_ERROR(check_node(anchor, tag));
    if (expects_key()) return corrupt("a list or mapping used as a key; expected text");
    if (frames_.size() >= limits_.max_depth) {
      return resource_exhausted("nested deeper than " + std::to_string(limits_.max_depth) + " levels");
    }
    frames_.push_back({std::move(value), false, {}});
    return {};
  }

  Status take_scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    OCTAVO_RETURN_IF_ERROR(check_node(scalar.anchor, scalar.tag));
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    if (expects_key()) {
      Frame& frame = frames_.back();
      if (frame.value.find(text) != nullptr) return corrupt("duplicate key " + quoted(text));
      if (frame.value.as_object().size() >= kMaxMembers) {
        return resource_exhausted("a mapping of more than " + std::to_string(kMaxMembers) + " keys");
      }
      frame.key = text;
      frame.has_key = true;
      return {};
    }
    if (scalar.style != YAML_PLAIN_SCALAR_STYLE) return place(Json(text));
    OCTAVO_ASSIGN_OR_RETURN(Json value, plain_scalar(text));
    return place(std::move(value));
  }

  Status place(Json value) {
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (frames_.back().value.is_array()) {
      frames_.back().value.push_back(std::move(value));
    } else {
      Frame& frame = frames_.back();
      frame.value.as_object().emplace_back(std::move(frame.key), std::move(value));
      frame.has_key = false;
    }
    return {};
  }

  static constexpr size_t kMaxMembers = 10'000;  // looking for duplicates compares with each

  const JsonLimits& limits_;
  size_t n_nodes_ = 0;
  int n_documents_ = 0;
  std::vector<Frame> frames_;
  Json root_;
};

}  // namespace

Result<Json> parse_yaml(std::string_view text, const JsonLimits& limits) {
  const size_t max_bytes = std::min(limits.max_bytes, kMaxYamlBytes);
  if (text.size() > max_bytes) {
    return resource_exhausted("YAML of " + format_bytes(text.size()) + " is longer than the limit of " +
                              format_bytes(max_bytes));
  }
  if (!is_valid_utf8(text)) return corrupt("not valid UTF-8");
  Parser parser;
  if (!parser.ready) return resource_exhausted("no memory for the YAML parser");
  yaml_parser_set_encoding(&parser.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser.parser, reinterpret_cast<const unsigned char*>(text.data()),
                               text.size());
  TreeBuilder tree(limits);
  while (true) {
    Event event;
    if (yaml_parser_parse(&parser.parser, &event.event) == 0) {
      const char* problem = parser.parser.problem;
      return corrupt(at(parser.parser.problem_mark) +
                     ": not YAML: " + (problem != nullptr ? problem : "no memory"));
    }
    if (event.event.type == YAML_STREAM_END_EVENT) return tree.take_root();
    OCTAVO_RETURN_IF_ERROR(tree.take(event.event).with_context(at(event.event.start_mark)));
  }
}

Result<Json> read_yaml_or_json_file(const std::string& path, const JsonLimits& limits) {
  if (path.ends_with(".json")) return read_json_file(path, limits);
  OCTAVO_ASSIGN_OR_RETURN(const std::string text,
                          read_file(path, std::min<uint64_t>(limits.max_bytes, kMaxYamlBytes)));
  Result<Json> tree = parse_yaml(text, limits);
  if (!tree.ok()) return tree.status().with_context(path);
  return tree;
}

}  // namespace octavo::base
