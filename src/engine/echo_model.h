#pragma once
// A model without weights: its output is the prompt, then the end of text. Whatever stands before and behind
// a model (servers, clients, the scheduler) can be tested with it: requests are scheduled, paged and sampled
// as always, and the answer is read back from the pages.
#include <chrono>
#include <vector>

#include "engine/step_model.h"

namespace octavo::engine {

class EchoModel : public StepModel {
 public:
  struct Options {
    int64_t n_vocab = 0;
    int64_t max_context = 0;
    int32_t end_token = 0;                   // what follows the whole prompt; below n_vocab
    std::chrono::microseconds step_time{0};  // that each step takes at least
    int n_threads = 1;
  };
  explicit EchoModel(const Options& options) : options_(options), pool_(options.n_threads) {}

  int64_t n_vocab() const override { return options_.n_vocab; }
  int64_t max_context() const override { return options_.max_context; }
  base::ThreadPool& pool() override { return pool_; }
  base::FairMutex& mutex() override { return mutex_; }
  uint64_t page_bytes() const override { return kPageTokens * sizeof(int32_t); }
  void make_pages(int64_t n_pages) override;
  void copy_page(int32_t from, int32_t to) override;
  Status forward(std::span<const StepSequence> batch, const Progress* progress) override;
  void logits(std::span<const int64_t> rows, float* logits) override;

 private:
  Options options_;
  base::ThreadPool pool_;
  base::FairMutex mutex_;
  std::vector<int32_t> pages_;  // [n_pages, kPageTokens] tokens: this model's keys and values
  std::vector<int32_t> next_;   // what follows each row of the last batch
};

}  // namespace octavo::engine
