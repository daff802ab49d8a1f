// Streams and marks in them for any device, without a header of CUDA. On the CPU work is done when its call returns:
// everything here is empty.
#pragma once

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>

#include <optional>

#include "model/aten.h"

namespace udi {

inline c10::Stream current_stream(at::Device device) {
  if (device.is_cpu()) return c10::Stream(c10::Stream::DEFAULT, device);
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

// One of LibTorch's pool, for what runs beside the current one.
inline c10::Stream pool_stream(at::Device device) {
  if (device.is_cpu()) return c10::Stream(c10::Stream::DEFAULT, device);
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

// A place in the order of a stream's work.
class Mark {
 public:
  // Behind all that is queued now.
  void set(const c10::Stream& stream) {
    if (stream.device_type() == c10::kCPU) return;
    if (!event_) event_.emplace(stream.device_type());
    event_->record(stream);
  }
  // What is queued in `stream` from now on waits for it. Nothing, where it was never set.
  void hold(const c10::Stream& stream) const {
    if (event_) event_->block(stream);
  }
  // The calling thread waits for it.
  void wait() const {
    if (event_) event_->synchronize();
  }

 private:
  std::optional<c10::Event> event_;
};

}  // namespace udi
