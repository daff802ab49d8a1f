// The fence around every entry point: no exception leaves, one thread at a time enters, and the caller's thread finds
// its LibTorch, OpenMP and floating-point state as it left them. Elsewhere a catch only cleans up and throws on.
#pragma once

#include <omp.h>

#include <cfenv>

#include "ATen/ThreadLocalState.h"
#include "api/context.h"
#include "c10/core/StreamGuard.h"
#include "c10/util/Exception.h"

namespace udi {

// What a cancelled context does with a new call: refuse it, or, where other ranks wait for this one, let it tell them.
enum class IfCancelled { kRefuse, kEnter };

// Held while a call is inside its context. UDI_E_STATE: another one is, or this is a forked child; UDI_E_CANCELLED.
class Lane {
 public:
  explicit Lane(Context& context, IfCancelled if_cancelled = IfCancelled::kRefuse);

 private:
  // torch's warnings go to the caller's log instead of stderr.
  struct Warnings : c10::WarningHandler {
    explicit Warnings(const Host& host) : host(host) {}
    void process(const c10::Warning& warning) override;
    const Host& host;
  };
  struct Busy {
    explicit Busy(Context& context);
    ~Busy() { context.busy.store(false, std::memory_order_release); }
    Context& context;
  };
  struct FloatingPoint {
    FloatingPoint();
    ~FloatingPoint() { std::fesetenv(&found); }
    std::fenv_t found;
  };
  // LibTorch sets the number for good when a thread first asks it for one.
  struct OpenMp {
    explicit OpenMp(int most);
    ~OpenMp() { omp_set_num_threads(found); }
    const int found = omp_get_max_threads();
  };

  Busy busy_;
  FloatingPoint floating_point_;
  OpenMp open_mp_;
  at::ThreadLocalStateGuard thread_state_;
  c10::OptionalStreamGuard stream_;
  Warnings warnings_;
  c10::WarningUtils::WarningHandlerGuard warning_guard_;
};

// Writes the exception being handled into error, and its detail into the log. context may be null.
udi_status report(const Context* context, udi_error* error) noexcept;

// Runs body; an error about many things has each of them logged while the lane is held.
template <class Body>
void logging_lines(const Context& context, Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    for (const std::string& line : e.lines) context.host.log(UDI_LOG_ERROR, line);
    throw;
  }
}

// Runs body inside context; a null context (an argument was NULL: body will say so) has no lane.
template <class Body>
udi_status guard(const std::shared_ptr<Context>& context, udi_error* error, Body&& body,
                 IfCancelled if_cancelled = IfCancelled::kRefuse) noexcept {
  try {
    if (context) {
      const Lane lane(*context, if_cancelled);
      logging_lines(*context, body);
    } else {
      body();
    }
    return UDI_OK;
  } catch (...) {
    return report(context.get(), error);
  }
}

// Runs body; what it fails with says where: "images[3]: ...".
template <class Body>
void naming(const std::string& where, Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    throw Error(e.status, where + ": " + e.message, e.native_code);
  }
}

// The context of a handle; null for NULL.
template <class Handle>
std::shared_ptr<Context> context_of(const Handle* handle) noexcept {
  return handle ? handle->context : nullptr;
}

// What every _free does. A forked child leaks: what it would join or unlock is not there.
template <class Handle>
void release(Handle* handle) noexcept {
  if (handle && in_own_process(*handle->context)) delete handle;
}

}  // namespace udi
