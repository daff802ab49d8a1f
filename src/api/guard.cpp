#include "api/guard.h"

#include <algorithm>
#include <new>
#include <string_view>
#include <thread>

#include "ATen/Parallel.h"
#include "front/error.h"

namespace udi {

namespace {

// The state of a thread on which nobody changed anything (autocast, inference mode, hooks, ...), gradients off. Kept
// for good: destructors of statics would run after LibTorch's.
const at::ThreadLocalState& fresh_thread_state() {
  static const at::ThreadLocalState* state = [] {
    at::ThreadLocalState* fresh = nullptr;
    std::thread([&fresh] { fresh = new at::ThreadLocalState(); }).join();
    fresh->set_grad_mode(false);
    return fresh;
  }();
  return *state;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The core checks its arguments: what LibTorch still refuses is memory, a device, or our mistake.
udi_status status_of(const c10::Error& e) {
  const std::string_view what = e.what_without_backtrace();
  if (dynamic_cast<const c10::OutOfMemoryError*>(&e) || contains(what, "can't allocate memory")) return UDI_E_MEMORY;
  if (contains(what, "CUDA") || contains(what, "CUBLAS") || contains(what, "CUDNN")) return UDI_E_DEVICE;
  return UDI_E_INTERNAL;
}

}  // namespace

Lane::Busy::Busy(Context& context) : context(context) {
  check(in_own_process(context), UDI_E_STATE, "the context was made before a fork and does not work in the child");
  check(!context.busy.exchange(true, std::memory_order_acquire), UDI_E_STATE,
        "the context is busy: another thread, or a callback's caller, is inside it");
}

Lane::FloatingPoint::FloatingPoint() {
  std::fegetenv(&found);
  std::fesetenv(FE_DFL_ENV);
}

// As LibTorch has it: as many as the thread asks for, and no more than it would start by itself.
Lane::OpenMp::OpenMp(int most) {
  at::get_num_threads();
  omp_set_num_threads(std::min(found, most));
}

Lane::Lane(Context& context, IfCancelled if_cancelled)
    : busy_(context),
      open_mp_(context.threads),
      thread_state_(fresh_thread_state()),
      warnings_(context.host),
      warning_guard_(&warnings_) {
  if (context.stream) stream_.reset_stream(*context.stream);
  if (if_cancelled == IfCancelled::kRefuse) context.host.check_cancel();
}

void Lane::Warnings::process(const c10::Warning& warning) { host.log(UDI_LOG_WARN, "LibTorch: ", warning.msg()); }

udi_status report(const Context* context, udi_error* error) noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return front_write_error(error, e.status, e.native_code, e.what());
  } catch (const c10::Error& e) {
    try {
      if (context) context->host.log(UDI_LOG_DEBUG, e.what());
    } catch (...) {  // no memory for the backtrace: the message alone, then
    }
    return front_write_error(error, status_of(e), 0, e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return front_write_error(error, UDI_E_MEMORY, 0, "out of memory");
  } catch (const std::exception& e) {
    return front_write_error(error, UDI_E_INTERNAL, 0, e.what());
  } catch (...) {
    return front_write_error(error, UDI_E_INTERNAL, 0, "an exception of unknown type");
  }
}

}  // namespace udi
