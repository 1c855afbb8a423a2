#pragma once
// What attention.cc and the ISA tables share: the layout of a block, and the piece of work of one kernel
// call. kernels.inc lists the tables.
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/isa.h"

namespace octavo::kernels {

// Where the keys and values of one kv head lie.
struct KvPlace {
  void* block = nullptr;
  int64_t kv_head = 0;
};

// Tokens of a vector of scores.
inline constexpr int64_t kKvVectorTokens = 16;

// A block holds the kv heads one after another, each as two B operands (rows of pairs along the summed
// dimension, as a tile product reads them):
//   bf16  K [64/16 tokens][head_dim/2][16 tokens][2]   V [64/2 tokens][v_width][2]
//   f32   K [64/16 tokens][head_dim][16 tokens]        V [64 tokens][v_width]
//   int8  as bf16, then the scales: K [64 tokens] and V [64 tokens], fp32
// v_width is head_dim rounded up to 16; what lies in the columns past head_dim is never used. Sixteen tokens'
// keys are neighbours, so that a token is written to, and a block that is not full read from, few pages.
struct KvLayout {
  int64_t v_width;
  int64_t k_vector_values;  // keys of 16 tokens
  int64_t value_bytes, k_bytes, v_bytes, head_bytes;

  explicit KvLayout(const KvShape& shape)
      : v_width((shape.head_dim + 15) / 16 * 16),
        k_vector_values(shape.head_dim * kKvVectorTokens),
        value_bytes(tensor::dtype_bytes(shape.dtype)),
        k_bytes(shape.head_dim * kKvBlockTokens * value_bytes),
        v_bytes(kKvBlockTokens * v_width * value_bytes),
        head_bytes(k_bytes + v_bytes + (shape.dtype == tensor::DType::kI8 ? kScaleBytes : 0)) {}

  // K and V; T is uint16_t (bf16 bits), float or int8_t.
  template <class T>
  T* keys(const KvPlace& at) const {
    return reinterpret_cast<T*>(static_cast<char*>(at.block) + at.kv_head * head_bytes);
  }
  // Of the token at `slot`: dimension d lies d * kKvVectorTokens on, that of an odd d behind its even
  // neighbour's but where T is float.
  template <class T>
  T* key_column(const KvPlace& at, int64_t slot) const {
    constexpr int64_t kPair = sizeof(T) == sizeof(float) ? 1 : 2;
    return keys<T>(at) + slot / kKvVectorTokens * k_vector_values + slot % kKvVectorTokens * kPair;
  }
  template <class T>
  T* values(const KvPlace& at) const {
    return reinterpret_cast<T*>(keys<char>(at) + k_bytes);
  }
  float* key_scales(const KvPlace& at) const {  // int8 only, as value_scales
    return reinterpret_cast<float*>(values<char>(at) + v_bytes);
  }
  float* value_scales(const KvPlace& at) const { return key_scales(at) + kKvBlockTokens; }

 private:
  static constexpr int64_t kScaleBytes = 2 * kKvBlockTokens * static_cast<int64_t>(sizeof(float));
};

// Rows of one kv head that go into one block.
struct KvRows {
  const KvShape* shape;
  const float* k;  // [n_tokens, head_dim], row stride k_stride
  const float* v;
  int64_t k_stride, v_stride;
  int64_t slot_begin, n_tokens;  // slots slot_begin … slot_begin + n_tokens - 1 of the block
  KvPlace to;
};

// The queries of consecutive positions and of the heads that share a kv head: row i * n_group + h is position
// position_begin + i, head h of the group. All positions lie in one block.
struct AttentionTile {
  const KvShape* shape;
  int64_t kv_head, n_group;
  const float* q;  // first position, first head of the group; q_stride from position to position
  int64_t q_stride;
  float* out;  // likewise
  int64_t out_stride;
  int64_t position_begin, n_positions;
  void* const* blocks;
  KvPlace
      next;  // what a later tile begins with: few rows by float keys and values ask for it in the last block
  float scale;
  float* scratch;  // attention_tile_floats(shape, n_group) floats, 64-byte aligned
};

// Positions of a full tile: a power of two, so that tiles end where blocks end, with some 64 rows in all
// (their q, o and the block fit the level-2 cache).
int64_t attention_tile_positions(int64_t n_group);
int64_t attention_tile_floats(const KvShape& shape, int64_t n_group);

// What attend_part keeps of a block for merge: [n_rows] largest scores, [n_rows] sums, padding to 16 floats,
// o_b [n_rows, v_width].
inline int64_t kept_o_begin(int64_t n_rows) { return (2 * n_rows + 15) / 16 * 16; }
inline int64_t kept_block_floats(int64_t n_rows, int64_t v_width) {
  return kept_o_begin(n_rows) + n_rows * v_width;
}

struct AttentionKernels {
  Isa isa;
  void (*write)(const KvRows& rows);
  void (*attend)(const AttentionTile& tile);
  // The same in parts: blocks [block_begin, block_end) of a tile, one after the other to `kept`; then merged
  // from left to right by calls that share tile.scratch. A block's results do not depend on those before it,
  // so the bits are those of attend.
  void (*attend_part)(const AttentionTile& tile, int64_t block_begin, int64_t block_end, float* kept);
  void (*merge)(const AttentionTile& tile, const float* kept, int64_t n_blocks, bool is_first, bool is_last);
};

#define OCTAVO_ATTENTION(table) extern const AttentionKernels table;
#include "kernels/attention/kernels.inc"
#undef OCTAVO_ATTENTION

}  // namespace octavo::kernels
