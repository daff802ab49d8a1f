#include "signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace cli {
namespace {

std::atomic<udi_context*> context{nullptr};
std::atomic<int> received{0};
static_assert(std::atomic<udi_context*>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler may touch them");

void handle(int number) {
  udi_context* running = context.load();
  if (!running || received.exchange(number) != 0) ::_exit(128 + number);
  udi_context_cancel(running);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is a failed write, which is reported
}

void set_signal_context(udi_context* running) { context.store(running); }

int received_signal() { return received.load(); }

}  // namespace cli
