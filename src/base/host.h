// What the program around us lends to a running call: where lines go, whether it wants us to stop, what it cares for.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/error.h"

namespace udi {

struct Host {
  std::atomic<bool> cancelled{false};
  std::function<void(udi_log_level, const std::string&)> sink;  // may be empty; callers serialise, see log()
  const Host* outer = nullptr;  // of a host within another: what cancels that one cancels this one
  bool deterministic = false;  // tokens are the same to the bit in any batch and on any number of threads

  // One whole line. Safe from worker threads: the sink does its own locking.
  template <class... Parts>
  void log(udi_log_level level, const Parts&... parts) const {
    if (sink) sink(level, text(parts...));
  }
  void check_cancel() const {
    if (cancelled.load(std::memory_order_relaxed)) fail(UDI_E_CANCELLED, "cancelled by the caller");
    if (outer) outer->check_cancel();
  }
};

}  // namespace udi
