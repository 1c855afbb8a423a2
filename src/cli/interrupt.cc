// SIGINT, SIGTERM and SIGHUP set a flag and restore their default, so a second one always works. Installed by
// the commands that take long; a blocked read returns EINTR (no SA_RESTART) and sees the flag.
#include "cli/interrupt.h"

#include <csignal>

namespace octavo::cli {

namespace {
volatile std::sig_atomic_t flag = 0;
void on_signal(int) { flag = 1; }
}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction inherited {};
  if (sigaction(SIGHUP, nullptr, &inherited) == 0 && inherited.sa_handler == SIG_IGN) return;  // nohup
  sigaction(SIGHUP, &action, nullptr);
}

bool interrupted() { return flag != 0; }

}  // namespace octavo::cli
