// Normalizers: NFC NFD NFKC NFKD, Prepend, Replace, Strip, Lowercase, Nmt, ByteLevel and Sequences of them.
// Called by added_tokens.cc, on the text between the added tokens and on the added tokens that say so.
#include "text/tokenizer/normalizer.h"

#include <utility>

#include "base/text_format.h"
#include "text/tokenizer/bpe.h"

namespace octavo::text {
namespace {

constexpr uint64_t kBytesPerStep = 16;

// Control characters go, other blanks become spaces: sentencepiece's "nmt" rules, as the package lists them.
std::string apply_nmt(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto [c, n] = character_at(text, i);
    const bool dropped = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
                         c == 0x8F || c == 0x9F;
    const bool blank = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    if (blank) {
      out += ' ';
    } else if (!dropped) {
      out += text.substr(i, n);
    }
    i += n;
  }
  return out;
}

std::string_view strip(std::string_view text, bool left, bool right) {
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    const Character c = character_at(text, begin);
    if (!is_white_space(c.code_point)) break;
    begin += c.n_bytes;
  }
  while (right && end > begin) {
    const Character c = character_before(text, end);
    if (!is_white_space(c.code_point)) break;
    end -= c.n_bytes;
  }
  return text.substr(begin, end - begin);
}

}  // namespace

Result<Normalizer> Normalizer::from_json(const base::Json* normalizer) {
  Normalizer result;
  if (normalizer && !normalizer->is_null()) {
    if (Status status = result.read(*normalizer); !status.ok()) return status.with_context("normalizer");
  }
  return result;
}

Status Normalizer::read(const base::Json& normalizer) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string type, base::get_string(normalizer, "type"));
  if (type == "Sequence") {
    const base::Json* list = normalizer.find("normalizers");
    if (!list || !list->is_array()) return corrupt("Sequence: key 'normalizers': expected an array");
    for (const base::Json& element : list->as_array()) OCTAVO_RETURN_IF_ERROR(read(element));
    return {};
  }
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    steps_.emplace_back(type == "NFC"    ? NormalForm::kNfc
                        : type == "NFD"  ? NormalForm::kNfd
                        : type == "NFKC" ? NormalForm::kNfkc
                                         : NormalForm::kNfkd);
  } else if (type == "Prepend") {
    OCTAVO_ASSIGN_OR_RETURN(std::string text, base::get_string(normalizer, "prepend"));
    steps_.emplace_back(Prepend{std::move(text)});
  } else if (type == "Replace") {
    const base::Json* pattern = normalizer.find("pattern");
    if (!pattern) return corrupt("Replace: key 'pattern' is missing");
    OCTAVO_ASSIGN_OR_RETURN(Pattern compiled, Pattern::from_json(*pattern));
    OCTAVO_ASSIGN_OR_RETURN(std::string content, base::get_string(normalizer, "content"));
    steps_.emplace_back(Replace{std::move(compiled), std::move(content)});
  } else if (type == "Strip") {
    OCTAVO_ASSIGN_OR_RETURN(const bool left, base::get_bool(normalizer, "strip_left", true));
    OCTAVO_ASSIGN_OR_RETURN(const bool right, base::get_bool(normalizer, "strip_right", true));
    steps_.emplace_back(Strip{left, right});
  } else if (type == "Lowercase") {
    steps_.emplace_back(Lowercase{});
  } else if (type == "Nmt") {
    steps_.emplace_back(Nmt{});
  } else if (type == "ByteLevel") {
    steps_.emplace_back(ByteLevel{});
  } else {
    return unsupported(
        "type " + base::quoted(type) +
        " is not supported; known are NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Lowercase, Nmt, "
        "ByteLevel and Sequence");
  }
  return {};
}

Result<Piece> Normalizer::apply(Piece piece, base::RegexBudget& budget, std::string& storage) const {
  std::string next;
  for (const Step& step : steps_) {
    if (piece.text.empty()) break;  // nothing is prepended to nothing
    const size_t n_before = piece.text.size();
    OCTAVO_ASSIGN_OR_RETURN(piece.text, apply(step, piece, budget, next));
    // Growth is paid for, so that steps which double a text, or many pieces with a long prefix each, come to
    // an end.
    const uint64_t cost = piece.text.size() > n_before ? (piece.text.size() - n_before) / kBytesPerStep : 0;
    if (piece.text.size() > kMaxTextBytes || cost > budget.steps) {
      return resource_exhausted("normalizer: the text grows too much; " + base::format_bytes(n_before) +
                                " became " + base::format_bytes(piece.text.size()));
    }
    budget.steps -= cost;
    if (piece.text.data() == next.data()) {
      std::swap(storage, next);
      piece.text = storage;
    }
  }
  return piece;
}

Result<std::string_view> Normalizer::apply(const Step& step, Piece& piece, base::RegexBudget& budget,
                                           std::string& storage) {
  const std::string_view text = piece.text;
  if (const auto* form = std::get_if<NormalForm>(&step)) return normalize(text, *form, storage);
  if (const auto* stripped = std::get_if<Strip>(&step)) {
    const std::string_view rest = strip(text, stripped->left, stripped->right);
    piece.is_start = piece.is_start && rest.data() == text.data();
    return rest;
  }
  if (const auto* prepend = std::get_if<Prepend>(&step)) {
    storage = prepend->text;
    storage += text;
  } else if (const auto* replace = std::get_if<Replace>(&step)) {
    OCTAVO_ASSIGN_OR_RETURN(storage, replace->pattern.replace_all(text, replace->content, budget));
  } else if (std::holds_alternative<Lowercase>(step)) {
    storage = lowercase(text);
  } else if (std::holds_alternative<Nmt>(step)) {
    storage = apply_nmt(text);
  } else {
    storage.clear();
    for (const char c : text) storage += byte_character(static_cast<unsigned char>(c));
  }
  return std::string_view(storage);
}

}  // namespace octavo::text
