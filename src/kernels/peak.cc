// Times the loops of peak_<isa>.cc, and a sequential read: sixteen independent sums of 8 bytes, which any
// compiler turns into loads that outrun memory. The best of several runs is the limit, because a neighbour
// on the machine can only take away from it. Called by bench/ and by the benches of the products.
#include "kernels/peak.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "tensor/buffer.h"

namespace octavo::kernels {

#if defined(OCTAVO_PEAK_LOOPS)
extern const PeakLoop kPeakS8Avx2, kPeakF32Avx2, kPeakS8AvxVnni, kPeakS8Avx512Vnni, kPeakF32Avx512Vnni,
    kPeakS8Amx, kPeakBF16Amx;
#endif

namespace {

const PeakLoop* find_loop(Isa isa, PeakOf of) {
#if defined(OCTAVO_PEAK_LOOPS)
  static const PeakLoop* const kLoops[] = {&kPeakS8Avx2,       &kPeakF32Avx2,       &kPeakS8AvxVnni,
                                           &kPeakS8Avx512Vnni, &kPeakF32Avx512Vnni, &kPeakS8Amx,
                                           &kPeakBF16Amx};
  const auto* found = std::find_if(std::begin(kLoops), std::end(kLoops),
                                   [&](const PeakLoop* loop) { return loop->isa == isa && loop->of == of; });
  if (found != std::end(kLoops)) return *found;
#endif
  // What an ISA does not bring itself, the next lower one does on the same CPU.
  if (isa == Isa::kAmx) return find_loop(Isa::kAvx512Vnni, of);
  if (isa == Isa::kAvxVnni) return find_loop(Isa::kAvx2, of);
  if (of == PeakOf::kBF16) return find_loop(isa, PeakOf::kF32);
  return nullptr;
}

// Work per second, the best of `n_runs` of `run`.
double best_rate(int n_runs, double work, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int i = 0; i < n_runs; ++i) {
    const auto begin = Clock::now();
    run();
    best = std::max(best, work / std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

// Each thread's best run, summed: all run at once, but a neighbour need not leave all alone at once.
double measure(base::ThreadPool& pool, const PeakLoop& loop) {
  const double iterations_per_second = best_rate(3, 1, [&] { loop.run(10'000); }) * 10'000;
  const auto n_iterations = static_cast<int64_t>(iterations_per_second * 0.002);
  std::vector<double> best(static_cast<size_t>(pool.n_threads()), 0);
  for (int round = 0; round < 40; ++round) {
    pool.parallel_for(pool.n_threads(), [&](int64_t, int thread) {
      double& own = best[static_cast<size_t>(thread)];
      own = std::max(
          own, best_rate(1, static_cast<double>(n_iterations) * loop.ops, [&] { loop.run(n_iterations); }));
    });
  }
  return std::accumulate(best.begin(), best.end(), 0.0);
}

// n a multiple of 16.
uint64_t combine(const uint64_t* words, int64_t n) {
  std::array<uint64_t, 16> sums = {};
  for (int64_t i = 0; i < n; i += 16) {
    for (size_t j = 0; j < sums.size(); ++j) sums[j] ^= words[i + static_cast<int64_t>(j)];
  }
  uint64_t all = 0;
  for (const uint64_t sum : sums) all ^= sum;
  return all;
}

}  // namespace

double measured_peak(base::ThreadPool& pool, Isa isa, PeakOf of) {
  static std::map<std::pair<const PeakLoop*, int>, double> measured;
  const PeakLoop* loop = find_loop(isa, of);
  if (loop == nullptr) return 0;
  const auto key = std::pair(loop, pool.n_threads());
  if (const auto known = measured.find(key); known != measured.end()) return known->second;
  return measured[key] = measure(pool, *loop);
}

double measured_read_bandwidth(base::ThreadPool& pool, int64_t buffer_bytes, int n_runs) {
  constexpr int64_t kPieceWords = int64_t{1}
                                  << 19;  // 4 MiB, so that a thread that is kept waiting costs little
  const int64_t n_pieces = buffer_bytes / (kPieceWords * int64_t{sizeof(uint64_t)});
  tensor::Buffer buffer(static_cast<size_t>(n_pieces * kPieceWords) * sizeof(uint64_t));
  auto* words = buffer.as<uint64_t>();
  const auto piece = [&](int64_t i) { return words + i * kPieceWords; };
  pool.parallel_for(n_pieces, [&](int64_t i, int) {
    std::memset(piece(i), 1, static_cast<size_t>(kPieceWords) * sizeof(uint64_t));
  });
  std::vector<uint64_t> kept(static_cast<size_t>(n_pieces));
  const double rate = best_rate(n_runs, static_cast<double>(buffer.size_bytes()), [&] {
    pool.parallel_for(n_pieces,
                      [&](int64_t i, int) { kept[static_cast<size_t>(i)] = combine(piece(i), kPieceWords); });
  });
  volatile uint64_t keep = std::accumulate(kept.begin(), kept.end(), uint64_t{0});  // or the reads are dead
  (void)keep;
  return rate;
}

}  // namespace octavo::kernels
