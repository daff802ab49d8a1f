// What the handles made from one context share, and what every entry point does before and after the core's work.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>

#include "base/host.h"
#include "base/limits.h"
#include "data/pool.h"
#include "image/decode.h"
#include "model/aten.h"

namespace udi {

struct Context {
  Host host;
  at::Device device = at::kCPU;
  std::optional<c10::Stream> stream;  // of the caller's, on the device; none: LibTorch's current one
  int num_threads = 0;            // 0: one a core
  FormatLimits formats;           // of weights and archives
  DecodeLimits decode;            // of images in memory
  int threads = 1;                // of LibTorch, in a thread that asks for no other number
  std::atomic<bool> busy{false};  // a call is inside: the lane
  const pid_t owner = getpid();

  // Threads for images in memory, started when first asked for.
  WorkerPool& workers() {
    if (!workers_) workers_ = std::make_unique<WorkerPool>(num_threads);
    return *workers_;
  }

 private:
  std::unique_ptr<WorkerPool> workers_;
};

// Whether the context may be used, or freed, here: after a fork its threads and locks are gone.
inline bool in_own_process(const Context& context) { return context.owner == getpid(); }

}  // namespace udi

struct udi_context {
  std::shared_ptr<udi::Context> context;
};
