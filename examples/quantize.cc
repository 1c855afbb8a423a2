// Makes a float model folder small:  quantize SOURCE TARGET [CALIBRATION]
// With calibration text ("ceval:DIR", "text:FILE", "jsonl:FILE") by SmoothQuant, without by plain rounding.
#include <cstdio>

#include "octavo/octavo.h"

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs("usage: quantize SOURCE TARGET [CALIBRATION]\n", stderr), 2;
  octavo::QuantizeOptions options;
  options.source = argv[1];
  options.target = argv[2];
  options.recipe = argc > 3 ? "w8a8" : "rtn-w8a8";
  options.calibration = argc > 3 ? argv[3] : "";
  const octavo::Result<octavo::QuantizeReport> report = octavo::quantize(options);
  if (!report.ok()) return std::fprintf(stderr, "%s\n", report.status().message().c_str()), 1;
  std::printf("%s: %.1f MB became %.1f MB in %.1f s\n", argv[2],
              static_cast<double>(report->source_bytes) / 1e6,
              static_cast<double>(report->target_bytes) / 1e6, report->seconds);
}
