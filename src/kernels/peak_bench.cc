#include "kernels/peak_bench.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <tuple>

namespace octavo::kernels {

#if defined(__x86_64__)
extern const PeakLoop kPeakS8Avx2, kPeakF32Avx2;
#endif

namespace {

const PeakLoop* find_loop(Isa isa, PeakOf of) {
#if defined(__x86_64__)
  static const PeakLoop* const kLoops[] = {&kPeakS8Avx2, &kPeakF32Avx2};
  const auto* found = std::find_if(std::begin(kLoops), std::end(kLoops),
                                   [&](const PeakLoop* loop) { return loop->isa == isa && loop->of == of; });
  if (found != std::end(kLoops)) return *found;
#endif
  return nullptr;
}

double measure(base::ThreadPool& pool, const PeakLoop& loop) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kIterations = 3'000'000;  // some 10 ms
  double best = 0;
  for (int attempt = 0; attempt < 7; ++attempt) {
    const auto begin = Clock::now();
    pool.parallel_for(pool.n_threads(), [&](int64_t, int) { loop.run(kIterations); });
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::max(best, static_cast<double>(kIterations) * loop.ops * pool.n_threads() / seconds);
  }
  return best;
}

}  // namespace

double measured_peak(base::ThreadPool& pool, Isa isa, PeakOf of) {
  static std::map<std::tuple<Isa, PeakOf, int>, double> measured;
  const PeakLoop* loop = find_loop(isa, of);
  if (loop == nullptr) return 0;
  const auto key = std::tuple(isa, of, pool.n_threads());
  if (const auto known = measured.find(key); known != measured.end()) return known->second;
  return measured[key] = measure(pool, *loop);
}

}  // namespace octavo::kernels
