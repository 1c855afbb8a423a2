// octavo selftest: every kernel of this CPU against the reference, and what the system allows.
#include <cstdio>

#include "octavo/selftest.h"

#include "base/json.h"
#include "base/text_format.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"

namespace octavo::cli {

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

bool has_amx(const SelftestReport& report) { return !report.isas.empty() && report.isas.back() == "amx"; }

std::string to_text(const SelftestReport& report) {
  char line[160];
  const std::string memory = base::format_bytes(report.available_bytes);
  std::string text = "isa           " + report.isa + " (this CPU has " + joined(report.isas) + ")\n";
  text += std::string("amx           ") +
          (has_amx(report) ? "permitted" : "not on this CPU, or not permitted") + "\n";
  text += "cores         " + std::to_string(report.cores);
  if (report.cgroup_cores) {
    std::snprintf(line, sizeof(line), " (the control group allows %.2f)", *report.cgroup_cores);
    text += line;
  }
  text += "\nmemory        " + memory + " available";
  if (report.cgroup_free_bytes) {
    text += " (the control group allows " + base::format_bytes(*report.cgroup_free_bytes) + ")";
  }
  text += "\nhuge pages    " + report.huge_pages + "\n\n";
  for (const SelftestReport::Kernel& kernel : report.kernels) {
    std::snprintf(line, sizeof(line), "%-14s %-11s %lld cases, %s\n", kernel.operation.c_str(),
                  kernel.isa.c_str(), static_cast<long long>(kernel.n_cases),
                  kernel.n_different == 0 ? "the reference's bits"
                                          : (std::to_string(kernel.n_different) + " DIFFERENT").c_str());
    text += line;
  }
  return text + (report.passed ? "passed\n" : "FAILED\n");
}

base::Json to_json(const SelftestReport& report) {
  base::Json out;
  out.set("schema_version", 1);
  out.set("isa", report.isa);
  base::JsonArray isas;
  for (const std::string& isa : report.isas) isas.emplace_back(isa);
  out.set("isas", std::move(isas));
  out.set("amx_permitted", has_amx(report));
  out.set("cores", report.cores);
  if (report.cgroup_cores) out.set("cgroup_cores", *report.cgroup_cores);
  if (report.cgroup_free_bytes) out.set("cgroup_free_bytes", static_cast<int64_t>(*report.cgroup_free_bytes));
  out.set("available_bytes", static_cast<int64_t>(report.available_bytes));
  out.set("huge_pages", report.huge_pages);
  base::JsonArray kernels;
  for (const SelftestReport::Kernel& kernel : report.kernels) {
    base::Json entry;
    entry.set("operation", kernel.operation);
    entry.set("isa", kernel.isa);
    entry.set("n_cases", kernel.n_cases);
    entry.set("n_different", kernel.n_different);
    kernels.push_back(std::move(entry));
  }
  out.set("kernels", std::move(kernels));
  out.set("passed", report.passed);
  return out;
}

class Selftest : public Command {
 public:
  void declare(Options& options) override {
    options.flag("--json", json_, "One JSON object instead of text");
    options.epilogue("Exit code 1 when a kernel gives another bit than the reference.");
  }
  int run() override {
    const Result<SelftestReport> report = run_selftest();
    if (!report.ok()) return report_error(report.status());
    const Status printed = print(json_ ? to_json(*report).dump(2) + "\n" : to_text(*report));
    if (!printed.ok()) return report_error(printed);
    return report->passed ? kExitOk : kExitFailure;
  }

 private:
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_selftest() { return std::make_unique<Selftest>(); }

}  // namespace octavo::cli
