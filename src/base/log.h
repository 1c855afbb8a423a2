#pragma once
// Warnings from the library to whoever runs it. The library never prints: the program installs a sink.
#include <functional>
#include <string>
#include <string_view>

namespace octavo::base {
enum class LogLevel { kInfo, kWarning };
using LogSink = std::function<void(LogLevel, std::string_view message)>;
void set_log_sink(LogSink sink);  // default: nothing is written
void log(LogLevel level, std::string_view message);
inline void log_warning(std::string_view message) { log(LogLevel::kWarning, message); }
inline void log_info(std::string_view message) { log(LogLevel::kInfo, message); }
}  // namespace octavo::base
