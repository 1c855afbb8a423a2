// A batch from file to file. Each worker thread holds one request: it reads the next line, submits it, pulls
// its streams and writes its answer; the engine puts all requests under way into its steps. Called by
// cmd_run_batch.cc.
#include "cli/batch_runner.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/hash.h"
#include "base/text_format.h"
#include "cli/line_reader.h"
#include "openai/batch_line.h"

namespace octavo::cli {

using base::Json;

namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(100);

struct Task {
  uint64_t line = 0, line_hash = 0;
  openai::BatchLine request;
};

// Two hashes of a text that are not equal by chance.
std::pair<uint64_t, uint64_t> name_key(const std::string& name) {
  return {base::Hash().add(name).value(), base::Hash().add(uint64_t{1}).add(name).value()};
}

class BatchRun {
 public:
  BatchRun(Engine& engine, const base::InputFile& input, BatchJournal& journal, const BatchIdentity& identity,
           const BatchOptions& options, Progress& progress, BatchCounts& counts)
      : engine_(engine),
        reader_(input),
        journal_(journal),
        identity_(identity),
        options_(options),
        progress_(progress),
        counts_(counts),
        stop_(*this) {}

  Status run(int64_t n_left);

 private:
  // Asks the engine to end what is under way.
  class Stop : public Progress {
   public:
    explicit Stop(const BatchRun& run) : run_(run) {}
    void update(std::string_view, int64_t, int64_t) override {}
    bool cancelled() const override { return run_.stopping_ || run_.progress_.cancelled(); }

   private:
    const BatchRun& run_;
  };

  void work();
  Result<std::optional<Task>> next_task();
  Result<std::optional<Task>> next_open_task();
  // What is wrong with a request in this batch, though it is right alone.
  Status check_place(const Task& task);
  Result<Json> answer(Task& task);
  Status record(const Task& task, const Result<Json>& response);
  void end_with(const Status& status);
  void show_progress(int64_t n_left, double seconds);

  Engine& engine_;
  LineReader reader_;
  BatchJournal& journal_;
  const BatchIdentity& identity_;
  const BatchOptions& options_;
  Progress& progress_;
  BatchCounts& counts_;
  Stop stop_;

  std::mutex input_mutex_;                                   // reader_ and names_
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> names_;  // custom_ids seen: their line
  std::mutex journal_mutex_;
  std::mutex state_mutex_;  // status_ and n_working_
  std::condition_variable worker_ended_;
  Status status_;
  int64_t n_working_ = 0;
  std::atomic<bool> stopping_{false};
};

void BatchRun::end_with(const Status& status) {
  const std::lock_guard lock(state_mutex_);
  if (status_.ok()) status_ = status;
  stopping_ = true;
}

Status BatchRun::check_place(const Task& task) {
  const openai::BatchLine& request = task.request;
  if (!request.custom_id) return {};
  const auto [place, is_first] = names_.emplace(name_key(*request.custom_id), task.line);
  if (is_first) return {};
  return invalid_argument("custom_id: " + base::quoted(*request.custom_id) + " names the request of line " +
                          std::to_string(place->second) + " already; each request needs its own");
}

// The next line with a request, answered or not: names are looked at in all of them.
Result<std::optional<Task>> BatchRun::next_task() {
  Line line;
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(const bool is_there, reader_.next(line));
    if (!is_there) return std::optional<Task>();
    if (line.is_blank()) continue;
    Task task{.line = line.number, .line_hash = line.hash, .request = {}};
    if (line.is_too_long) {
      task.request.call = invalid_argument("the line is longer than " + base::format_bytes(line.text.size()));
    } else {
      task.request = openai::parse_batch_line(line.text);
    }
    if (const Status status = check_place(task); !status.ok()) task.request.call = status;
    return std::optional(std::move(task));
  }
}

Result<std::optional<Task>> BatchRun::next_open_task() {
  const std::lock_guard lock(input_mutex_);
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(std::optional<Task> task, next_task());
    if (!task) return task;
    const std::lock_guard journal_lock(journal_mutex_);
    if (journal_.find(task->line) == nullptr) return task;
  }
}

Result<Json> BatchRun::answer(Task& task) {
  openai::SharedFields* shared = task.request.shared();
  const std::vector<std::string>& served = options_.served_names;
  if (shared != nullptr && !shared->model.empty() && !served.empty() &&
      std::find(served.begin(), served.end(), shared->model) == served.end()) {
    return not_found("model: " + base::quoted(shared->model) + " is not served here; expected " +
                     base::quoted(served.front()));
  }
  const uint64_t own_seed = base::Hash().add(options_.seed).add(task.line).add(task.line_hash).value();
  openai::set_default_seed(task.request, own_seed);
  const openai::ResponseHead head{.id = identity_.answer_id(task.line, task.line_hash),
                                  .created = identity_.created,
                                  .model = identity_.model_name,
                                  .system_fingerprint = "fp_" + base::hex(identity_.key())};
  const openai::Watch watch{.progress = &stop_, .on_delta = [this](const Delta& delta) {
                              counts_.n_output_tokens += static_cast<int64_t>(delta.token_ids.size());
                            }};
  return openai::answer_call(engine_, task.request, head, watch);
}

Status BatchRun::record(const Task& task, const Result<Json>& response) {
  const std::string id = identity_.answer_id(task.line, task.line_hash);
  std::string text = openai::batch_answer_json(task.request, id, response).dump();
  bool has_failed = !response.ok();
  if (text.size() > BatchJournal::kMaxAnswerBytes) {
    const Status refused =
        invalid_argument("the answer is longer than " + base::format_bytes(BatchJournal::kMaxAnswerBytes) +
                         "; ask for fewer log-probabilities");
    text = openai::batch_answer_json(task.request, id, refused).dump();
    has_failed = true;
  }
  const std::lock_guard lock(journal_mutex_);
  OCTAVO_RETURN_IF_ERROR(journal_.append(task.line, task.line_hash, has_failed, text));
  ++counts_.n_answered;
  return {};
}

// What another run may answer, and so must not become the answer of this one.
bool is_machines_fault(const Status& status) {
  return status.code() == StatusCode::kResourceExhausted || status.code() == StatusCode::kCancelled ||
         status.code() == StatusCode::kIo;
}

void BatchRun::work() {
  try {
    while (!stop_.cancelled()) {
      auto task = next_open_task();
      if (!task.ok()) return end_with(task.status());
      if (!task->has_value()) return;
      const Result<Json> response = answer(**task);
      if (!response.ok() && stop_.cancelled()) return;  // an answer that was broken off is none
      if (is_machines_fault(response.status())) return end_with(response.status());
      if (const Status status = record(**task, response); !status.ok()) return end_with(status);
    }
  } catch (const std::bad_alloc&) {
    end_with(resource_exhausted("out of memory; fewer requests at once (--max-num-seqs) need less"));
  }
}

void BatchRun::show_progress(int64_t n_left, double seconds) {
  const int64_t n_answered = counts_.n_answered;
  const auto n_tokens = static_cast<double>(counts_.n_output_tokens);
  char what[120];
  std::snprintf(what, sizeof what, "%lld of %lld requests, %.1f tok/s", static_cast<long long>(n_answered),
                static_cast<long long>(n_left), seconds > 0 ? n_tokens / seconds : 0);
  progress_.update(what, n_answered, n_left);
}

Status BatchRun::run(int64_t n_left) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::vector<std::thread> workers;
  const int64_t n_workers = std::min(options_.n_under_way, n_left);
  workers.reserve(static_cast<size_t>(n_workers));
  n_working_ = n_workers;
  const auto leave = [this] {
    const std::lock_guard lock(state_mutex_);
    --n_working_;
    worker_ended_.notify_one();
  };
  for (int64_t i = 0; i < n_workers; ++i) {
    try {
      workers.emplace_back([this, leave] {
        work();
        leave();
      });
    } catch (const std::system_error& error) {  // the system's thread limit: those that started do the work
      if (workers.empty())
        end_with(resource_exhausted(std::string("cannot start a thread: ") + error.what()));
      leave();
    }
  }
  {
    std::unique_lock lock(state_mutex_);
    while (!worker_ended_.wait_for(lock, kProgressInterval, [this] { return n_working_ == 0; })) {
      lock.unlock();
      show_progress(n_left, seconds());
      lock.lock();
    }
  }
  for (std::thread& worker : workers) worker.join();
  const Status synced = journal_.sync();
  OCTAVO_RETURN_IF_ERROR(status_);
  OCTAVO_RETURN_IF_ERROR(synced);
  if (progress_.cancelled() && counts_.n_answered < n_left) return cancelled("stopped");
  return {};
}

}  // namespace

Json BatchIdentity::to_json() const {
  Json header;
  header.set("identity", settings);
  header.set("created", created);
  header.set("model", model_name);
  return header;
}

Result<BatchIdentity> BatchIdentity::from_json(const Json& header) {
  BatchIdentity identity;
  const Json* settings = header.find("identity");
  if (settings == nullptr || !settings->is_object()) return corrupt("the header has no 'identity'");
  identity.settings = *settings;
  OCTAVO_ASSIGN_OR_RETURN(identity.created, base::get_int(header, "created"));
  OCTAVO_ASSIGN_OR_RETURN(identity.model_name, base::get_string(header, "model"));
  return identity;
}

uint64_t BatchIdentity::key() const { return base::Hash().add(settings.dump()).value(); }

std::string BatchIdentity::answer_id(uint64_t line, uint64_t line_hash) const {
  return base::hex(base::Hash().add(key()).add(line).add(line_hash).value());
}

Result<int64_t> count_requests(const base::InputFile& input, const BatchJournal& journal) {
  LineReader reader(input);
  Line line;
  int64_t n_requests = 0;
  int64_t n_answered = 0;
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(const bool is_there, reader.next(line));
    if (!is_there) break;
    const BatchJournal::Place* place = journal.find(line.number);
    if (place != nullptr && place->line_hash != line.hash) {
      return invalid_argument(base::quoted(journal.path()) + " holds the answer to another line " +
                              std::to_string(line.number) + " than " + base::quoted(input.path()) +
                              " has; the input was changed or is another one: restore it, or remove " +
                              base::quoted(journal.path()) + " to begin anew");
    }
    n_answered += place != nullptr ? 1 : 0;
    n_requests += line.is_blank() ? 0 : 1;
  }
  if (n_answered == journal.n_answers()) return n_requests;
  return invalid_argument(base::quoted(journal.path()) + " holds an answer to line " +
                          std::to_string(journal.last_line()) + ", " + base::quoted(input.path()) +
                          " ends before; the input was cut or is another one: restore it, or remove " +
                          base::quoted(journal.path()) + " to begin anew");
}

Status run_batch(Engine& engine, const base::InputFile& input, BatchJournal& journal,
                 const BatchIdentity& identity, const BatchOptions& options, Progress& progress,
                 BatchCounts& counts) {
  OCTAVO_ASSIGN_OR_RETURN(const int64_t n_requests, count_requests(input, journal));
  BatchRun run(engine, input, journal, identity, options, progress, counts);
  return run.run(n_requests - journal.n_answers());
}

Status write_answers(const base::InputFile& input, const BatchJournal& journal, const std::string& path) {
  constexpr size_t kBufferBytes = size_t{1} << 20;
  OCTAVO_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::create(path));
  std::string buffer;
  LineReader reader(input);
  Line line;
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(const bool is_there, reader.next(line));
    if (is_there && line.is_blank()) continue;
    if (is_there) {
      const BatchJournal::Place* place = journal.find(line.number);
      if (place == nullptr) return internal_error("line " + std::to_string(line.number) + " has no answer");
      OCTAVO_ASSIGN_OR_RETURN(const std::string answer, journal.read(*place));
      buffer.append(answer).push_back('\n');
    }
    if (!is_there || buffer.size() >= kBufferBytes) {
      OCTAVO_RETURN_IF_ERROR(file.write(buffer.data(), buffer.size()));
      buffer.clear();
    }
    if (!is_there) return file.commit();
  }
}

Result<AnswersCheck> check_answers(const base::InputFile& input, const BatchIdentity& identity,
                                   const std::string& path) {
  OCTAVO_ASSIGN_OR_RETURN(const base::InputFile file, base::InputFile::open(path));
  LineReader requests(input), answers(file, BatchJournal::kMaxAnswerBytes);
  Line request, answer;
  AnswersCheck check;
  for (;;) {
    OCTAVO_ASSIGN_OR_RETURN(const bool is_there, requests.next(request));
    if (is_there && request.is_blank()) continue;
    OCTAVO_ASSIGN_OR_RETURN(const bool is_answered, answers.next(answer));
    if (!is_there || !is_answered) {
      check.is_whole = is_there == is_answered;
      return check;
    }
    const auto object = base::parse_json(answer.text, {.max_bytes = BatchJournal::kMaxAnswerBytes,
                                                       .max_nodes = BatchJournal::kMaxAnswerBytes});
    const Json* id = object.ok() ? object->find("id") : nullptr;
    const std::string expected = "batch_req-" + identity.answer_id(request.number, request.hash);
    if (id == nullptr || *id != Json(expected)) return check;
    const Json* error = object->find("error");
    check.n_failed += error != nullptr && !error->is_null() ? 1 : 0;
    ++check.n_answers;
  }
}

}  // namespace octavo::cli
