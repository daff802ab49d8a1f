// What this machine has and what this process takes of it.
#pragma once

#include <cstdint>

#include "model/aten.h"

namespace udi {

// Bytes; 0 where the system does not say.
int64_t resident_bytes();       // of this process, now
int64_t peak_resident_bytes();  // of this process, since start or reset
void reset_peak_resident();     // best effort
int64_t available_bytes();      // that could be had without swapping, cgroup limits included

// Bytes that tensors hold on an accelerator, by LibTorch's allocator: now, and at most since the reset. -1 where it keeps
// no count.
int64_t device_bytes(at::Device device);
int64_t peak_device_bytes(at::Device device);
void reset_peak_device(at::Device device);

// The rate of the best of several square float32 matrix products on all threads, in operations per second.
double sgemm_peak();

}  // namespace udi
