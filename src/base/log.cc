// The one place that holds the program's log sink; log() may be called from any thread.
#include "base/log.h"

#include <memory>
#include <mutex>

namespace octavo::base {

namespace {
std::mutex sink_mutex;
std::shared_ptr<const LogSink> current_sink;
}  // namespace

void set_log_sink(LogSink sink) {
  auto shared = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  const std::lock_guard lock(sink_mutex);
  current_sink = std::move(shared);
}

void log(LogLevel level, std::string_view message) {
  std::shared_ptr<const LogSink> sink;
  {
    const std::lock_guard lock(sink_mutex);
    sink = current_sink;
  }
  if (sink) (*sink)(level, message);  // outside the lock: a sink may log or replace itself
}

}  // namespace octavo::base
