// octavo bench: how fast the machine is, how fast a model runs on it, and which share of the limit that is.
#include <algorithm>
#include <charconv>
#include <cstdio>

#include "octavo/bench.h"

#include "base/json.h"
#include "base/text_format.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"

namespace octavo::cli {

namespace {

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[256];
  std::snprintf(buffer, sizeof(buffer), pattern, args...);
  return buffer;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == separator) {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

Status parse_number(const char* name, const std::string& word, int64_t& into) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), into);
  if (error == std::errc() && end == word.data() + word.size()) return {};
  return invalid_argument(std::string(name) + ": expected integers between commas, found " +
                          base::quoted(word));
}

// "128,512" to numbers; an empty text to none.
Status parse_list(const char* name, const std::optional<std::string>& text, std::vector<int64_t>& into) {
  if (!text) return {};
  into.clear();
  if (text->empty()) return {};
  for (const std::string& word : split(*text, ',')) {
    OCTAVO_RETURN_IF_ERROR(parse_number(name, word, into.emplace_back()));
  }
  return {};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

base::Json to_json(const BenchMachine& machine) {
  base::Json out;
  out.set("cpu", machine.cpu);
  out.set("threads", machine.threads);
  out.set("memory_bytes", static_cast<int64_t>(machine.memory_bytes));
  out.set("read_gb_per_s", machine.read_gb_per_s);
  base::JsonArray peaks;
  for (const BenchMachine::Peak& peak : machine.peaks) {
    base::Json entry;
    entry.set("isa", peak.isa);
    entry.set("int8_tops", peak.int8_tops);
    entry.set("bf16_tflops", peak.bf16_tflops);
    entry.set("f32_tflops", peak.f32_tflops);
    peaks.push_back(std::move(entry));
  }
  out.set("peaks", std::move(peaks));
  return out;
}

base::Json to_json(const BenchRow& row) {
  base::Json out;
  out.set("work", row.work);
  out.set("shape", row.shape);
  out.set("dtype", row.dtype);
  out.set("isa", row.isa);
  out.set("kernel", row.kernel);
  out.set("threads", row.threads);
  out.set("m", row.m);
  out.set("batch", row.batch);
  out.set("context", row.context);
  out.set("value", row.value);
  out.set("unit", row.unit);
  out.set("limit", row.limit);
  out.set("limit_of", row.limit_of);
  out.set("share", row.share);
  out.set("min", row.min);
  out.set("max", row.max);
  out.set("runs", row.n_runs);
  if (row.extrapolated_from > 0) out.set("extrapolated_from_layers", row.extrapolated_from);
  return out;
}

base::Json to_json(const BenchReport& report) {
  base::Json out;
  out.set("schema_version", 1);
  out.set("machine", to_json(report.machine));
  out.set("isa", report.isa);
  base::JsonArray rows;
  for (const BenchRow& row : report.rows) rows.push_back(to_json(row));
  out.set("rows", std::move(rows));
  if (report.profiles.empty()) return out;
  base::JsonArray profiles;
  for (const BenchProfile& profile : report.profiles) {
    base::Json entry;
    entry.set("work", profile.work);
    entry.set("m", profile.m);
    entry.set("batch", profile.batch);
    entry.set("context", profile.context);
    base::Json milliseconds;
    for (const auto& part : profile.parts) milliseconds.set(part.operation, part.milliseconds);
    entry.set("milliseconds", std::move(milliseconds));
    profiles.push_back(std::move(entry));
  }
  out.set("profiles", std::move(profiles));
  return out;
}

// What the row was run on: "m 512", "batch 16", "at 2048".
std::string subject(const BenchRow& row) {
  std::string text;
  if (row.work == "gemm" || row.work == "attention" || row.work == "prefill" || row.work == "rules") {
    text = "m " + std::to_string(row.m);
  }
  if (row.work == "decode") text = "batch " + std::to_string(row.batch);
  if (row.work == "engine")
    return std::to_string(row.batch) + " of " + std::to_string(row.m) + "+" +
           std::to_string(row.context - row.m);
  if (row.work == "quantize") text = std::to_string(row.m) + " tokens";
  if (row.work == "prefix") text = std::to_string(row.batch) + " of " + std::to_string(row.m) + " uncached";
  if (row.context > 0 || row.work == "decode") text += " at " + std::to_string(row.context);
  return text;
}

// A line an operation, what takes longest first.
std::string to_text(const BenchProfile& profile) {
  double total = 0;
  for (const auto& part : profile.parts) total += part.milliseconds;
  const std::string m = profile.work != "decode" ? "m " + std::to_string(profile.m)
                                                 : "batch " + std::to_string(profile.batch) + " at " +
                                                       std::to_string(profile.context);
  std::string text = format("\n%s %s: %.2f ms%s\n", profile.work.c_str(), m.c_str(), total,
                            profile.work == "quantize" ? "" : " a step");
  std::vector<BenchProfile::Part> parts = profile.parts;
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.milliseconds > b.milliseconds; });
  for (const auto& part : parts) {
    text += format("  %-15s %10.3f ms %5.1f %%\n", part.operation.c_str(), part.milliseconds,
                   total > 0 ? 100 * part.milliseconds / total : 0.0);
  }
  return text;
}

std::string to_text(const BenchReport& report) {
  const BenchMachine& machine = report.machine;
  std::string text = format("machine     %s, %d threads, %s of memory\n", machine.cpu.c_str(),
                            machine.threads, base::format_bytes(machine.memory_bytes).c_str());
  text += format("read limit  %.1f GB/s\n", machine.read_gb_per_s);
  for (const BenchMachine::Peak& peak : machine.peaks) {
    text += format("%-11s int8 %.3f TOPS, bf16 %.3f, f32 %.3f TFLOPS\n", peak.isa.c_str(), peak.int8_tops,
                   peak.bf16_tflops, peak.f32_tflops);
  }
  if (report.rows.empty()) return text;
  text += format("\n%-10s %-22s %-5s %-11s %-17s %12s %-19s %s\n", "work", "shape", "dtype", "isa", "",
                 "median", " least … most", "share of the limit");
  int64_t extrapolated_from = 0;
  for (const BenchRow& row : report.rows) {
    std::string shape = row.shape;
    if (const size_t slash = shape.find_last_of('/'); row.work != "attention" && slash != std::string::npos) {
      shape = shape.substr(slash + 1);
    }
    const char* pattern = row.unit == "TOPS" ? "%.3f" : row.value < 10 ? "%.2f" : "%.1f";
    const std::string value = format(pattern, row.value) + " " + row.unit;
    const std::string spread = "(" + format(pattern, row.min) + "…" + format(pattern, row.max) + ")";
    const std::string share =
        row.limit > 0 ? format("%3.0f %% of %s", 100 * row.share, format(pattern, row.limit).c_str()) + " " +
                            row.unit + ", " + row.limit_of
                      : "";
    const char* mark = row.extrapolated_from > 0 ? "*" : "";
    extrapolated_from = std::max(extrapolated_from, row.extrapolated_from);
    text += format("%-10s %-22s %-5s %-11s %-17s %12s%s %-20s %s  %s\n", row.work.c_str(), shape.c_str(),
                   row.dtype.c_str(), row.isa.c_str(), subject(row).c_str(), value.c_str(), mark,
                   spread.c_str(), share.c_str(), row.kernel.c_str());
  }
  if (extrapolated_from > 0) {
    text += format("\n* extrapolated from %lld layers to all of the shape's; the rest as measured\n",
                   static_cast<long long>(extrapolated_from));
  }
  for (const BenchProfile& profile : report.profiles) text += to_text(profile);
  return text;
}

class Bench : public Command {
 public:
  void declare(Options& options) override {
    options.optional_positional("MODEL", options_.model, "A model folder");
    options.option("--synthetic", "SHAPE", options_.synthetic,
                   "Random weights instead: " + joined(bench_shape_names()));
    options.option("--dtype", "TYPE", options_.dtype, "Of synthetic linears: int8 or bf16; default: int8");
    options.option("--layers", "N", options_.n_layers,
                   "Make only so many synthetic layers; figures are extrapolated and marked");
    options.option("--rows", "LIST", rows_,
                   "What to measure, of " + joined(bench_row_names()) +
                       "; default: all but engine, prefix, quantize, rules and, of a synthetic shape, load");
    options.option("--prefill", "LIST", prefills_, "Prompt lengths; default: 128,512,2048,8192");
    options.option("--context", "LIST", contexts_,
                   "Tokens before a decode step of one sequence; default: 0,512,2048,8192");
    options.option("--batch", "LIST", batches_, "Sequences of a decode step; default: 2,4,8,16,32");
    options.option("--requests", "LIST", requests_,
                   "Rows 'engine': requests that arrive together; default: 1,4,16,64");
    options.option("--request-tokens", "LIST", request_tokens_,
                   "Their prompt and output; default: 128+64,1024+128");
    options.option("--calibration", "SAMPLESxTOKENS", calibration_,
                   "Rows 'quantize': samples and tokens of each; default: 64x512");
    options.option("--kv-cache-dtype", "TYPE", options_.kv_cache_dtype, "auto or int8; default: auto");
    options.option("--lm-head-dtype", "TYPE", options_.lm_head_dtype,
                   "lm_head: auto (as the model has it) or int8 (half of bf16's reads); default: auto");
    options.option("--chunk", "N", options_.max_step_tokens, "Rows of a prefill step; default: 512");
    options.option("--repetitions", "N", options_.repetitions,
                   "Runs of each measurement; default: 5, fewer of what takes over 20 s");
    options.threads(options_.n_threads);
    options.flag("--profile", options_.profile,
                 "Also where the time of a step goes, for each row of prefill and decode, and of quantizing");
    options.flag("--json", json_, "One JSON object instead of text");
    options.flag("--print-config", print_config_, "Only print the config.json of the synthetic shape");
    options.epilogue(
        "Lists are numbers or names between commas; an empty one leaves its rows out. Rows state the "
        "median,\n"
        "the least and the most of the runs, and the share of a limit that the same run has measured:\n"
        "prefill, gemm   the arithmetic of the linears at the ISA's peak\n"
        "decode          reading weights, keys and values, or the arithmetic where that is slower\n"
        "attention       its products at the bf16 peak, or reading keys and values\n"
        "quantize        the layers' products in bf16 over the calibration tokens, at the peak\n"
        "load            a parallel read of the files\n"
        "rules           the same work without the rule (docs/NUMERICS.md) that fixes its order; then what\n"
        "                that is of a prefill and of a decode step\n"
        "prefix          the bare model loop on what is not cached, and 1.3 decode steps\n"
        "engine          the bare model loop at the same batch");
  }

  int run() override {
    if (print_config_) {
      const Result<std::string> config = bench_shape_config(options_.synthetic);
      if (!config.ok()) return report_usage(config.status().message(), "bench");
      const Status printed = print(*config);
      return printed.ok() ? kExitOk : report_error(printed);
    }
    if (const Status status = check_options(); !status.ok()) return report_usage(status.message(), "bench");
    catch_interrupts();
    Result<BenchReport> report = [&] {
      ProgressBar bar;
      return run_bench(options_, &bar);
    }();
    if (!report.ok()) return report_refusal(report.status());
    const Status printed = print(json_ ? to_json(*report).dump(2) + "\n" : to_text(*report));
    return printed.ok() ? kExitOk : report_error(printed);
  }

 private:
  Status check_options() {
    if (options_.model.empty() == options_.synthetic.empty()) {
      return invalid_argument("expected MODEL or --synthetic SHAPE, and not both");
    }
    if (rows_) options_.rows = split(*rows_, ',');
    OCTAVO_RETURN_IF_ERROR(parse_list("--prefill", prefills_, options_.prefills));
    OCTAVO_RETURN_IF_ERROR(parse_list("--context", contexts_, options_.contexts));
    OCTAVO_RETURN_IF_ERROR(parse_list("--batch", batches_, options_.batches));
    OCTAVO_RETURN_IF_ERROR(parse_list("--requests", requests_, options_.requests));
    OCTAVO_RETURN_IF_ERROR(parse_calibration());
    return parse_request_tokens();
  }

  Status parse_calibration() {
    if (!calibration_) return {};
    const std::vector<std::string> parts = split(*calibration_, 'x');
    if (parts.size() != 2) {
      return invalid_argument("--calibration: expected SAMPLESxTOKENS, such as 64x512, found " +
                              base::quoted(*calibration_));
    }
    OCTAVO_RETURN_IF_ERROR(parse_number("--calibration", parts[0], options_.calibration_samples));
    return parse_number("--calibration", parts[1], options_.calibration_tokens);
  }

  Status parse_request_tokens() {
    if (!request_tokens_) return {};
    options_.request_tokens.clear();
    for (const std::string& word : split(*request_tokens_, ',')) {
      std::vector<int64_t> pair;
      const std::vector<std::string> parts = split(word, '+');
      for (const std::string& part : parts) {
        OCTAVO_RETURN_IF_ERROR(parse_number("--request-tokens", part, pair.emplace_back()));
      }
      if (pair.size() != 2) {
        return invalid_argument("--request-tokens: expected PROMPT+OUTPUT, such as 128+64, found " +
                                base::quoted(word));
      }
      options_.request_tokens.emplace_back(pair[0], pair[1]);
    }
    return {};
  }

  BenchOptions options_;
  std::optional<std::string> rows_, prefills_, contexts_, batches_, requests_, request_tokens_, calibration_;
  bool json_ = false, print_config_ = false;
};

}  // namespace

std::unique_ptr<Command> make_bench() { return std::make_unique<Bench>(); }

}  // namespace octavo::cli
