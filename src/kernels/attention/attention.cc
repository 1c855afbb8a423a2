// Cuts the sequences of attention.h into tiles of (sequence, kv head, positions), by shape alone; the tiles
// are the ISA tables' (kernels.inc, tile.inl). Called by model/decoder.cc, once per layer.
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
  return static_cast<size_t>(attention_tile_floats(shape, n_heads / shape.n_kv_heads) * n_threads) *
         sizeof(float);
}

void attention(base::ThreadPool& pool, const AttentionKernels& kernels, const KvShape& shape, const float* q,
               int64_t q_stride, int64_t n_heads, float scale, std::span<const AttentionSequence> sequences,
               float* out, void* scratch) {
  check(shape, sequences);
  OCTAVO_CHECK(n_heads > 0 && n_heads % shape.n_kv_heads == 0);
  const int64_t n_group = n_heads / shape.n_kv_heads;
  const int64_t out_stride = n_heads * shape.head_dim;
  const int64_t scratch_floats = attention_tile_floats(shape, n_group);
  const Cells cells(sequences, attention_tile_positions(n_group));
  const base::FlushDenormals flush;  // the caller runs tasks too
  const int64_t n_tasks = cells.count() * shape.n_kv_heads;
  pool.parallel_for(n_tasks, [&](int64_t task, int thread) {
    const Cell cell = cells.at(task / shape.n_kv_heads);
    const int64_t kv_head = task % shape.n_kv_heads;
    const int64_t row = cell.first_row();
    const int64_t column = kv_head * n_group * shape.head_dim;
    const int64_t later = std::min(task + 1, n_tasks - 1);
    const KvPlace next = {cells.at(later / shape.n_kv_heads).sequence->blocks[0], later % shape.n_kv_heads};
    kernels.attend({.shape = &shape,
                    .kv_head = kv_head,
                    .n_group = n_group,
                    .q = q + row * q_stride + column,
                    .q_stride = q_stride,
                    .out = out + row * out_stride + column,
                    .out_stride = out_stride,
                    .position_begin = cell.position_begin,
                    .n_positions = cell.n_rows,
                    .blocks = cell.sequence->blocks.data(),
                    .next = next,
                    .scale = scale,
                    .scratch = static_cast<float*>(scratch) + thread * scratch_floats});
  });
}

}  // namespace octavo::kernels
