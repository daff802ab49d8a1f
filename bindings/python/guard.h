/* Ctrl-C during a call. Python notes a signal and runs its handler when the call is over, which may be hours. While a call
 * runs, SIGINT therefore goes to us: it cancels the call's context, the call ends within one micro-batch, and the caller
 * (udi/_call.py) raises KeyboardInterrupt. For the main thread alone, where Python handles signals, and for its default
 * handler alone: one of the program's own may not want the call to end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

typedef struct {
  int active; /* the rest is meant by nobody else */
  struct sigaction before;
} udi_python_guard;

/* Of the one call that is guarded. Written while SIGINT is not ours; read by the handler on the thread that wrote it. */
static udi_context *guarded;
static volatile sig_atomic_t interrupted;
static pthread_t main_thread;

static void on_interrupt(int number) {
  const int code = errno;
  if (pthread_equal(pthread_self(), main_thread)) {
    interrupted = 1;
    udi_context_cancel(guarded);
  } else {
    pthread_kill(main_thread, number); /* where the call cannot end, and its context not go away, meanwhile */
  }
  errno = code;
}

/* Does nothing inside another guarded call: a callback's own calls. */
static void udi_python_guard_begin(udi_python_guard *guard, udi_context *context) {
  struct sigaction action;
  if (guarded) return;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_interrupt;
  main_thread = pthread_self();
  interrupted = 0;
  guarded = context;
  guard->active = sigaction(SIGINT, &action, &guard->before) == 0;
  if (!guard->active) guarded = NULL;
}

/* Whether SIGINT came since. */
static int udi_python_guard_end(udi_python_guard *guard) {
  if (!guard->active) return 0;
  sigaction(SIGINT, &guard->before, NULL);
  guard->active = 0;
  guarded = NULL;
  return interrupted;
}
