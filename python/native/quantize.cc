// octavo::quantize and inspect for Python. Called by octavo.ptq and octavo.LLM (a recipe name as
// `quantization`).
#include "octavo/quantize.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "octavo/inspect.h"

#include "bindings.h"
#include "errors.h"
#include "interrupt.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace octavo::python {

namespace {

nb::dict quantize_into(QuantizeOptions options, const std::string& format, nb::object progress) {
  options.format = unwrap(parse_output_format(format));
  InterruptibleProgress reporter(std::move(progress));
  auto result = without_gil([&] { return quantize(options, &reporter); });
  reporter.check(result.status());
  const QuantizeReport report = unwrap(std::move(result));
  nb::dict out;
  out["plan"] = report.plan;
  out["source_bytes"] = report.source_bytes;
  out["target_bytes"] = report.target_bytes;
  out["seconds"] = report.seconds;
  out["report"] = report.json;
  return out;
}

}  // namespace

void bind_quantize(nb::module_& module) {
  module.def(
      "quantize",
      [](std::string source, std::string target, std::string recipe, std::string recipe_text,
         std::string calibration, std::vector<std::vector<int32_t>> token_samples, int64_t n_samples,
         int64_t length_tokens, uint64_t seed, int n_threads, const std::string& format, bool overwrite,
         bool dry_run, nb::object progress) {
        QuantizeOptions options;
        options.source = std::move(source);
        options.target = std::move(target);
        options.recipe = std::move(recipe);
        options.recipe_text = std::move(recipe_text);
        options.calibration = std::move(calibration);
        options.token_samples = std::move(token_samples);
        options.n_samples = n_samples;
        options.length_tokens = length_tokens;
        options.seed = seed;
        options.n_threads = n_threads;
        options.overwrite = overwrite;
        options.dry_run = dry_run;
        return quantize_into(std::move(options), format, std::move(progress));
      },
      "source"_a, "target"_a, "recipe"_a = "w8a8", "recipe_text"_a = "", "calibration"_a = "",
      "token_samples"_a = nb::list(), "n_samples"_a = 128, "length_tokens"_a = 512, "seed"_a = 0,
      "n_threads"_a = 0, "format"_a = "compressed-tensors", "overwrite"_a = false, "dry_run"_a = false,
      "progress"_a.none() = nb::none(),
      nb::sig("def quantize(source: str, target: str, recipe: str = 'w8a8', recipe_text: str = '', "
              "calibration: str = '', token_samples: collections.abc.Sequence[collections.abc.Sequence[int]] "
              "= [], n_samples: int = 128, length_tokens: int = 512, seed: int = 0, n_threads: int = 0, "
              "format: str = 'compressed-tensors', overwrite: bool = False, dry_run: bool = False, "
              "progress: collections.abc.Callable[[str, int, int], None] | None = None) -> dict[str, "
              "typing.Any]"),
      "Quantizes the model folder `source` into `target`. Returns plan, source_bytes, target_bytes, seconds "
      "and "
      "report\n(quant_report.json's text). progress(what, done, total) is called between steps.");
  module.def("quantize_presets", &quantize_presets, "Names of the recipes that `recipe` knows.");
  module.def(
      "inspect",
      [](const std::string& path) {
        const InspectReport report = unwrap(without_gil([&] { return inspect(path); }));
        nb::dict out;
        out["healthy"] = report.healthy;
        out["reason"] = report.reason;
        out["text"] = report.text;
        out["json"] = report.json;
        return out;
      },
      "path"_a, nb::sig("def inspect(path: str) -> dict[str, typing.Any]"),
      "What a model folder or safetensors file is: healthy, reason (when not), text for people, json for "
      "programs.");
}

}  // namespace octavo::python
