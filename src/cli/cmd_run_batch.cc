// octavo run-batch: a file of requests in OpenAI's batch format to a file of answers, one each, in the same
// order. What is answered is kept in OUT.partial, so the same command goes on where an earlier one ended.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "octavo/engine.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/text_format.h"
#include "cli/args.h"
#include "cli/batch_journal.h"
#include "cli/batch_runner.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/progress_bar.h"
#include "openai/output.h"
#include "openai/sampling_fields.h"

namespace octavo::cli {

namespace {

namespace fs = std::filesystem;

class RunBatch : public Command {
 public:
  void declare(Options& options) override {
    options.positional("MODEL", model_, "A model folder");
    options.option("-i,--input-file", "IN", input_path_, "Requests, one JSON object a line");
    options.required();
    options.option("-o,--output-file", "OUT", output_path_, "Answers, one JSON object a line, in IN's order");
    options.required();
    options.option("--max-num-seqs", "N", engine_.max_num_seqs, "Outputs that run at once; default: 64");
    options.option("--max-num-batched-tokens", "N", max_num_batched_tokens_,
                   "Tokens of one step; longer prompts run in chunks; default: 512, or --max-num-seqs");
    options.option("--kv-cache-dtype", "TYPE", engine_.kv_cache_dtype,
                   "Keys and values: auto (bf16, or fp32 for such a model) or int8; default: auto");
    options.option("--lm-head-dtype", "TYPE", engine_.lm_head_dtype,
                   "lm_head: auto (as the model has it) or int8 (half of bf16's reads); default: auto");
    options.option("--kv-cache-memory-bytes", "N", engine_.kv_cache_bytes,
                   "Default: 4 GiB or half of what is available");
    options.option("--max-model-len", "N", engine_.max_context,
                   "Tokens of prompt and output; default: the model's");
    options.option("--seed", "N", batch_.seed,
                   "With its line, the seed of a request that brings none; default: 0");
    options.option("--served-model-name", "NAME", batch_.served_names,
                   "What requests may call the model; may be given several times; default: anything");
    options.threads(engine_.n_threads);
    options.epilogue(
        "A line of IN is {\"custom_id\": \"…\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\", "
        "\"body\": {…}}\n"
        "or the same with \"/v1/completions\". Its line in OUT holds the response, or an error in its "
        "place;\n"
        "then the exit code is 1. Answers are kept in OUT.partial as they are finished: after a crash, "
        "Ctrl-C\n"
        "or a full disk the same command answers what is left. OUT appears when all are answered.");
  }

  int run() override {
    const Status status = work();
    if (status.ok()) return n_failed_ == 0 ? kExitOk : kExitFailure;
    return status.code() == StatusCode::kInvalidArgument && !started_
               ? report_usage(status.message(), "run-batch")
               : report_error(status);
  }

 private:
  Status work() {
    OCTAVO_RETURN_IF_ERROR(check_options());
    started_ = true;
    OCTAVO_ASSIGN_OR_RETURN(const base::InputFile input, base::InputFile::open(input_path_));
    OCTAVO_ASSIGN_OR_RETURN(BatchJournal journal, BatchJournal::open(output_path_ + ".partial"));
    if (journal.n_cut_bytes() > 0) {
      std::fprintf(stderr, "octavo: %s ended within an answer; its last %s are cut\n",
                   base::quoted(journal.path()).c_str(), base::format_bytes(journal.n_cut_bytes()).c_str());
    }
    OCTAVO_RETURN_IF_ERROR(count_requests(input, journal).status());  // before a large model is loaded
    ProgressBar loading;
    OCTAVO_ASSIGN_OR_RETURN(Engine engine, Engine::open(model_, engine_, &loading));
    OCTAVO_ASSIGN_OR_RETURN(const BatchIdentity identity, identify(engine, journal));
    if (base::path_exists(output_path_)) return accept_answers(input, identity, journal);
    if (journal.is_new()) OCTAVO_RETURN_IF_ERROR(journal.begin(identity.to_json()));
    const int64_t n_before = journal.n_answers();
    BatchCounts counts;
    ProgressBar bar;  // of its own: its time left begins here
    const auto start = std::chrono::steady_clock::now();
    const Status answered = run_batch(engine, input, journal, identity, batch_, bar, counts);
    if (!answered.ok()) {
      std::fprintf(stderr, "octavo: %lld answers are kept in %s; the same command goes on from there\n",
                   static_cast<long long>(journal.n_answers()), base::quoted(journal.path()).c_str());
      return answered;
    }
    OCTAVO_RETURN_IF_ERROR(write_answers(input, journal, output_path_));
    OCTAVO_RETURN_IF_ERROR(journal.remove());
    n_failed_ = journal.n_failed();
    summarize(journal, n_before, counts.n_output_tokens,
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return {};
  }

  Status check_options() {
    constexpr int64_t kMaxSeqs = 1024;
    constexpr int64_t kMaxOutputs =
        openai::kMaxChoices * int64_t{openai::kMaxUnderWay};  // of one call at once
    if (engine_.max_num_seqs < 1 || engine_.max_num_seqs > kMaxSeqs) {
      return invalid_argument("--max-num-seqs: expected 1 to " + std::to_string(kMaxSeqs) + ", found " +
                              std::to_string(engine_.max_num_seqs));
    }
    if (input_path_ == "-" || output_path_ == "-") {
      return invalid_argument(
          "a batch goes from file to file, so that it can be resumed; '-' cannot be read twice");
    }
    if (output_path_.empty() || output_path_.back() == '/' || base::is_folder(output_path_)) {
      return invalid_argument("--output-file: expected a file, found " + base::quoted(output_path_));
    }
    if (base::path_exists(output_path_) && !fs::is_regular_file(output_path_)) {
      return invalid_argument("--output-file: expected a regular file or none, found " +
                              base::quoted(output_path_));
    }
    for (const std::string& written : {output_path_, output_path_ + ".partial"}) {
      std::error_code ignored;
      if (fs::equivalent(input_path_, written, ignored)) {
        return invalid_argument("--output-file: " + base::quoted(written) + " is the input itself");
      }
    }
    // While a request's prompt is read, others run: half as many again wait for a place.
    batch_.n_under_way = engine_.max_num_seqs + (engine_.max_num_seqs + 1) / 2;
    engine_.max_num_batched_tokens =
        max_num_batched_tokens_.value_or(std::max(engine_.max_num_batched_tokens, engine_.max_num_seqs));
    engine_.max_waiting = batch_.n_under_way * kMaxOutputs;
    return {};
  }

  // What turns messages to tokens and fills in for sampling fields: it is not in the model's fingerprint.
  std::string text_files_hash() const {
    base::Hash hash;
    for (const char* name :
         {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"}) {
      const auto text = base::read_file((fs::path(model_) / name).string());
      hash.add(text.ok() ? std::string_view(*text) : std::string_view()).add(uint64_t{text.ok()});
    }
    return base::hex(hash.value());
  }

  // What this command would answer with, and where a journal was begun: what that was.
  Result<BatchIdentity> identify(const Engine& engine, const BatchJournal& journal) const {
    BatchIdentity identity;
    identity.settings.set("model", engine.model().fingerprint);
    identity.settings.set("text-files", text_files_hash());
    identity.settings.set("seed", std::to_string(batch_.seed));
    identity.settings.set("max-model-len", engine.model().max_context);
    identity.settings.set("kv-cache-dtype", engine_.kv_cache_dtype);
    // Only where it is not the default, which earlier batches were begun with.
    if (engine_.lm_head_dtype != "auto") identity.settings.set("lm-head-dtype", engine_.lm_head_dtype);
    identity.created = std::time(nullptr);
    identity.model_name = batch_.served_names.empty() ? model_ : batch_.served_names.front();
    if (journal.is_new()) return identity;
    auto begun = BatchIdentity::from_json(journal.header());
    if (!begun.ok()) return begun.status().with_context(journal.path());
    for (const auto& [name, value] : identity.settings.as_object()) {
      const base::Json* before = begun->settings.find(name);
      if (before != nullptr && *before == value) continue;
      return invalid_argument(base::quoted(journal.path()) + " was begun with " + name + " " +
                              (before == nullptr ? "unset" : before->dump()) + ", this command has " +
                              value.dump() + "; give the same, or remove it to begin anew");
    }
    return begun;
  }

  // OUT is there: it is what this command would write, or it is somebody else's.
  Status accept_answers(const base::InputFile& input, const BatchIdentity& identity, BatchJournal& journal) {
    OCTAVO_ASSIGN_OR_RETURN(const AnswersCheck check, check_answers(input, identity, output_path_));
    if (!check.is_whole) {
      return invalid_argument(base::quoted(output_path_) + " exists and does not hold the answers to " +
                              base::quoted(input_path_) +
                              " with this model and these options; remove it, or choose another output");
    }
    n_failed_ = check.n_failed;
    std::fprintf(stderr, "octavo: %s is whole: %lld answers, %lld of them errors; nothing to do\n",
                 base::quoted(output_path_).c_str(), static_cast<long long>(check.n_answers),
                 static_cast<long long>(check.n_failed));
    return journal.is_new() ? Status() : journal.remove();
  }

  void summarize(const BatchJournal& journal, int64_t n_before, int64_t n_tokens, double seconds) const {
    std::string earlier;
    if (n_before > 0) earlier = " (" + std::to_string(n_before) + " by earlier runs)";
    std::fprintf(
        stderr, "octavo: %lld requests answered%s, %lld with an error; %lld tokens in %s (%.1f tok/s)\n",
        static_cast<long long>(journal.n_answers()), earlier.c_str(),
        static_cast<long long>(journal.n_failed()), static_cast<long long>(n_tokens),
        base::format_duration(seconds).c_str(), seconds > 0 ? static_cast<double>(n_tokens) / seconds : 0);
  }

  std::string model_, input_path_, output_path_;
  EngineOptions engine_;
  BatchOptions batch_;
  std::optional<int64_t> max_num_batched_tokens_;
  int64_t n_failed_ = 0;
  bool started_ = false;
};

}  // namespace

std::unique_ptr<Command> make_run_batch() { return std::make_unique<RunBatch>(); }

}  // namespace octavo::cli
