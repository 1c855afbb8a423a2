#pragma once
// The BPE model of tokenizer.json: a piece of text becomes symbols, one for each character (or byte), and the
// pair of neighbours with the lowest rank is merged until no pair has a rank. Sennrich et al.,
// arXiv:1508.07909.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/status.h"

#include "base/json.h"
#include "text/tokenizer/vocabulary.h"

namespace octavo::text {

// GPT-2's printable characters for the 256 bytes, U+0021 to U+0143, as the ByteLevel components write them.
std::string_view byte_character(unsigned char byte);
// The byte that a character stands for, or -1.
int byte_of_character(uint32_t code_point);

// An open hash table from pairs of ids to two numbers.
class PairTable {
 public:
  struct Entry {
    uint64_t pair = kFree;
    uint32_t rank = 0;
    int32_t merged = -1;
  };
  explicit PairTable(size_t n_pairs = 0);
  void set(int32_t left, int32_t right, uint32_t rank, int32_t merged);  // replaces; grows when half full
  const Entry* find(int32_t left, int32_t right) const;                  // null when absent

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  size_t slot_of(uint64_t pair) const;
  std::vector<Entry> slots_;
  size_t n_entries_ = 0;
};

class Bpe {
 public:
  // What one call needs beside the model; kept between calls for its memory and its cache of words.
  class Scratch {
   public:
    Scratch();
    void trim();  // gives back what an unusually long piece took

   private:
    friend class Bpe;
    struct Symbol {
      int32_t id, previous, next;
      int32_t merged;  // what it and the next symbol merge into, -1 if nothing
    };
    struct Candidate {
      uint64_t order;  // rank, then position
      int32_t merged;
    };
    struct CachedWord {
      std::string word;
      bool is_bytes = false;
      std::vector<int32_t> ids;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
    std::vector<CachedWord> cache;  // direct-mapped: a new word takes its slot from an older one
  };

  // `model`: the object under the key "model".
  static Result<Bpe> from_json(const base::Json& model);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Appends the ids of a piece of valid UTF-8. `as_bytes`: the piece's bytes stand for their
  // byte_character()s.
  Status tokenize(std::string_view piece, bool as_bytes, Scratch& scratch, std::vector<int32_t>& ids) const;

 private:
  class Segmenter;
  explicit Bpe(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  Status read_merges(const base::Json& merges);
  Status add_merge(std::string_view left, std::string_view right, size_t rank);
  void index_characters();
  bool is_symbol(int32_t id) const;
  Status tokenize_uncached(std::string_view piece, bool as_bytes, Scratch& scratch,
                           std::vector<int32_t>& ids) const;
  Status add_characters(std::string_view piece, Segmenter& segmenter) const;
  void merge_symbols(Scratch& scratch, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  PairTable merges_;
  // Pairs of symbols that some merge may join, directly or inside larger tokens: between any others a text
  // can be cut without changing its tokens.
  PairTable joinable_;
  bool can_cut_ = true;
  std::array<int32_t, 128> ascii_ids_{};
  std::array<int32_t, 256> byte_character_ids_{};  // -1: not in the vocabulary
  std::array<int32_t, 256> byte_fallback_ids_{};   // of <0x00> … <0xFF>, -1: not in the vocabulary
  bool has_all_bytes_ = false;
  std::string unk_token_, continuing_prefix_, end_suffix_;
  int32_t unk_id_ = -1;
  bool has_unk_ = false, fuse_unk_ = false, byte_fallback_ = false, ignore_merges_ = false;
};

}  // namespace octavo::text
