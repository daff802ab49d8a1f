// What the machine says of memory: of an accelerator's tensors through the allocator that LibTorch has for it, played here
// by one of our own.
#include "jobs/machine.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <gtest/gtest.h>

namespace udi {
namespace {

constexpr auto kAll = size_t(c10::CachingAllocator::StatType::AGGREGATE);

struct CountingDevice : c10::DeviceAllocator {
  c10::CachingDeviceAllocator::DeviceStats stats;
  c10::DeviceIndex asked = -1;

  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex device) override {
    asked = device;
    return stats;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex device) override {
    asked = device;
    stats.allocated_bytes[kAll].reset_peak();
  }
  c10::DataPtr allocate(size_t) override { return {}; }
  void copy_data(void*, const void*, size_t) const override {}
};

struct PlainDevice : c10::Allocator {
  c10::DataPtr allocate(size_t) override { return {}; }
  void copy_data(void*, const void*, size_t) const override {}
};

TEST(DeviceMemory, IsWhatTheAllocatorCounts) {
  const at::Device device(at::kPrivateUse1, 1);
  CountingDevice counting;
  c10::SetAllocator(at::kPrivateUse1, &counting, 1);
  auto& held = counting.stats.allocated_bytes[kAll];
  held.increase(700);
  held.decrease(300);
  counting.stats.reserved_bytes[kAll].increase(9999);
  EXPECT_EQ(device_bytes(device), 400);
  EXPECT_EQ(peak_device_bytes(device), 700);
  EXPECT_EQ(counting.asked, 1);
  reset_peak_device(device);
  EXPECT_EQ(peak_device_bytes(device), 400);
  held.increase(50);
  EXPECT_EQ(peak_device_bytes(device), 450);
  EXPECT_EQ(device_bytes(at::Device(at::kPrivateUse1)), 450);  // the first, where none is named
  EXPECT_EQ(counting.asked, 0);

  PlainDevice plain;
  c10::SetAllocator(at::kPrivateUse1, &plain, 2);
  EXPECT_EQ(device_bytes(device), -1);
  EXPECT_EQ(peak_device_bytes(device), -1);
  reset_peak_device(device);
}

TEST(DeviceMemory, OfTheCpuIsNotKnownThisWay) {
  EXPECT_EQ(device_bytes(at::kCPU), -1);
  EXPECT_EQ(peak_device_bytes(at::kCPU), -1);
}

}  // namespace
}  // namespace udi
