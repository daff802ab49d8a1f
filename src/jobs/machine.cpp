#include "jobs/machine.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

namespace udi {
namespace {

// "VmRSS:     1234 kB" of a file of such lines.
int64_t kilobytes_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) == 0) return std::atoll(line.c_str() + key.size()) * 1024;
  }
  return 0;
}

// A file that holds one number, or "max".
int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : 0;
}

// Null where tensors of the device come from an allocator that does not count.
c10::DeviceAllocator* counting_allocator(at::Device device) {
  return device.is_cpu() ? nullptr : dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
}

c10::CachingAllocator::Stat allocated(c10::DeviceAllocator& allocator, at::Device device) {
  constexpr auto kAll = size_t(c10::CachingAllocator::StatType::AGGREGATE);
  return allocator.getDeviceStats(std::max<c10::DeviceIndex>(0, device.index())).allocated_bytes[kAll];
}

}  // namespace

int64_t resident_bytes() { return kilobytes_of("/proc/self/status", "VmRSS:"); }
int64_t peak_resident_bytes() { return kilobytes_of("/proc/self/status", "VmHWM:"); }
void reset_peak_resident() { std::ofstream("/proc/self/clear_refs") << "5"; }

int64_t available_bytes() {
  int64_t available = kilobytes_of("/proc/meminfo", "MemAvailable:");
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  if (limit > 0) available = std::min(available, std::max<int64_t>(0, limit - used));
  return available;
}

int64_t device_bytes(at::Device device) {
  c10::DeviceAllocator* const allocator = counting_allocator(device);
  return allocator ? allocated(*allocator, device).current : -1;
}

int64_t peak_device_bytes(at::Device device) {
  c10::DeviceAllocator* const allocator = counting_allocator(device);
  return allocator ? allocated(*allocator, device).peak : -1;
}

void reset_peak_device(at::Device device) {
  if (auto* const allocator = counting_allocator(device)) {
    allocator->resetPeakStats(std::max<c10::DeviceIndex>(0, device.index()));
  }
}

double sgemm_peak() {
  double best = 0;
  for (const int64_t size : {1024, 2048}) {
    const at::Tensor a = at::rand({size, size}), b = at::rand({size, size});
    at::Tensor c = at::mm(a, b);
    for (int round = 0; round < 5; ++round) {
      const auto start = std::chrono::steady_clock::now();
      at::mm_out(c, a, b);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      best = std::max(best, 2.0 * double(size) * double(size) * double(size) / seconds);
    }
  }
  return best;
}

}  // namespace udi
