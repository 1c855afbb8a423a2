// octavo inspect: what a model folder or a safetensors file is, and whether it is whole.
#include "octavo/inspect.h"

#include "base/json.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/diagnostics.h"

namespace octavo::cli {

namespace {

class Inspect : public Command {
 public:
  void declare(Options& options) override {
    options.positional("PATH", path_, "A model folder or a safetensors file");
    options.flag("--json", json_, "One JSON object instead of text");
    options.epilogue("Exits with 1 and the reason when something is broken.");
  }

  int run() override {
    const auto report = inspect(path_);
    if (!report.ok()) {
      if (json_) {
        base::Json out;
        out.set("schema_version", 1);
        out.set("path", path_);
        out.set("healthy", false);
        out.set("reason", report.status().message());
        if (const Status printed = print(out.dump(2) + "\n"); !printed.ok()) return report_error(printed);
      }
      return report_error(report.status());
    }
    const Status printed = print(json_ ? report->json + "\n" : report->text);
    if (!printed.ok()) return report_error(printed);
    return report->healthy ? kExitOk : report_error(corrupt(report->reason));
  }

 private:
  std::string path_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_inspect() { return std::make_unique<Inspect>(); }

}  // namespace octavo::cli
