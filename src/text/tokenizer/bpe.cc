// Byte-pair encoding as the `tokenizers` package does it, for byte-level models and for models with byte
// fallback. Merging keeps the neighbours in a linked list and the candidates in a heap ordered by rank and
// position: n log n for a word of any length. A piece is first cut where no merge can join the two sides
// (`joinable_`), so that also a model without pre-tokenizer, to which a whole text is one piece, works on
// words; words are cached. Called by tokenizer.cc.
#include "text/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/text_format.h"
#include "text/tokenizer/unicode.h"

namespace octavo::text {
namespace {

// Longer words repeat too rarely to be kept. 16,384 slots hold the words of some MB of text in about 2 MB.
constexpr size_t kMaxCachedBytes = 48;
constexpr size_t kCacheSlots = 16384;
constexpr size_t kMaxKeptSymbols = 65536;  // between calls

struct ByteCharacters {
  std::array<std::string, 256> utf8;
  std::array<int, 0x144> byte_of;

  ByteCharacters() {
    byte_of.fill(-1);
    uint32_t next = 0x100;  // bytes that do not print get the characters from U+0100 on
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      const uint32_t code_point = prints ? byte : next++;
      append_utf8(code_point, utf8[byte]);
      byte_of[code_point] = static_cast<int>(byte);
    }
  }
};

const ByteCharacters& byte_characters() {
  static const ByteCharacters characters;
  return characters;
}

std::string fallback_token(unsigned byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">";
}

}  // namespace

std::string_view byte_character(unsigned char byte) { return byte_characters().utf8[byte]; }

int byte_of_character(uint32_t code_point) {
  const auto& byte_of = byte_characters().byte_of;
  return code_point < byte_of.size() ? byte_of[code_point] : -1;
}

PairTable::PairTable(size_t n_pairs) : slots_(std::bit_ceil(n_pairs * 2 + 2)) {}

size_t PairTable::slot_of(uint64_t pair) const {
  // Fibonacci hashing: the high bits of a product with 2^64 / golden ratio are well spread for such dense
  // ids.
  size_t slot = (pair * 0x9E3779B97F4A7C15u) >> (64 - std::countr_zero(slots_.size()));
  while (slots_[slot].pair != pair && slots_[slot].pair != kFree) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void PairTable::set(int32_t left, int32_t right, uint32_t rank, int32_t merged) {
  const uint64_t pair = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  size_t slot = slot_of(pair);
  if (slots_[slot].pair == kFree && ++n_entries_ * 2 > slots_.size()) {
    std::vector<Entry> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Entry& entry : old) {
      if (entry.pair != kFree) slots_[slot_of(entry.pair)] = entry;
    }
    slot = slot_of(pair);
  }
  slots_[slot] = {pair, rank, merged};
}

const PairTable::Entry* PairTable::find(int32_t left, int32_t right) const {
  const uint64_t pair = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  const Entry& entry = slots_[slot_of(pair)];
  return entry.pair == kFree ? nullptr : &entry;
}

Bpe::Scratch::Scratch() : cache(kCacheSlots) {}

void Bpe::Scratch::trim() {
  if (symbols.capacity() > kMaxKeptSymbols) symbols = {};
  if (heap.capacity() > kMaxKeptSymbols) heap = {};
}

Result<Bpe> Bpe::from_json(const base::Json& model) {
  const base::Json* vocab = model.find("vocab");
  const base::Json* merges = model.find("merges");
  if (!vocab || !merges) {
    return corrupt(std::string("model: key '") + (vocab ? "merges" : "vocab") + "' is missing");
  }
  const base::Json* dropout = model.find("dropout");
  if (dropout && dropout->is_number() ? dropout->as_double() != 0 : dropout && !dropout->is_null()) {
    return unsupported("model: dropout " + dropout->dump() +
                       " makes tokens random; only null or 0 is supported");
  }
  OCTAVO_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::from_json(*vocab));
  Bpe bpe(std::move(vocabulary));
  OCTAVO_ASSIGN_OR_RETURN(bpe.continuing_prefix_, base::get_string(model, "continuing_subword_prefix", ""));
  OCTAVO_ASSIGN_OR_RETURN(bpe.end_suffix_, base::get_string(model, "end_of_word_suffix", ""));
  OCTAVO_ASSIGN_OR_RETURN(bpe.unk_token_, base::get_string(model, "unk_token", ""));
  OCTAVO_ASSIGN_OR_RETURN(bpe.fuse_unk_, base::get_bool(model, "fuse_unk", false));
  OCTAVO_ASSIGN_OR_RETURN(bpe.byte_fallback_, base::get_bool(model, "byte_fallback", false));
  OCTAVO_ASSIGN_OR_RETURN(bpe.ignore_merges_, base::get_bool(model, "ignore_merges", false));
  const base::Json* unk = model.find("unk_token");
  bpe.has_unk_ = unk && unk->is_string();
  bpe.unk_id_ = bpe.has_unk_ ? bpe.vocabulary_.find(bpe.unk_token_) : -1;
  bpe.can_cut_ = bpe.continuing_prefix_.empty() && bpe.end_suffix_.empty();
  bpe.index_characters();
  OCTAVO_RETURN_IF_ERROR(bpe.read_merges(*merges));
  return bpe;
}

void Bpe::index_characters() {
  for (unsigned c = 0; c < 128; ++c) {
    const char text = static_cast<char>(c);
    ascii_ids_[c] = vocabulary_.find({&text, 1});
  }
  has_all_bytes_ = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_character_ids_[byte] = vocabulary_.find(byte_character(static_cast<unsigned char>(byte)));
    has_all_bytes_ = has_all_bytes_ && byte_character_ids_[byte] >= 0;
    byte_fallback_ids_[byte] = byte_fallback_ ? vocabulary_.find(fallback_token(byte)) : -1;
  }
}

Status Bpe::read_merges(const base::Json& merges) {
  if (!merges.is_array()) {
    return corrupt(std::string("model: key 'merges': expected an array, found ") + merges.type_name());
  }
  const base::JsonArray& list = merges.as_array();
  merges_ = PairTable(list.size());
  joinable_ = PairTable(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const base::Json& merge = list[i];
    if (merge.is_string()) {
      const std::string& line = merge.as_string();
      if (line.starts_with("#version")) continue;
      const size_t space = line.find(' ');
      if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos) {
        return corrupt("model: merge " + std::to_string(i) +
                       ": expected two tokens and a space between them, found " + base::quoted(line));
      }
      OCTAVO_RETURN_IF_ERROR(
          add_merge(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1), i));
    } else if (merge.is_array() && merge.as_array().size() == 2 && merge.as_array()[0].is_string() &&
               merge.as_array()[1].is_string()) {
      OCTAVO_RETURN_IF_ERROR(add_merge(merge.as_array()[0].as_string(), merge.as_array()[1].as_string(), i));
    } else {
      return corrupt("model: merge " + std::to_string(i) +
                     ": expected \"left right\" or [\"left\", \"right\"], found " +
                     base::quoted(merge.dump()));
    }
  }
  return {};
}

bool Bpe::is_symbol(int32_t id) const {
  const std::string_view token = vocabulary_.token(id);
  if (id == unk_id_) return true;
  if (byte_fallback_ && token.size() == 6 && token.starts_with("<0x")) return true;
  return !token.empty() && character_at(token, 0).n_bytes == token.size();
}

Status Bpe::add_merge(std::string_view left, std::string_view right, size_t rank) {
  const auto unknown = [&](std::string_view token) {
    return corrupt("model: merge " + std::to_string(rank) + " of " + base::quoted(left) + " and " +
                   base::quoted(right) + ": token " + base::quoted(token) + " is not in the vocabulary");
  };
  const int32_t left_id = vocabulary_.find(left), right_id = vocabulary_.find(right);
  if (left_id < 0) return unknown(left);
  if (right_id < 0) return unknown(right);
  if (right.size() < continuing_prefix_.size()) return unknown(right);
  std::string joined(left);
  joined += right.substr(continuing_prefix_.size());
  const int32_t merged = vocabulary_.find(joined);
  if (merged < 0) return unknown(joined);
  merges_.set(left_id, right_id, static_cast<uint32_t>(rank), merged);

  // A token is made of the symbols of its characters, or is a symbol itself (a byte, the unknown token).
  if (!can_cut_ || left.empty() || right.empty()) {
    can_cut_ = false;
    return {};
  }
  const auto last = left.size() - character_before(left, left.size()).n_bytes;
  const int32_t lefts[] = {is_symbol(left_id) ? left_id : -1, vocabulary_.find(left.substr(last))};
  const int32_t rights[] = {is_symbol(right_id) ? right_id : -1,
                            vocabulary_.find(right.substr(0, character_at(right, 0).n_bytes))};
  for (const int32_t l : lefts) {
    for (const int32_t r : rights) {
      if (l >= 0 && r >= 0) joinable_.set(l, r, 0, 0);
    }
  }
  return {};
}

// Collects the symbols of a piece and turns them into ids segment by segment.
class Bpe::Segmenter {
 public:
  Segmenter(const Bpe& bpe, std::string_view text, bool as_bytes, bool cache, Scratch& scratch,
            std::vector<int32_t>& ids)
      : bpe_(bpe), text_(text), as_bytes_(as_bytes), cache_(cache), scratch_(scratch), ids_(ids) {
    scratch_.symbols.clear();
  }

  void add(int32_t id, size_t n_bytes) {
    auto& symbols = scratch_.symbols;
    if (bpe_.can_cut_ && !symbols.empty() && !bpe_.joinable_.find(symbols.back().id, id)) flush();
    symbols.push_back({id, 0, 0, -1});
    end_ += n_bytes;
  }

  // From here on the text's bytes are not those of the symbols (unknown tokens come late or stand for
  // several).
  void stop_caching() { cache_ = false; }

  void flush() {
    auto& symbols = scratch_.symbols;
    const std::string_view segment = cache_ ? text_.substr(begin_, end_ - begin_) : std::string_view();
    begin_ = end_;
    if (symbols.size() == 1) {
      ids_.push_back(symbols[0].id);
    } else if (symbols.size() > 1 && cache_ && segment.size() <= kMaxCachedBytes) {
      auto& slot = cache_slot(scratch_, segment, as_bytes_);
      if (slot.word != segment || slot.is_bytes != as_bytes_) {
        slot.ids.clear();
        bpe_.merge_symbols(scratch_, slot.ids);
        slot.word = segment;
        slot.is_bytes = as_bytes_;
      }
      ids_.insert(ids_.end(), slot.ids.begin(), slot.ids.end());
    } else if (symbols.size() > 1) {
      bpe_.merge_symbols(scratch_, ids_);
    }
    symbols.clear();
  }

  static Scratch::CachedWord& cache_slot(Scratch& scratch, std::string_view word, bool as_bytes) {
    return scratch.cache[(std::hash<std::string_view>()(word) + as_bytes) % kCacheSlots];
  }

 private:
  const Bpe& bpe_;
  std::string_view text_;
  bool as_bytes_, cache_;
  Scratch& scratch_;
  std::vector<int32_t>& ids_;
  size_t begin_ = 0, end_ = 0;
};

Status Bpe::tokenize(std::string_view piece, bool as_bytes, Scratch& scratch,
                     std::vector<int32_t>& ids) const {
  if (piece.empty()) return {};
  if (piece.size() > kMaxCachedBytes) return tokenize_uncached(piece, as_bytes, scratch, ids);
  auto& slot = Segmenter::cache_slot(scratch, piece, as_bytes);
  if (slot.word != piece || slot.is_bytes != as_bytes) {
    slot.word.clear();  // no piece is empty: a failure leaves a free slot
    slot.ids.clear();
    OCTAVO_RETURN_IF_ERROR(tokenize_uncached(piece, as_bytes, scratch, slot.ids));
    slot.word = piece;
    slot.is_bytes = as_bytes;
  }
  ids.insert(ids.end(), slot.ids.begin(), slot.ids.end());
  return {};
}

Status Bpe::tokenize_uncached(std::string_view piece, bool as_bytes, Scratch& scratch,
                              std::vector<int32_t>& ids) const {
  const bool cache =
      piece.size() > kMaxCachedBytes;  // of segments; a shorter piece is cached whole, by the caller
  if (ignore_merges_ && piece.size() <= vocabulary_.max_token_bytes()) {
    std::string mapped;
    for (size_t i = 0; as_bytes && i < piece.size(); ++i)
      mapped += byte_character(static_cast<unsigned char>(piece[i]));
    if (const int32_t id = vocabulary_.find(as_bytes ? mapped : piece); id >= 0) {
      ids.push_back(id);
      return {};
    }
  }
  if (!as_bytes) {
    Segmenter segmenter(*this, piece, false, cache, scratch, ids);
    return add_characters(piece, segmenter);
  }
  if (has_all_bytes_ && can_cut_) {
    Segmenter segmenter(*this, piece, true, cache, scratch, ids);
    for (const char c : piece) segmenter.add(byte_character_ids_[static_cast<unsigned char>(c)], 1);
    segmenter.flush();
    return {};
  }
  std::string mapped;
  for (const char c : piece) mapped += byte_character(static_cast<unsigned char>(c));
  Segmenter segmenter(*this, mapped, false, cache, scratch, ids);
  return add_characters(mapped, segmenter);
}

Status Bpe::add_characters(std::string_view piece, Segmenter& segmenter) const {
  bool unk_pending = false;
  std::string affixed;
  for (size_t i = 0; i < piece.size();) {
    const size_t n = character_at(piece, i).n_bytes;
    std::string_view symbol = piece.substr(i, n);
    int32_t id = -1;
    if (can_cut_ && n == 1) {
      id = ascii_ids_[static_cast<unsigned char>(symbol[0])];
    } else {
      const bool is_first = i == 0, is_last = i + n == piece.size();
      if ((!is_first && !continuing_prefix_.empty()) || (is_last && !end_suffix_.empty())) {
        affixed = is_first ? "" : continuing_prefix_;
        affixed += symbol;
        if (is_last) affixed += end_suffix_;
        symbol = affixed;
      }
      id = vocabulary_.find(symbol);
    }
    i += n;
    if (id >= 0) {
      if (unk_pending) segmenter.add(unk_id_, 0);
      unk_pending = false;
      segmenter.add(id, n);
      continue;
    }
    const auto fallback = [&](char c) { return byte_fallback_ids_[static_cast<unsigned char>(c)]; };
    if (byte_fallback_ &&
        std::all_of(symbol.begin(), symbol.end(), [&](char c) { return fallback(c) >= 0; })) {
      // An unknown character before these bytes stays pending: the package puts its token behind them.
      for (const char c : symbol) segmenter.add(fallback(c), 1);
      continue;
    }
    segmenter.stop_caching();
    if (!has_unk_) continue;
    if (unk_id_ < 0) {
      return corrupt("model: unk_token " + base::quoted(unk_token_) +
                     " is not in the vocabulary and is needed for " + base::quoted(symbol));
    }
    if (unk_pending && !fuse_unk_) segmenter.add(unk_id_, 0);
    unk_pending = true;
  }
  if (unk_pending) segmenter.add(unk_id_, 0);
  segmenter.flush();
  return {};
}

void Bpe::merge_symbols(Scratch& scratch, std::vector<int32_t>& ids) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  const auto later = [](const Scratch::Candidate& a, const Scratch::Candidate& b) {
    return a.order > b.order;
  };
  const auto n = static_cast<int32_t>(symbols.size());
  const auto symbol = [&](int32_t position) -> Scratch::Symbol& {
    return symbols[static_cast<size_t>(position)];
  };
  // Looks the pair at `left` up again; true if that adds a candidate.
  const auto add_candidate = [&](int32_t left) {
    Scratch::Symbol& l = symbol(left);
    const PairTable::Entry* merge = l.next < 0 ? nullptr : merges_.find(l.id, symbol(l.next).id);
    l.merged = merge ? merge->merged : -1;
    if (merge) heap.push_back({uint64_t{merge->rank} << 32 | static_cast<uint32_t>(left), merge->merged});
    return merge != nullptr;
  };

  heap.clear();
  for (int32_t i = 0; i < n; ++i) {
    symbol(i).previous = i - 1;
    symbol(i).next = i + 1 < n ? i + 1 : -1;
    add_candidate(i);
  }
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    const Scratch::Candidate top = heap.front();
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
    const auto at = static_cast<int32_t>(top.order & 0xFFFFFFFF);
    Scratch::Symbol& left = symbol(at);
    // Stale if either side has changed since, unless what stands there now merges into the same token.
    if (left.id < 0 || left.merged != top.merged) continue;

    Scratch::Symbol& right = symbol(left.next);
    left.id = top.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbol(left.next).previous = at;
    if (left.previous >= 0 && add_candidate(left.previous)) std::push_heap(heap.begin(), heap.end(), later);
    if (add_candidate(at)) std::push_heap(heap.begin(), heap.end(), later);
  }
  for (int32_t i = 0; i >= 0; i = symbol(i).next) ids.push_back(symbol(i).id);
}

}  // namespace octavo::text
