#pragma once
// The work of `octavo run-batch`: the lines of a batch file through the engine, many at once, into a journal;
// and the journal into the answers' file.
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/engine.h"

#include "base/file.h"
#include "base/json.h"
#include "cli/batch_journal.h"

namespace octavo::cli {

// What decides the answers beside the requests.
struct BatchIdentity {
  base::Json settings;     // the model's fingerprint, the seed, …: a difference forbids going on
  int64_t created = 0;     // seconds since 1970, when the batch began
  std::string model_name;  // as answers name it

  base::Json to_json() const;
  static Result<BatchIdentity> from_json(const base::Json& header);
  uint64_t key() const;  // of `settings`
  // The answer's id: the same for the same line of the same batch, whenever it runs.
  std::string answer_id(uint64_t line, uint64_t line_hash) const;
};

struct BatchOptions {
  uint64_t seed = 0;                      // of requests that bring none, with their line
  std::vector<std::string> served_names;  // requests may name no other model; empty: any
  int64_t n_under_way = 1;                // requests at once
};

// Lines that hold a request. Every answer in `journal` must be to the line that stands there now.
Result<int64_t> count_requests(const base::InputFile& input, const BatchJournal& journal);

struct BatchCounts {
  std::atomic<int64_t> n_answered{0}, n_output_tokens{0};  // of this run
};

// Answers every request that `journal` has no answer to. kCancelled after Ctrl-C; what was finished is then
// in the journal, as after any other error.
Status run_batch(Engine& engine, const base::InputFile& input, BatchJournal& journal,
                 const BatchIdentity& identity, const BatchOptions& options, Progress& progress,
                 BatchCounts& counts);

// Writes all answers in the order of the requests, under `path` once they are whole.
Status write_answers(const base::InputFile& input, const BatchJournal& journal, const std::string& path);

// Whether `path` holds the answer to every request of this batch and no more, and how many failed.
struct AnswersCheck {
  bool is_whole = false;
  int64_t n_answers = 0, n_failed = 0;
};
Result<AnswersCheck> check_answers(const base::InputFile& input, const BatchIdentity& identity,
                                   const std::string& path);

}  // namespace octavo::cli
