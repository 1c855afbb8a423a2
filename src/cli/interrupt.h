#pragma once
// Ctrl-C and SIGTERM as a flag that long work polls: the first asks to stop, the second ends the process.
namespace octavo::cli {
void catch_interrupts();
bool interrupted();
}  // namespace octavo::cli
