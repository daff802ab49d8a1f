#include "image/blur.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/simd.h"
#include "image/blur_boxes.h"
#include "image/lanes.h"
#include "image/processor.h"

namespace udi {
namespace {

constexpr float kMaxRadius = 100;  // sums of a box stay below 2^16

// The even and the odd ones of 32 bytes as 16-bit numbers.
typedef uint16_t ShortVector __attribute__((vector_size(32)));
struct Sums {
  ShortVector even{}, odd{};
};
UDI_INLINE void add(Sums& sums, const uint8_t* at) {
  ShortVector w;
  std::memcpy(&w, at, sizeof w);
  sums.even += w & 255;
  sums.odd += w >> 8;
}
UDI_INLINE Words in_order_of_bytes(const Sums& sums) {  // as load_bytes has it
  const WordVector even = WordVector(sums.even), odd = WordVector(sums.odd);
  return {even & 65535, odd & 65535, even >> 16, odd >> 16};
}

// One box for 32 neighbours (8 of float32); `step` leads to the next pixel along the blurred axis.
UDI_INLINE void blur_block(const uint8_t* centre, ptrdiff_t step, const BoxFilter& box, uint8_t* out) {
  const ptrdiff_t whole = box.whole;
  Sums inner, outer;
  for (ptrdiff_t i = -whole; i <= whole; ++i) add(inner, centre + i * step);
  add(outer, centre - (whole + 1) * step);
  add(outer, centre + (whole + 1) * step);
  const Words sum = in_order_of_bytes(inner) * box.inner + in_order_of_bytes(outer) * box.outer;
  store_bytes(out, to_ints((sum + (1u << 23)) >> 24));
}

UDI_INLINE void add(FloatVector& sum, const float* at) {
  FloatVector v;
  std::memcpy(&v, at, sizeof v);
  sum += v;
}

UDI_INLINE void blur_block(const float* centre, ptrdiff_t step, const BoxFilter& box, float* out) {
  const ptrdiff_t whole = box.whole;
  FloatVector inner{}, outer{};
  for (ptrdiff_t i = -whole; i <= whole; ++i) add(inner, centre + i * step);
  add(outer, centre - (whole + 1) * step);
  add(outer, centre + (whole + 1) * step);
  const FloatVector sum = inner * box.inner_share + outer * box.outer_share;
  std::memcpy(out, &sum, sizeof sum);
}

// All boxes over `count` pixels in `from`, `step` values each; before and after them is room for reach() pixels and a
// block, in `to` as well. Outside the image lie copies of its first and last pixel. Returns where the result is: from
// or to.
template <class Value>
UDI_INLINE Value* blur_run(Value* from, Value* to, ptrdiff_t count, ptrdiff_t step, const BoxFilter& box) {
  constexpr ptrdiff_t kBlock = ptrdiff_t(kLanes / sizeof(Value));
  for (int pass = 0; pass < kBoxes; ++pass) {
    const Value* last = from + (count - 1) * step;
    for (ptrdiff_t i = 1; i <= box.reach(); ++i) {
      std::memcpy(from - i * step, from, size_t(step) * sizeof(Value));
      std::memcpy(from + (count - 1 + i) * step, last, size_t(step) * sizeof(Value));
    }
    for (ptrdiff_t i = 0; i < count * step; i += kBlock) blur_block(from + i, step, box, to + i);
    std::swap(from, to);
  }
  return from;
}
UDI_CLONES uint8_t* blur_pixels(uint8_t* from, uint8_t* to, ptrdiff_t count, ptrdiff_t step, const BoxFilter& box) {
  return blur_run(from, to, count, step, box);
}
UDI_CLONES float* blur_pixels(float* from, float* to, ptrdiff_t count, ptrdiff_t step, const BoxFilter& box) {
  return blur_run(from, to, count, step, box);
}

template <class Value>
void blur_plane(Value* plane, size_t height, size_t width, const BoxFilter& box, Memory& memory) {
  constexpr size_t kBlock = kLanes / sizeof(Value);
  const size_t margin = (size_t(box.reach()) + 1) * kBlock;
  const size_t half = std::max(height * kBlock, width) + 2 * margin;
  uint8_t* bytes = memory.room_for(2 * half * sizeof(Value));
  std::memset(bytes, 0, 2 * half * sizeof(Value));  // what lies beyond a margin is summed, and not used
  Value *from = reinterpret_cast<Value*>(bytes) + margin, *to = from + half;
  for (Value* row = plane; row != plane + height * width; row += width) {
    std::copy_n(row, width, from);
    std::copy_n(blur_pixels(from, to, ptrdiff_t(width), 1, box), width, row);
  }
  // Columns, a block of them side by side; fewer at the right edge.
  for (size_t x = 0; x < width; x += kBlock) {
    Value* top = plane + x;
    const size_t used = std::min(kBlock, width - x);
    for (size_t y = 0; y < height; ++y) std::copy_n(top + y * width, used, from + y * kBlock);
    const Value* blurred = blur_pixels(from, to, ptrdiff_t(height), ptrdiff_t(kBlock), box);
    for (size_t y = 0; y < height; ++y) std::copy_n(blurred + y * kBlock, used, top + y * width);
  }
}

#if UDI_X86_KERNELS
// Bytes of a plane where fewer than kBlurValues of them may be left.
void widen(const BlurKernels& kernels, const uint8_t* in, ptrdiff_t count, uint16_t* out) {
  const ptrdiff_t whole = count / kBlurValues * kBlurValues;
  kernels.widen(in, whole, out);
  if (whole == count) return;
  uint8_t last[kBlurValues] = {};
  std::memcpy(last, in + whole, size_t(count - whole));
  kernels.widen(last, kBlurValues, out + whole);
}
void narrow(const BlurKernels& kernels, const uint16_t* in, ptrdiff_t count, uint8_t* out) {
  const ptrdiff_t whole = count / kBlurValues * kBlurValues;
  kernels.narrow(in, whole, out);
  if (whole == count) return;
  uint8_t last[kBlurValues];
  kernels.narrow(in + whole, kBlurValues, last);
  std::memcpy(out + whole, last, size_t(count - whole));
}

// As blur_plane, with values of 16 bits between the boxes. Several rows take each box in turn: a box right after the
// one before it would wait for what that has just stored.
void blur_plane_16(uint8_t* plane, ptrdiff_t height, ptrdiff_t width, const BoxFilter& box, Memory& memory) {
  const BlurKernels& kernels = processor() == Processor::kVnni ? kBlurVnni : kBlurAvx2;
  constexpr ptrdiff_t kRows = 8;
  const ptrdiff_t reach = box.reach();
  const ptrdiff_t margin = (reach + kBlurValues - 1) / kBlurValues * kBlurValues;
  const ptrdiff_t pitch = (width + kBlurValues - 1) / kBlurValues * kBlurValues + 2 * margin;
  const ptrdiff_t half = std::max(kRows * pitch, (height + 2 * reach) * kBlurValues);
  uint16_t* first = reinterpret_cast<uint16_t*>(memory.room_for(2 * size_t(half) * sizeof(uint16_t)));
  for (ptrdiff_t y = 0; y < height; y += kRows) {
    const ptrdiff_t rows = std::min(kRows, height - y);
    uint16_t *from = first + margin, *to = from + half;
    for (ptrdiff_t j = 0; j < rows; ++j) widen(kernels, plane + (y + j) * width, width, from + j * pitch);
    for (int pass = 0; pass < kBoxes; ++pass, std::swap(from, to)) {
      for (uint16_t* row = from; row != from + rows * pitch; row += pitch) {
        std::fill(row - reach, row, row[0]);
        std::fill(row + width, row + width + reach, row[width - 1]);
        kernels.blur_values(row, 1, width, box, to + (row - from));
      }
    }
    for (ptrdiff_t j = 0; j < rows; ++j) narrow(kernels, from + j * pitch, width, plane + (y + j) * width);
  }
  for (ptrdiff_t x = 0; x < width; x += kBlurValues) {
    const ptrdiff_t used = std::min(kBlurValues, width - x);
    uint16_t *from = first + reach * kBlurValues, *to = from + half;
    for (ptrdiff_t y = 0; y < height; ++y) widen(kernels, plane + y * width + x, used, from + y * kBlurValues);
    for (int pass = 0; pass < kBoxes; ++pass, std::swap(from, to)) {
      const uint16_t* last = from + (height - 1) * kBlurValues;
      for (ptrdiff_t i = 1; i <= reach; ++i) {
        std::copy_n(from, kBlurValues, from - i * kBlurValues);
        std::copy_n(last, kBlurValues, from + (height - 1 + i) * kBlurValues);
      }
      kernels.blur_values(from, kBlurValues, height * kBlurValues, box, to);
    }
    for (ptrdiff_t y = 0; y < height; ++y) narrow(kernels, from + y * kBlurValues, used, plane + y * width + x);
  }
}
#endif

void blur_plane(uint8_t* plane, const Planes& planes, const BoxFilter& box, Memory& memory) {
#if UDI_X86_KERNELS
  if (processor() >= Processor::kAvx2 && box.whole <= kMaxWhole16) {
    return blur_plane_16(plane, planes.height, planes.width, box, memory);
  }
#endif
  blur_plane(plane, size_t(planes.height), size_t(planes.width), box, memory);
}

}  // namespace

// Gwosdek et al., SSVM 2011, equations 7, 11 and 14, in Pillow's float32 and order of operations.
BoxFilter box_filter(float deviation) {
  const float variance = deviation * deviation / kBoxes;
  const float length = float(std::sqrt(12.0 * double(variance) + 1.0));
  const float whole = float(std::floor((double(length) - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  const float radius = whole + part;

  BoxFilter box;
  box.whole = int(radius);
  const uint32_t covered = uint32_t(box.whole) * 2 + 1;
  box.inner = uint32_t(float(1 << 24) / (radius * 2 + 1));
  box.outer = ((1u << 24) - covered * box.inner) / 2;
  box.inner_share = 1 / (radius * 2 + 1);
  box.outer_share = (1 - float(covered) * box.inner_share) / 2;
  return box;
}

void gaussian_blur(const Planes& planes, float radius, Memory* memory) {
  check(radius >= 0 && radius <= kMaxRadius, UDI_E_INVALID, "a blur radius of ", radius, " is not in 0 to ",
        kMaxRadius);
  if (radius == 0 || planes.pixels() == 0) return;
  Memory own;
  if (!memory) memory = &own;
  const BoxFilter box = box_filter(radius);
  for (int c = 0; c < planes.channels; ++c) {
    if (planes.dtype == UDI_U8) {
      blur_plane(planes.u8(c), planes, box, *memory);
    } else {
      blur_plane(planes.f32(c), size_t(planes.height), size_t(planes.width), box, *memory);
    }
  }
}

}  // namespace udi
