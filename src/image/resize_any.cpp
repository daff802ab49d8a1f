// Any processor: 32-bit products, groups of one pixel.
#include <algorithm>
#include <cstring>

#include "base/simd.h"
#include "image/interleave.h"
#include "image/lanes.h"
#include "image/processor.h"
#include "image/resize_kernels.h"
#include "image/resize_taps.h"

namespace udi {
namespace {

void pack(const int32_t* weights, int groups, int32_t* packed) { std::copy_n(weights, groups, packed); }

// 32 neighbouring sums.
UDI_INLINE Ints weighted_sum(const uint8_t* rows, size_t pitch, const int32_t* weights, int count) {
  Ints sum = all_ints(1 << (kWeightBits - 1));
  for (int t = 0; t < count; ++t) sum = sum + load_bytes(rows + size_t(t) * pitch) * weights[t];
  return clipped(sum >> kWeightBits);
}

UDI_CLONES void first_pass(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int height, uint8_t* out,
                           size_t out_pitch) {
  uint8_t tile[kOutputsAtOnce * kLanes] = {};
  for (int y = 0; y < height; y += int(kLanes)) {
    for (int i = 0; i < taps.outputs; i += kOutputsAtOnce) {
      for (int k = i; k < std::min(i + kOutputsAtOnce, taps.outputs); ++k) {
        const uint8_t* columns = in + size_t(taps.first[k]) * in_pitch + size_t(y);
        const int32_t* weights = taps.weights + size_t(k) * size_t(taps.groups);
        store_bytes(tile + size_t(k - i) * kLanes, weighted_sum(columns, in_pitch, weights, taps.groups));
      }
      transpose(tile, kLanes, int(kLanes), kOutputsAtOnce, out + size_t(y) * out_pitch + size_t(i), out_pitch);
    }
  }
}

UDI_CLONES void second_pass(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int width, uint8_t* out) {
  for (int i = 0; i < taps.outputs; ++i) {
    const uint8_t* rows = in + size_t(taps.first[i]) * in_pitch;
    const int32_t* weights = taps.weights + size_t(i) * size_t(taps.groups);
    uint8_t* out_row = out + size_t(i) * size_t(width);
    int x = 0;
    for (; x + int(kLanes) <= width; x += int(kLanes)) {
      store_bytes(out_row + x, weighted_sum(rows + x, in_pitch, weights, taps.groups));
    }
    if (x < width) {
      uint8_t last[kLanes];
      store_bytes(last, weighted_sum(rows + x, in_pitch, weights, taps.groups));
      std::memcpy(out_row + x, last, size_t(width - x));
    }
  }
}

}  // namespace

const ResizeKernels kResizeAny{1, 1, pack, first_pass, second_pass};

const ResizeKernels& resize_kernels() {
#if UDI_X86_KERNELS
  if (processor() == Processor::kVnni) return kResizeVnni;
  if (processor() == Processor::kAvx2) return kResizeAvx2;
#endif
  return kResizeAny;
}

}  // namespace udi
