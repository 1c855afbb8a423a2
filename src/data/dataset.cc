// From a data set's name to token samples: the one place where calibration text meets the tokenizer. Which
// samples are taken depends on the data and the seed alone. Called by api/quantize.cc.
#include "data/dataset.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/file.h"
#include "base/text_format.h"
#include "data/ceval.h"
#include "data/jsonl.h"
#include "data/random.h"

namespace octavo::data {
namespace {

void cut(std::vector<int32_t>& ids, int64_t length_tokens) {
  if (static_cast<int64_t>(ids.size()) > length_tokens) ids.resize(static_cast<size_t>(length_tokens));
}

Result<std::vector<TokenSample>> ceval_samples(const DatasetSpec& spec, const SampleOptions& options,
                                               const text::Tokenizer& tokenizer) {
  OCTAVO_ASSIGN_OR_RETURN(const std::vector<CevalPrompt> prompts,
                          load_ceval(spec.path, spec.split, options.n_samples, options.seed));
  std::vector<TokenSample> samples;
  for (const CevalPrompt& prompt : prompts) {
    OCTAVO_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.encode(prompt.text, true));
    cut(ids, options.length_tokens);
    samples.push_back({.ids = std::move(ids), .subject = prompt.subject});
  }
  return samples;
}

// Windows of the text end to end, each begun with what the tokenizer puts before a text (BOS, where it adds
// one).
Result<std::vector<TokenSample>> text_samples(const DatasetSpec& spec, const SampleOptions& options,
                                              const text::Tokenizer& tokenizer) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string text, base::read_file(spec.path));
  auto encoded = tokenizer.encode(text, false);
  if (!encoded.ok()) return encoded.status().with_context(base::quoted(spec.path));
  const std::vector<int32_t>& ids = *encoded;
  OCTAVO_ASSIGN_OR_RETURN(std::vector<int32_t> prefix, tokenizer.encode("", true));
  cut(prefix, options.length_tokens - 1);
  const size_t window = static_cast<size_t>(options.length_tokens) - prefix.size();
  size_t n_windows = ids.size() / window;
  if (n_windows == 0 && !ids.empty()) n_windows = 1;  // a short text is one short sample
  std::vector<size_t> order(n_windows);
  std::iota(order.begin(), order.end(), size_t{0});
  Random(options.seed).shuffle(order);
  order.resize(std::min(order.size(), static_cast<size_t>(options.n_samples)));
  std::vector<TokenSample> samples;
  for (const size_t index : order) {
    TokenSample sample{.ids = prefix, .subject = {}};
    const size_t begin = index * window, end = std::min(begin + window, ids.size());
    sample.ids.insert(sample.ids.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
                      ids.begin() + static_cast<std::ptrdiff_t>(end));
    samples.push_back(std::move(sample));
  }
  return samples;
}

Result<std::vector<int32_t>> encode_row(const JsonlRow& row, const text::Tokenizer& tokenizer,
                                        const text::ChatTemplate* chat_template) {
  if (row.variables.is_null()) return tokenizer.encode(row.text, true);
  if (chat_template == nullptr) return invalid_argument("messages, but the model has no chat template");
  OCTAVO_ASSIGN_OR_RETURN(const std::string rendered, chat_template->render(row.variables));
  return tokenizer.encode(rendered, !chat_template->starts_with_bos(rendered));
}

Result<std::vector<TokenSample>> jsonl_samples(const DatasetSpec& spec, const SampleOptions& options,
                                               const text::Tokenizer& tokenizer,
                                               const text::ChatTemplate* chat_template) {
  OCTAVO_ASSIGN_OR_RETURN(std::vector<JsonlRow> rows, read_jsonl(spec.path));
  Random(options.seed).shuffle(rows);
  std::vector<TokenSample> samples;
  for (const JsonlRow& row : rows) {
    if (static_cast<int64_t>(samples.size()) == options.n_samples) break;
    auto ids = encode_row(row, tokenizer, chat_template);
    if (!ids.ok())
      return ids.status().with_context(base::quoted(spec.path) + " line " + std::to_string(row.line));
    cut(*ids, options.length_tokens);
    if (!ids->empty()) samples.push_back({.ids = std::move(ids).value(), .subject = {}});
  }
  return samples;
}

}  // namespace

Result<DatasetSpec> parse_dataset_spec(const std::string& spec) {
  constexpr std::array<std::pair<const char*, DatasetSpec::Kind>, 3> kKinds = {
      {{"ceval", DatasetSpec::Kind::kCeval},
       {"text", DatasetSpec::Kind::kText},
       {"jsonl", DatasetSpec::Kind::kJsonl}}};
  const std::string expected = "expected ceval:FOLDER[@SPLIT], text:FILE or jsonl:FILE";
  const size_t colon = spec.find(':');
  const std::string kind = spec.substr(0, colon);
  const auto* known =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& entry) { return kind == entry.first; });
  if (colon == std::string::npos || known == kKinds.end()) {
    const std::vector<std::string> names = {"ceval", "text", "jsonl"};
    const std::string near = colon == std::string::npos ? "" : base::nearest(kind, names);
    return invalid_argument("calibration data " + base::quoted(spec) + ": " + expected +
                            (near.empty() ? "" : "; did you mean " + near + ":?"));
  }
  DatasetSpec parsed{.kind = known->second, .path = spec.substr(colon + 1), .split = {}};
  if (parsed.kind == DatasetSpec::Kind::kCeval) {
    const size_t at = parsed.path.rfind('@');
    if (at != std::string::npos) {
      parsed.split = parsed.path.substr(at + 1);
      parsed.path.resize(at);
      if (parsed.split != "dev" && parsed.split != "val" && parsed.split != "test") {
        return invalid_argument("calibration data " + base::quoted(spec) + ": split " +
                                base::quoted(parsed.split) + " is none of dev, val, test");
      }
    }
  }
  if (parsed.path.empty())
    return invalid_argument("calibration data " + base::quoted(spec) + ": " + expected);
  return parsed;
}

Result<std::vector<TokenSample>> load_samples(const DatasetSpec& spec, const SampleOptions& options,
                                              const text::Tokenizer& tokenizer,
                                              const text::ChatTemplate* chat_template) {
  if (options.n_samples < 1) {
    return invalid_argument("calibration samples: expected at least 1, found " +
                            std::to_string(options.n_samples));
  }
  if (options.length_tokens < 2) {
    return invalid_argument("tokens of a calibration sample: expected at least 2, found " +
                            std::to_string(options.length_tokens));
  }
  auto samples = spec.kind == DatasetSpec::Kind::kCeval ? ceval_samples(spec, options, tokenizer)
                 : spec.kind == DatasetSpec::Kind::kText
                     ? text_samples(spec, options, tokenizer)
                     : jsonl_samples(spec, options, tokenizer, chat_template);
  if (samples.ok() && samples->empty())
    return corrupt(base::quoted(spec.path) + " holds no calibration text");
  return samples;
}

}  // namespace octavo::data
