#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "kernels/elementwise/kernels.h"
#include "tensor/buffer.h"

namespace octavo::kernels {
namespace {

using tensor::Buffer;
using tensor::DType;

constexpr DType kDTypes[] = {DType::kBF16, DType::kF32, DType::kI8};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Heads {
  int64_t n_heads, n_kv_heads, head_dim;
};
// Head sizes around 16 and 32; groups of 1 to 9 and one wider than a tile; odd ratios.
constexpr Heads kShapes[] = {{2, 1, 2},  {4, 4, 8},  {6, 2, 10},  {7, 1, 16}, {9, 3, 24}, {2, 1, 32},
                             {3, 3, 34}, {8, 2, 64}, {4, 2, 128}, {9, 1, 80}, {71, 1, 16}};

std::vector<float> random_values(int64_t n, uint32_t seed, float deviation = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

// q, k and v of one sequence; rows are positions.
struct Tokens {
  Tokens(const Heads& heads_of, int64_t n_tokens, uint32_t seed, float deviation = 1.0F)
      : heads(heads_of),
        n(n_tokens),
        q(random_values(n * heads.n_heads * heads.head_dim, seed, deviation)),
        k(random_values(n * heads.n_kv_heads * heads.head_dim, seed + 1, deviation)),
        v(random_values(n * heads.n_kv_heads * heads.head_dim, seed + 2)) {}

  int64_t q_width() const { return heads.n_heads * heads.head_dim; }
  int64_t kv_width() const { return heads.n_kv_heads * heads.head_dim; }
  float scale() const { return 1.0F / std::sqrt(static_cast<float>(heads.head_dim)); }

  Heads heads;
  int64_t n;
  std::vector<float> q, k, v;
};

// Blocks in falling order with as much memory between them, all filled with `garbage` bytes; 0xFF is NaN.
class Pages {
 public:
  Pages(const KvShape& shape, int64_t n_tokens, uint8_t garbage = 0xFF)
      : block_bytes_(kv_block_bytes(shape)),
        garbage_(garbage),
        n_blocks_(static_cast<size_t>((n_tokens + kKvBlockTokens - 1) / kKvBlockTokens)),
        memory_(2 * n_blocks_ * block_bytes_ + 64) {
    std::memset(memory_.data(), garbage, memory_.size_bytes());
    for (size_t b = n_blocks_; b-- > 0;) blocks.push_back(memory_.as<char>() + 2 * b * block_bytes_);
  }

  void expect_untouched_between() const {
    const auto* bytes = memory_.as<uint8_t>();
    for (size_t b = 0; b < n_blocks_; ++b) {
      for (size_t i = 0; i < block_bytes_; ++i) ASSERT_EQ(bytes[(2 * b + 1) * block_bytes_ + i], garbage_);
    }
  }

  std::vector<void*> blocks;

 private:
  size_t block_bytes_;
  uint8_t garbage_;
  size_t n_blocks_;
  Buffer memory_;
};

struct Conditions {
  Isa isa = Isa::kRef;
  int n_threads = 1;
  uint8_t garbage = 0xFF;
  std::vector<int64_t> chunks = {};  // rows per call; the last repeats; empty: all rows in one call
};

// Writes and attends chunk by chunk; checks what lies around out, the blocks and the scratch.
std::vector<float> attend(const Tokens& tokens, DType dtype, const Conditions& run) {
  const KvShape shape = {dtype, tokens.heads.n_kv_heads, tokens.heads.head_dim};
  const AttentionKernels& kernels = select_attention(run.isa);
  base::ThreadPool pool(run.n_threads);
  Pages pages(shape, tokens.n, run.garbage);
  const size_t scratch_bytes = attention_scratch_bytes(shape, tokens.heads.n_heads, run.n_threads);
  Buffer scratch(scratch_bytes + 64);
  std::memset(scratch.data(), 0xFF, scratch.size_bytes());
  const auto n_out = static_cast<size_t>(tokens.n * tokens.q_width());
  std::vector<float> out(n_out + 16, 123.0F);

  size_t chunk = 0;
  for (int64_t begin = 0; begin < tokens.n;) {
    const int64_t wanted = run.chunks.empty() ? tokens.n : run.chunks[std::min(chunk, run.chunks.size() - 1)];
    const int64_t rows = std::min(wanted, tokens.n - begin);
    const AttentionSequence sequence = {0, rows, begin, pages.blocks};
    kv_write(pool, kernels, shape, tokens.k.data() + begin * tokens.kv_width(), tokens.kv_width(),
             tokens.v.data() + begin * tokens.kv_width(), tokens.kv_width(), {&sequence, 1});
    attention(pool, kernels, shape, tokens.q.data() + begin * tokens.q_width(), tokens.q_width(),
              tokens.heads.n_heads, tokens.scale(), {&sequence, 1}, out.data() + begin * tokens.q_width(),
              scratch.data());
    begin += rows;
    ++chunk;
  }
  for (size_t i = n_out; i < out.size(); ++i) EXPECT_EQ(out[i], 123.0F);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(scratch.as<uint8_t>()[scratch_bytes + i], 0xFF);
  pages.expect_untouched_between();
  out.resize(n_out);
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The words of attention.h and gemm_f.h, written down once more for one query, with no tiles and no vectors.
float dot(const std::vector<float>& a, const std::vector<float>& b) {
  float sum = 0;
  for (size_t begin = 0; begin < a.size(); begin += 32) {
    float even = 0, odd = 0;
    for (size_t k = begin; k < std::min(begin + 32, a.size()); ++k) {
      float& s = k % 2 == 0 ? even : odd;
      s = std::fma(a[k], b[k], s);
    }
    sum = sum + (even + odd);
  }
  return sum;
}
float exp_of(float x) {
  float y = 0;
  exp_values(select_elementwise(Isa::kRef), &x, &y, 1);
  return y;
}

// A row of integer codes as attention.h words it; wide codes are made with the inverse of the scale.
struct Codes {
  Codes(const std::vector<float>& x, int largest_code) {
    float absmax = 0;
    for (const float value : x) absmax = std::max(absmax, std::abs(value));
    const bool is_zero = absmax < static_cast<float>(largest_code + 1) * 0x1p-126F;
    scale = is_zero ? 1.0F : absmax / static_cast<float>(largest_code);
    for (const float value : x) {
      code.push_back(std::lrint(largest_code == 127 ? value / scale : value * (1.0F / scale)));
    }
  }
  float scale;
  std::vector<int64_t> code;
};
float dot(const Codes& a, const Codes& b) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.code.size(); ++i) sum += a.code[i] * b.code[i];
  return static_cast<float>(sum);
}
constexpr int kWideCode = 16383;

std::vector<float> specified(const Tokens& tokens, DType dtype, int64_t position, int64_t head) {
  const int64_t head_dim = tokens.heads.head_dim;
  const int64_t kv_head = head / (tokens.heads.n_heads / tokens.heads.n_kv_heads);
  const auto stored = [&](const std::vector<float>& from, int64_t at) {
    const float value = from[static_cast<size_t>(at)];
    return dtype == DType::kBF16 ? tensor::round_to_bf16(value) : value;
  };
  const auto row = [&](const std::vector<float>& from, int64_t begin) {
    std::vector<float> values;
    for (int64_t d = 0; d < head_dim; ++d) values.push_back(stored(from, begin + d));
    return values;
  };
  const std::vector<float> q = row(tokens.q, position * tokens.q_width() + head * head_dim);
  const Codes q_codes(q, kWideCode);
  float running_max = -kInf, running_sum = 0;
  std::vector<float> o(static_cast<size_t>(head_dim), 0.0F);
  for (int64_t begin = 0; begin <= position; begin += kKvBlockTokens) {
    const int64_t n = std::min(kKvBlockTokens, position + 1 - begin);
    std::vector<float> p;
    std::vector<Codes> v_codes;
    for (int64_t t = 0; t < n; ++t) {
      const int64_t at = (begin + t) * tokens.kv_width() + kv_head * head_dim;
      if (dtype == DType::kI8) {
        const Codes k(row(tokens.k, at), 127);
        p.push_back(dot(q_codes, k) * (q_codes.scale * tokens.scale()) * k.scale);
        v_codes.emplace_back(row(tokens.v, at), 127);
      } else {
        p.push_back(dot(q, row(tokens.k, at)) * tokens.scale());
      }
    }
    const float block_max = *std::max_element(p.begin(), p.end());
    float partial[16] = {};
    for (size_t t = 0; t < p.size(); ++t) {
      p[t] = exp_of(p[t] - block_max);
      if (dtype == DType::kBF16) p[t] = tensor::round_to_bf16(p[t]);
      partial[t % 16] += p[t];
    }
    for (const int half : {8, 4, 2, 1}) {
      for (int j = 0; j < half; ++j) partial[j] += partial[j + half];
    }
    const float new_max = std::max(running_max, block_max);
    const float a = exp_of(running_max - new_max), c = exp_of(block_max - new_max);
    running_sum = std::fma(running_sum, a, partial[0] * c);
    running_max = new_max;
    std::vector<float> weights = p;
    for (size_t t = 0; t < v_codes.size(); ++t) weights[t] = p[t] * v_codes[t].scale;
    const Codes w(weights, kWideCode);
    for (int64_t d = 0; d < head_dim; ++d) {
      float& sum = o[static_cast<size_t>(d)];
      if (dtype == DType::kI8) {
        int64_t products = 0;
        for (size_t t = 0; t < p.size(); ++t) products += w.code[t] * v_codes[t].code[static_cast<size_t>(d)];
        sum = std::fma(sum, a, static_cast<float>(products) * w.scale * c);
        continue;
      }
      std::vector<float> column;
      for (int64_t t = 0; t < n; ++t) {
        column.push_back(stored(tokens.v, (begin + t) * tokens.kv_width() + kv_head * head_dim + d));
      }
      sum = std::fma(sum, a, dot(p, column) * c);
    }
  }
  for (float& value : o) value = value / running_sum + 0.0F;
  return o;
}

TEST(Attention, RefIsWhatTheHeaderSays) {
  const base::FlushDenormals flush;
  for (const DType dtype : kDTypes) {
    for (const Heads& heads : kShapes) {
      const Tokens tokens(heads, heads.head_dim > 64 ? 66 : 131, 1);
      const std::vector<float> out = attend(tokens, dtype, {});
      for (const int64_t position : {0, 1, 15, 16, 17, 34, 62, 63, 64, 65, 97, 127, 128, 130}) {
        if (position >= tokens.n) break;
        for (const int64_t head : {int64_t{0}, heads.n_heads / 2, heads.n_heads - 1}) {
          const std::vector<float> expected = specified(tokens, dtype, position, head);
          ASSERT_EQ(
              std::memcmp(expected.data(), out.data() + position * tokens.q_width() + head * heads.head_dim,
                          expected.size() * sizeof(float)),
              0)
              << dtype_name(dtype) << " head_dim " << heads.head_dim << " position " << position;
        }
      }
    }
  }
}

TEST(Attention, EveryIsaGivesTheBitsOfRef) {
  for (const DType dtype : kDTypes) {
    for (const Heads& heads : kShapes) {
      // Sharp scores (deviation 4) underflow most of the exponentials, flat ones few.
      for (const float deviation : {1.0F, 4.0F, 1e-20F}) {
        const Tokens tokens(heads, 64 + 3 + heads.head_dim % 16, 11, deviation);
        const std::vector<float> expected = attend(tokens, dtype, {});
        for (const Isa isa : cpu_isas()) {
          if (isa == Isa::kRef) continue;
          EXPECT_TRUE(same_bits(attend(tokens, dtype, {.isa = isa}), expected))
              << isa_name(isa) << " " << dtype_name(dtype) << " head_dim " << heads.head_dim;
        }
      }
    }
  }
}

TEST(Attention, PrefillChunksAndDecodeGiveTheSameBits) {
  for (const Isa isa : cpu_isas()) {
    for (const DType dtype : kDTypes) {
      for (const Heads& heads : {Heads{4, 4, 8}, Heads{6, 2, 10}, Heads{7, 1, 16}, Heads{4, 2, 64}}) {
        const Tokens tokens(heads, 133, 21);
        const std::vector<float> whole = attend(tokens, dtype, {.isa = isa});
        for (const std::vector<int64_t>& chunks :
             std::vector<std::vector<int64_t>>{{1}, {64}, {63, 2, 63, 1}, {7}, {5, 127, 1}}) {
          EXPECT_TRUE(same_bits(attend(tokens, dtype, {.isa = isa, .chunks = chunks}), whole))
              << isa_name(isa) << " " << dtype_name(dtype) << " chunks of " << chunks[0];
        }
      }
    }
  }
}

TEST(Attention, ThreadsDoNotChangeBits) {
  const Tokens tokens({6, 2, 48}, 150, 31);
  for (const Isa isa : cpu_isas()) {
    for (const DType dtype : kDTypes) {
      const std::vector<float> one = attend(tokens, dtype, {.isa = isa});
      for (const int n_threads : {2, 3}) {
        EXPECT_TRUE(same_bits(attend(tokens, dtype, {.isa = isa, .n_threads = n_threads}), one));
      }
    }
  }
}

// Fewer heads than threads: contexts are cut into parts, of several rounds where they are long.
TEST(Attention, ContextsInPartsGiveTheSameBits) {
  for (const Heads& heads : {Heads{2, 1, 32}, {6, 2, 10}, {71, 1, 16}}) {
    const Tokens tokens(heads, 2500, 19);
    for (const DType dtype : kDTypes) {
      const KvShape shape = {dtype, heads.n_kv_heads, heads.head_dim};
      Pages pages(shape, tokens.n);
      const AttentionSequence all = {0, tokens.n, 0, pages.blocks};
      base::ThreadPool one(1);
      kv_write(one, select_attention(Isa::kRef), shape, tokens.k.data(), tokens.kv_width(), tokens.v.data(),
               tokens.kv_width(), {&all, 1});
      // The first alone, and with a shorter one; both have a row of q.
      const AttentionSequence sequences[] = {{0, 1, tokens.n - 1, pages.blocks}, {1, 1, 130, pages.blocks}};
      for (const size_t n_sequences : {size_t{1}, size_t{2}}) {
        const auto run = [&](Isa isa, int n_threads) {
          base::ThreadPool pool(n_threads);
          const size_t scratch_bytes = attention_scratch_bytes(shape, heads.n_heads, n_threads);
          Buffer scratch(scratch_bytes + 64);
          std::memset(scratch.data(), 0xFF, scratch.size_bytes());
          std::vector<float> out(n_sequences * static_cast<size_t>(tokens.q_width()));
          attention(pool, select_attention(isa), shape, tokens.q.data(), tokens.q_width(), heads.n_heads,
                    tokens.scale(), std::span(sequences).first(n_sequences), out.data(), scratch.data());
          for (size_t i = 0; i < 64; ++i) EXPECT_EQ(scratch.as<uint8_t>()[scratch_bytes + i], 0xFF);
          return out;
        };
        const std::vector<float> want = run(Isa::kRef, 1);
        for (const Isa isa : cpu_isas()) {
          for (const int n_threads : {2, 3, 4, 9, 60}) {
            EXPECT_TRUE(same_bits(run(isa, n_threads), want))
                << isa_name(isa) << " " << n_threads << " threads, " << n_sequences << " sequences";
          }
        }
      }
    }
  }
}

TEST(Attention, WhatUnfilledSlotsHoldDoesNotMatter) {
  for (const Isa isa : cpu_isas()) {
    for (const DType dtype : kDTypes) {
      for (const Heads& heads : {Heads{4, 4, 8}, Heads{6, 2, 10}, Heads{9, 3, 24}, Heads{2, 1, 64}}) {
        const Tokens tokens(heads, 77, 41);
        const std::vector<float> clean = attend(tokens, dtype, {.isa = isa, .garbage = 0, .chunks = {70, 1}});
        for (const uint8_t garbage : std::vector<uint8_t>{0xFF, 0x7F, 0x3C}) {
          const Conditions run = {.isa = isa, .garbage = garbage, .chunks = {70, 1}};
          EXPECT_TRUE(same_bits(attend(tokens, dtype, run), clean));
        }
      }
    }
  }
}

// In one prefill the later tokens' keys and values are in the block already, whatever they are.
TEST(Attention, LaterTokensDoNotReachEarlierRows) {
  for (const Isa isa : cpu_isas()) {
    for (const DType dtype : kDTypes) {
      for (const Heads& heads : {Heads{4, 4, 8}, Heads{3, 1, 32}}) {
        Tokens tokens(heads, 72, 51);
        const std::vector<float> clean = attend(tokens, dtype, {.isa = isa});
        for (const int64_t poisoned : {1, 17, 33, 63, 64, 71}) {
          for (const float poison : {kNan, kInf, -kInf}) {
            Tokens changed = tokens;
            std::fill(changed.k.begin() + poisoned * tokens.kv_width(), changed.k.end(), poison);
            std::fill(changed.v.begin() + poisoned * tokens.kv_width(), changed.v.end(), poison);
            const std::vector<float> out = attend(changed, dtype, {.isa = isa});
            const auto n_before = static_cast<size_t>(poisoned * tokens.q_width());
            ASSERT_EQ(std::memcmp(out.data(), clean.data(), n_before * sizeof(float)), 0) << poisoned;
            for (size_t i = n_before; i < out.size(); ++i) ASSERT_FALSE(std::isfinite(out[i]));
          }
        }
      }
    }
  }
}

TEST(Attention, SequencesOfABatchAreIndependent) {
  constexpr Heads kHeads = {6, 2, 40};
  // Prefill, decode, an empty one, a chunk in the middle, decode at a block's first and last token.
  struct Part {
    int64_t n_tokens, n_rows;
  };
  constexpr Part kParts[] = {{130, 130}, {90, 1}, {64, 0}, {150, 45}, {65, 1}, {64, 1}, {3, 3}};
  for (const Isa isa : cpu_isas()) {
    for (const DType dtype : kDTypes) {
      const KvShape shape = {dtype, kHeads.n_kv_heads, kHeads.head_dim};
      const AttentionKernels& kernels = select_attention(isa);
      base::ThreadPool pool(3);
      std::vector<Pages> pages;
      std::vector<std::vector<float>> alone;
      std::vector<AttentionSequence> batch;
      std::vector<float> q, k, v;
      uint32_t seed = 61;
      pages.reserve(std::size(kParts));
      int64_t row = 0;
      for (const Part& part : kParts) {
        const Tokens tokens(kHeads, part.n_tokens, seed += 10);
        const int64_t begin = part.n_tokens - part.n_rows;
        pages.emplace_back(shape, tokens.n);
        const AttentionSequence before = {0, begin, 0, pages.back().blocks};
        kv_write(pool, kernels, shape, tokens.k.data(), tokens.kv_width(), tokens.v.data(), tokens.kv_width(),
                 {&before, 1});
        const std::vector<float> out = attend(tokens, dtype, {.isa = isa});
        alone.emplace_back(out.begin() + begin * tokens.q_width(), out.end());
        batch.push_back({row, part.n_rows, begin, pages.back().blocks});
        q.insert(q.end(), tokens.q.begin() + begin * tokens.q_width(), tokens.q.end());
        k.insert(k.end(), tokens.k.begin() + begin * tokens.kv_width(), tokens.k.end());
        v.insert(v.end(), tokens.v.begin() + begin * tokens.kv_width(), tokens.v.end());
        row += part.n_rows;
      }
      const int64_t q_width = kHeads.n_heads * kHeads.head_dim,
                    kv_width = kHeads.n_kv_heads * kHeads.head_dim;
      kv_write(pool, kernels, shape, k.data(), kv_width, v.data(), kv_width, batch);
      Buffer scratch(attention_scratch_bytes(shape, kHeads.n_heads, 3));
      std::vector<float> out(static_cast<size_t>(row * q_width));
      attention(pool, kernels, shape, q.data(), q_width, kHeads.n_heads,
                1.0F / std::sqrt(static_cast<float>(kHeads.head_dim)), batch, out.data(), scratch.data());
      for (size_t s = 0; s < batch.size(); ++s) {
        EXPECT_TRUE(alone[s].empty() || std::memcmp(out.data() + batch[s].row_begin * q_width,
                                                    alone[s].data(), alone[s].size() * sizeof(float)) == 0)
            << isa_name(isa) << " sequence " << s;
      }
    }
  }
}

// Bit for bit the norms, RoPE and kv_write one after the other, in a batch that starts and ends within
// blocks.
TEST(Attention, RopeKvWriteIsItsPartsOnEveryIsa) {
  for (const Heads& heads : {Heads{2, 1, 2}, Heads{6, 2, 10}, Heads{9, 1, 80}, Heads{2, 1, 128}}) {
    constexpr int64_t kBegins[] = {0, 63, 40, 7}, kRows[] = {70, 1, 100, 0};
    const int64_t m = 171, half = heads.head_dim / 2;
    const Tokens tokens(heads, m, 5);
    const std::vector<float> q_norm = random_values(heads.head_dim, 8),
                             k_norm = random_values(heads.head_dim, 9), cosine = random_values(m * half, 10),
                             sine = random_values(m * half, 11);
    for (const DType dtype : kDTypes) {
      const KvShape shape = {dtype, heads.n_kv_heads, heads.head_dim};
      for (const bool has_norms : {false, true}) {
        const auto batch_on = [&](const std::vector<Pages>& pages) {
          std::vector<AttentionSequence> batch;
          int64_t row = 0;
          for (size_t i = 0; i < std::size(kRows); row += kRows[i++]) {
            batch.push_back({row, kRows[i], kBegins[i], pages[i].blocks});
          }
          return batch;
        };
        const auto new_pages = [&] {
          std::vector<Pages> pages;
          pages.reserve(std::size(kRows));
          for (size_t i = 0; i < std::size(kRows); ++i) pages.emplace_back(shape, kBegins[i] + kRows[i]);
          return pages;
        };

        base::ThreadPool pool(3);
        const ElementwiseKernels& ref = select_elementwise(Isa::kRef);
        std::vector<float> q = tokens.q, k = tokens.k;
        const auto part = [&](std::vector<float>& x, int64_t n_heads, const std::vector<float>& norm) {
          const int64_t width = n_heads * heads.head_dim;
          if (has_norms) {
            rms_norm(pool, ref, x.data(), heads.head_dim, norm.data(), 1e-6F, m * n_heads, heads.head_dim,
                     {RowForm::kF32, x.data(), nullptr});
          }
          for (int64_t i = 0; i < m; ++i) {
            ref.rope(x.data() + i * width, n_heads, heads.head_dim, cosine.data() + i * half,
                     sine.data() + i * half);
          }
        };
        part(q, heads.n_heads, q_norm);
        part(k, heads.n_kv_heads, k_norm);
        const std::vector<Pages> expected = new_pages();
        kv_write(pool, select_attention(Isa::kRef), shape, k.data(), tokens.kv_width(), tokens.v.data(),
                 tokens.kv_width(), batch_on(expected));

        for (const Isa isa : cpu_isas()) {
          std::vector<float> fused_q = tokens.q, fused_k = tokens.k;
          const std::vector<Pages> pages = new_pages();
          const HeadNorms norms = {has_norms ? q_norm.data() : nullptr, has_norms ? k_norm.data() : nullptr,
                                   1e-6F};
          rope_kv_write(pool, select_elementwise(isa), select_attention(isa), shape, fused_q.data(),
                        heads.n_heads, fused_k.data(), tokens.v.data(), norms, cosine.data(), sine.data(),
                        batch_on(pages));
          EXPECT_TRUE(same_bits(fused_q, q) && same_bits(fused_k, k)) << isa_name(isa);
          for (size_t i = 0; i < pages.size(); ++i) {
            pages[i].expect_untouched_between();
            for (size_t b = 0; b < pages[i].blocks.size(); ++b) {
              EXPECT_EQ(std::memcmp(pages[i].blocks[b], expected[i].blocks[b], kv_block_bytes(shape)), 0)
                  << isa_name(isa) << " sequence " << i << " block " << b;
            }
          }
        }
      }
    }
  }
}

// The largest difference of out from softmax(q k^T) v in double.
double distance_from_softmax(const Tokens& tokens, const std::vector<float>& out) {
  const Heads& heads = tokens.heads;
  const int64_t n_group = heads.n_heads / heads.n_kv_heads;
  double largest = 0;
  for (int64_t position = 0; position < tokens.n; position += 13) {
    for (int64_t head = 0; head < heads.n_heads; ++head) {
      const float* q = tokens.q.data() + position * tokens.q_width() + head * heads.head_dim;
      const auto kv_at = [&](int64_t t) { return t * tokens.kv_width() + head / n_group * heads.head_dim; };
      std::vector<double> p;
      double sum = 0;
      for (int64_t t = 0; t <= position; ++t) {
        double score = 0;
        for (int64_t d = 0; d < heads.head_dim; ++d) {
          score += static_cast<double>(q[d]) * tokens.k[static_cast<size_t>(kv_at(t) + d)];
        }
        p.push_back(std::exp(score * tokens.scale()));
        sum += p.back();
      }
      for (int64_t d = 0; d < heads.head_dim; ++d) {
        double expected = 0;
        for (int64_t t = 0; t <= position; ++t) {
          expected += p[static_cast<size_t>(t)] / sum * tokens.v[static_cast<size_t>(kv_at(t) + d)];
        }
        const auto at = static_cast<size_t>(position * tokens.q_width() + head * heads.head_dim + d);
        largest = std::max(largest, std::abs(out[at] - expected));
      }
    }
  }
  return largest;
}

TEST(Attention, IsCloseToSoftmaxInDouble) {
  for (const DType dtype : kDTypes) {
    // bf16 carries 8 bits: q, k, v and p are each off by up to 2^-9 of themselves; int8, k and v by up to
    // 2^-8 of the largest of their row.
    const double tolerance = dtype == DType::kF32 ? 3e-6 : 0.03;
    for (const Heads& heads : kShapes) {
      const Tokens tokens(heads, 170, 71);
      const std::vector<float> out = attend(tokens, dtype, {.isa = cpu_isas().back()});
      EXPECT_LE(distance_from_softmax(tokens, out), tolerance)
          << dtype_name(dtype) << " head_dim " << heads.head_dim;
    }
  }
}

// Against keys and values as int8 holds them, the codes of q and p alone show: 2^-15 of the largest each.
TEST(Attention, Int8RoundsHardlyMoreThanKeysAndValues) {
  for (const Heads& heads : kShapes) {
    Tokens tokens(heads, 170, 76);
    for (std::vector<float>* rows : {&tokens.k, &tokens.v}) {
      for (size_t begin = 0; begin < rows->size(); begin += static_cast<size_t>(heads.head_dim)) {
        const auto first = rows->begin() + static_cast<std::ptrdiff_t>(begin);
        const Codes codes({first, first + heads.head_dim}, 127);
        for (size_t d = 0; d < codes.code.size(); ++d) {
          (*rows)[begin + d] = static_cast<float>(codes.code[d]) * codes.scale;
        }
      }
    }
    const std::vector<float> out = attend(tokens, DType::kI8, {.isa = cpu_isas().back()});
    EXPECT_LE(distance_from_softmax(tokens, out), 2e-4) << "head_dim " << heads.head_dim;
  }
}

// Rows of zeros, of values whose scale would be a denormal, and of the largest floats.
TEST(Attention, Int8RowsAtTheEndsOfTheRange) {
  constexpr Heads kHeads = {4, 2, 32};
  for (const Isa isa : cpu_isas()) {
    Tokens tokens(kHeads, 70, 78);
    for (const float value : {0.0F, 0x1p-140F, 0x1p-121F}) {
      std::ranges::fill(tokens.k, value);
      std::ranges::fill(tokens.v, value);
      for (const float x : attend(tokens, DType::kI8, {.isa = isa})) ASSERT_EQ(x, 0.0F) << value;
    }
    // Equal scores, values that their codes hold exactly: the mean of the values.
    std::ranges::fill(tokens.q, 0.0F);
    std::ranges::fill(tokens.v, 0.0F);
    std::fill_n(tokens.v.begin(), kHeads.head_dim, 0x1p127F);  // of token 0, kv head 0
    const std::vector<float> out = attend(tokens, DType::kI8, {.isa = isa});
    for (int64_t position = 0; position < tokens.n; ++position) {
      const float mean = 0x1p127F / static_cast<float>(position + 1);
      EXPECT_NEAR(out[static_cast<size_t>(position * tokens.q_width())] / mean, 1.0F, 1e-4F) << position;
      EXPECT_EQ(out[static_cast<size_t>((position + 1) * tokens.q_width() - 1)], 0.0F);
    }
  }
}

TEST(Attention, RowStridesAndBlockBytes) {
  constexpr Heads kHeads = {4, 2, 18};
  const Tokens tokens(kHeads, 70, 81);
  for (const DType dtype : kDTypes) {
    const KvShape shape = {dtype, kHeads.n_kv_heads, kHeads.head_dim};
    EXPECT_EQ(kv_block_bytes(shape) % 64, 0U);
    const std::vector<float> expected = attend(tokens, dtype, {});
    // q, k and v side by side in one row, as a fused projection leaves them.
    const int64_t stride = tokens.q_width() + 2 * tokens.kv_width() + 3;
    std::vector<float> qkv(static_cast<size_t>(tokens.n * stride), kNan);
    for (int64_t i = 0; i < tokens.n; ++i) {
      float* to = qkv.data() + i * stride;
      to = std::copy_n(tokens.q.data() + i * tokens.q_width(), tokens.q_width(), to);
      to = std::copy_n(tokens.k.data() + i * tokens.kv_width(), tokens.kv_width(), to);
      std::copy_n(tokens.v.data() + i * tokens.kv_width(), tokens.kv_width(), to);
    }
    for (const Isa isa : cpu_isas()) {
      base::ThreadPool pool(2);
      Pages pages(shape, tokens.n);
      const AttentionSequence sequence = {0, tokens.n, 0, pages.blocks};
      const AttentionKernels& kernels = select_attention(isa);
      const float* k = qkv.data() + tokens.q_width();
      kv_write(pool, kernels, shape, k, stride, k + tokens.kv_width(), stride, {&sequence, 1});
      Buffer scratch(attention_scratch_bytes(shape, kHeads.n_heads, 2));
      std::vector<float> out(expected.size());
      attention(pool, kernels, shape, qkv.data(), stride, kHeads.n_heads, tokens.scale(), {&sequence, 1},
                out.data(), scratch.data());
      EXPECT_TRUE(same_bits(out, expected)) << isa_name(isa);
    }
  }
}

}  // namespace
}  // namespace octavo::kernels
