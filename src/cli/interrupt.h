#pragma once
// Ctrl-C, SIGTERM and SIGHUP as a flag that long work polls: the first asks to stop, the second ends the
// process.
namespace octavo::cli {
void catch_interrupts();
bool interrupted();
}  // namespace octavo::cli
