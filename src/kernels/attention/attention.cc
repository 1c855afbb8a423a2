// Cuts the sequences of attention.h into tiles of (sequence, kv head, positions), by shape alone, and where
// these are fewer than threads, contexts into parts; the tiles are the ISA tables' (kernels.inc, tile.inl).
// Called by model/decoder.cc, once per layer.
#include "kernels/attention/attention.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "kernels/attention/kernels.h"
#include "kernels/elementwise/kernels.h"

namespace octavo::kernels {
namespace {

constexpr const AttentionKernels* kTables[] = {
#define OCTAVO_ATTENTION(table) &table,
#include "kernels/attention/kernels.inc"
#undef OCTAVO_ATTENTION
};

// Consecutive positions of a sequence that lie in one cell of `width` positions, a power of two.
struct Cell {
  const AttentionSequence* sequence;
  int64_t row_begin;  // within the sequence
  int64_t n_rows;
  int64_t position_begin;

  int64_t first_row() const { return sequence->row_begin + row_begin; }  // of the batch
};

// The cells of all sequences, numbered sequence by sequence.
class Cells {
 public:
  Cells(std::span<const AttentionSequence> sequences, int64_t width)
      : sequences_(sequences), shift_(std::countr_zero(static_cast<uint64_t>(width))) {}

  int64_t count() const {
    int64_t n = 0;
    for (const AttentionSequence& sequence : sequences_) n += count_of(sequence);
    return n;
  }

  // A walk over the sequences: nothing is allocated, and it is short beside a cell's work. A sequence's last
  // cell comes first: it has most to read, and a long task handed out late leaves threads idle.
  Cell at(int64_t index) const {
    const AttentionSequence* sequence = sequences_.data();
    for (; index >= count_of(*sequence); ++sequence) index -= count_of(*sequence);
    const int64_t end = sequence->position_begin + sequence->n_rows;
    const int64_t cell = ((end - 1) >> shift_) - index;
    const int64_t position = std::max(cell << shift_, sequence->position_begin);
    return {sequence, position - sequence->position_begin, std::min(end, (cell + 1) << shift_) - position,
            position};
  }

 private:
  int64_t count_of(const AttentionSequence& sequence) const {
    if (sequence.n_rows == 0) return 0;
    const int64_t last = sequence.position_begin + sequence.n_rows - 1;
    return (last >> shift_) - (sequence.position_begin >> shift_) + 1;
  }

  std::span<const AttentionSequence> sequences_;
  int shift_;
};

void check(const KvShape& shape, std::span<const AttentionSequence> sequences) {
  OCTAVO_CHECK(shape.dtype == tensor::DType::kBF16 || shape.dtype == tensor::DType::kF32 ||
               (shape.dtype == tensor::DType::kI8 && shape.head_dim <= kS8KvMaxHeadDim));
  OCTAVO_CHECK(shape.head_dim > 0 && shape.head_dim % 2 == 0 && shape.n_kv_heads > 0);
  for (const AttentionSequence& sequence : sequences) {
    OCTAVO_CHECK(sequence.n_rows >= 0 && sequence.position_begin >= 0);
    OCTAVO_CHECK(sequence.position_begin + sequence.n_rows <=
                 static_cast<int64_t>(sequence.blocks.size()) * kKvBlockTokens);
  }
}

// Blocks that a thread keeps the results of at once.
constexpr int64_t kPartBlocks = 16;
// Two loops more, 0.5 us each, against blocks of 2 us (4 query heads of 128; one core of Zen 4).
constexpr int64_t kMinSplitBlocks = 4;

int64_t n_blocks_to(int64_t position) { return position / kKvBlockTokens + 1; }

// Into how many parts each context is cut: 1, but where every sequence has one row and threads are left over.
// The one cut that depends on their number; the bits do not.
int64_t parts_of_context(std::span<const AttentionSequence> sequences, int64_t n_tiles, int64_t n_threads) {
  int64_t longest = 0;
  for (const AttentionSequence& sequence : sequences) {
    if (sequence.n_rows != 1) return 1;
    longest = std::max(longest, n_blocks_to(sequence.position_begin));
  }
  return longest < kMinSplitBlocks ? 1 : std::max<int64_t>(1, n_threads / n_tiles);
}

// Contexts in rounds of at most kPartBlocks blocks for each part, from left to right.
class ContextParts {
 public:
  struct Blocks {
    int64_t begin, end;
  };
  explicit ContextParts(int64_t n_parts) : n_parts_(n_parts) {}
  int64_t n_rounds(std::span<const AttentionSequence> sequences) const {
    int64_t n = 0;
    for (const AttentionSequence& sequence : sequences) {
      n = std::max(n, (n_blocks_to(sequence.position_begin) + round_blocks() - 1) / round_blocks());
    }
    return n;
  }
  Blocks blocks(const AttentionTile& tile, int64_t round, int64_t part) const {
    const int64_t n_blocks = n_blocks_to(tile.position_begin);
    const int64_t begin = std::min(n_blocks, round * round_blocks());
    const int64_t n = std::min(n_blocks - begin, round_blocks());
    return {begin + part * n / n_parts_, begin + (part + 1) * n / n_parts_};
  }

 private:
  int64_t round_blocks() const { return n_parts_ * kPartBlocks; }
  int64_t n_parts_;
};

// A cell's rows of one kv head, all of one block.
KvRows rows_to_write(const Cell& cell, const KvShape& shape, int64_t kv_head, const float* k,
                     int64_t k_stride, const float* v, int64_t v_stride) {
  const int64_t column = kv_head * shape.head_dim;
  return {.shape = &shape,
          .k = k + cell.first_row() * k_stride + column,
          .v = v + cell.first_row() * v_stride + column,
          .k_stride = k_stride,
          .v_stride = v_stride,
          .slot_begin = cell.position_begin % kKvBlockTokens,
          .n_tokens = cell.n_rows,
          .to = {cell.sequence->blocks[static_cast<size_t>(cell.position_begin / kKvBlockTokens)], kv_head}};
}

// A thread's: the tile that it works on, the tile that it merges into, what parts of a context keep.
struct ScratchLayout {
  int64_t tile_floats, kept_floats;
  ScratchLayout(const KvShape& shape, int64_t n_group)
      : tile_floats(attention_tile_floats(shape, n_group)),
        kept_floats(kPartBlocks * kept_block_floats(n_group, KvLayout(shape).v_width)) {}
  int64_t thread_floats() const { return (2 * tile_floats + kept_floats + 15) / 16 * 16; }
  float* tile(void* scratch, int64_t thread) const {
    return static_cast<float*>(scratch) + thread * thread_floats();
  }
  float* merged(void* scratch, int64_t slot) const { return tile(scratch, slot) + tile_floats; }
  float* kept(void* scratch, int64_t slot) const { return merged(scratch, slot) + tile_floats; }
};

}  // namespace

int64_t attention_tile_positions(int64_t n_group) {
  constexpr int64_t kTileRows = 64;
  static_assert(kTileRows <= kKvBlockTokens);
  const int64_t positions = std::max<int64_t>(1, kTileRows / n_group);
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(positions)));
}

int64_t attention_tile_floats(const KvShape& shape, int64_t n_group) {
  const int64_t n_rows = attention_tile_positions(n_group) * n_group;
  const int64_t n_floats = n_rows * (shape.head_dim + KvLayout(shape).v_width + 2);
  return (n_floats + 15) / 16 * 16;
}

size_t kv_block_bytes(const KvShape& shape) {
  return static_cast<size_t>(shape.n_kv_heads * KvLayout(shape).head_bytes);
}

const AttentionKernels& select_attention(Isa isa) {
  const AttentionKernels* best = nullptr;
  for (const AttentionKernels* table : kTables) {
    if (table->isa <= isa && cpu_has(table->isa)) best = table;
  }
  OCTAVO_CHECK(best != nullptr);
  return *best;
}

void kv_write(base::ThreadPool& pool, const AttentionKernels& kernels, const KvShape& shape, const float* k,
              int64_t k_stride, const float* v, int64_t v_stride,
              std::span<const AttentionSequence> sequences) {
  check(shape, sequences);
  const Cells cells(sequences, kKvBlockTokens);
  pool.parallel_for(cells.count() * shape.n_kv_heads, [&](int64_t task, int) {
    const Cell cell = cells.at(task / shape.n_kv_heads);
    kernels.write(rows_to_write(cell, shape, task % shape.n_kv_heads, k, k_stride, v, v_stride));
  });
}

void rope_kv_write(base::ThreadPool& pool, const ElementwiseKernels& elementwise,
                   const AttentionKernels& kernels, const KvShape& shape, float* q, int64_t n_heads, float* k,
                   const float* v, const HeadNorms& norms, const float* cosine, const float* sine,
                   std::span<const AttentionSequence> sequences) {
  check(shape, sequences);
  OCTAVO_CHECK(n_heads > 0 && n_heads % shape.n_kv_heads == 0);
  const int64_t head_dim = shape.head_dim, n_group = n_heads / shape.n_kv_heads;
  const int64_t kv_stride = shape.n_kv_heads * head_dim;
  const auto norm_and_turn = [&](float* heads, int64_t n, const float* norm, int64_t row) {
    for (int64_t i = 0; norm != nullptr && i < n; ++i) {
      float* head = heads + i * head_dim;
      elementwise.rms_norm(head, norm, norms.eps, head_dim, {RowForm::kF32, head, nullptr});
    }
    elementwise.rope(heads, n, head_dim, cosine + row * (head_dim / 2), sine + row * (head_dim / 2));
  };
  const Cells cells(sequences, kKvBlockTokens);
  const base::FlushDenormals flush;  // the caller runs tasks too
  pool.parallel_for(cells.count() * shape.n_kv_heads, [&](int64_t task, int) {
    const Cell cell = cells.at(task / shape.n_kv_heads);
    const int64_t kv_head = task % shape.n_kv_heads;
    for (int64_t i = 0; i < cell.n_rows; ++i) {
      const int64_t row = cell.first_row() + i;
      norm_and_turn(q + (row * shape.n_kv_heads + kv_head) * n_group * head_dim, n_group, norms.q, row);
      norm_and_turn(k + (row * shape.n_kv_heads + kv_head) * head_dim, 1, norms.k, row);
    }
    kernels.write(rows_to_write(cell, shape, kv_head, k, kv_stride, v, kv_stride));
  });
}

size_t attention_scratch_bytes(const KvShape& shape, int64_t n_heads, int n_threads) {
  return static_cast<size_t>(ScratchLayout(shape, n_heads / shape.n_kv_heads).thread_floats() * n_threads) *
         sizeof(float);
}

void attention(base::ThreadPool& pool, const AttentionKernels& kernels, const KvShape& shape, const float* q,
               int64_t q_stride, int64_t n_heads, float scale, std::span<const AttentionSequence> sequences,
               float* out, void* scratch) {
  check(shape, sequences);
  OCTAVO_CHECK(n_heads > 0 && n_heads % shape.n_kv_heads == 0);
  const int64_t n_group = n_heads / shape.n_kv_heads;
  const int64_t out_stride = n_heads * shape.head_dim;
  const ScratchLayout memory(shape, n_group);
  const Cells cells(sequences, attention_tile_positions(n_group));
  const base::FlushDenormals flush;  // the caller runs tasks too
  const int64_t n_tiles = cells.count() * shape.n_kv_heads;
  const auto tile_of = [&](int64_t index) -> AttentionTile {
    const Cell cell = cells.at(index / shape.n_kv_heads);
    const int64_t kv_head = index % shape.n_kv_heads;
    const int64_t row = cell.first_row();
    const int64_t column = kv_head * n_group * shape.head_dim;
    const int64_t later = std::min(index + 1, n_tiles - 1);
    return {.shape = &shape,
            .kv_head = kv_head,
            .n_group = n_group,
            .q = q + row * q_stride + column,
            .q_stride = q_stride,
            .out = out + row * out_stride + column,
            .out_stride = out_stride,
            .position_begin = cell.position_begin,
            .n_positions = cell.n_rows,
            .blocks = cell.sequence->blocks.data(),
            .next = {cells.at(later / shape.n_kv_heads).sequence->blocks[0], later % shape.n_kv_heads},
            .scale = scale,
            .scratch = nullptr};
  };
  const int64_t n_parts = parts_of_context(sequences, n_tiles, pool.n_threads());
  if (n_parts == 1) {
    pool.parallel_for(n_tiles, [&](int64_t index, int thread) {
      AttentionTile tile = tile_of(index);
      tile.scratch = memory.tile(scratch, thread);
      kernels.attend(tile);
    });
    return;
  }
  const ContextParts parts(n_parts);
  for (int64_t round = 0; round < parts.n_rounds(sequences); ++round) {
    pool.parallel_for(n_tiles * n_parts, [&](int64_t index, int thread) {
      AttentionTile tile = tile_of(index / n_parts);
      tile.scratch = memory.tile(scratch, thread);
      const auto [begin, end] = parts.blocks(tile, round, index % n_parts);
      if (begin == end) return;
      kernels.attend_part(tile, begin, end, memory.kept(scratch, index));
    });
    pool.parallel_for(n_tiles, [&](int64_t index, int) {
      AttentionTile tile = tile_of(index);
      tile.scratch = memory.merged(scratch, index);
      for (int64_t part = 0; part < n_parts; ++part) {
        const auto [begin, end] = parts.blocks(tile, round, part);
        if (begin == end) continue;
        kernels.merge(tile, memory.kept(scratch, index * n_parts + part), end - begin, begin == 0,
                      end * kKvBlockTokens > tile.position_begin);
      }
    });
  }
}

}  // namespace octavo::kernels
