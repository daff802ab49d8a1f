// The instructions of cuda/mma.h on the host, written from the PTX ISA's tables ("Matrix Fragments for mma.m16n8k16
// with floating point type", "ldmatrix", "cp.async"), which say what element a lane's register holds.
#pragma once

#include "device.h"

namespace udi::cuda {

namespace emulate {

inline void refuse(const char* what) {
  std::fprintf(stderr, "emulated: %s\n", what);
  std::abort();
}

// What a lane brings to a product: the elements that the tables call a0 to a7 and b0 to b3, two a register.
struct Fragments {
  float a[8], b[4];
};

template <class T>
float element_of(uint32_t pair, int which) {
  return to_float(T{uint16_t(pair >> 16 * which)});
}

// ldmatrix: thread l gives the address of row l % 8 of matrix l / 8. Thread l gets elements [l / 4][2 (l % 4)] and
// [l / 4][2 (l % 4) + 1]; with .trans, those of the transposed matrix.
inline void load_matrices(uint32_t (&to)[4], const void* row, bool transposed) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) refuse("ldmatrix: an address is no multiple of 16");
  const Slot* const slots = exchange(row);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    uint32_t pair = 0;
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned y = transposed ? lane % 4 * 2 + i : lane / 4, x = transposed ? lane / 4 : lane % 4 * 2 + i;
      pair |= uint32_t(static_cast<const uint16_t*>(of_lane<const void*>(slots, 8 * matrix + y))[x]) << 16 * i;
    }
    to[matrix] = pair;
  }
}

inline const Fragments& fragments_of(const Slot* slots, unsigned lane) {
  return *reinterpret_cast<const Fragments*>(&slots[lane]);
}

// Element [row][column] of A: groupID = lane >> 2, threadID_in_group = lane % 4; of a_i, row = groupID where 0 <= i < 2
// or 4 <= i < 6, else groupID + 8; column = threadID_in_group * 2 + (i & 1) for i < 4, + 8 for i >= 4.
inline float element_of_a(const Slot* slots, unsigned row, unsigned column) {
  const unsigned lane = row % 8 * 4 + column % 8 / 2;
  return fragments_of(slots, lane).a[column % 2 + (row >= 8 ? 2 : 0) + (column >= 8 ? 4 : 0)];
}

// Element [row][column] of B: of b_i, row = threadID_in_group * 2 + (i & 1) for i < 2, + 8 for i >= 2; column =
// groupID.
inline float element_of_b(const Slot* slots, unsigned row, unsigned column) {
  const unsigned lane = column * 4 + row % 8 / 2;
  return fragments_of(slots, lane).b[row % 2 + (row >= 8 ? 2 : 0)];
}

}  // namespace emulate

inline void load_matrices(uint32_t (&to)[4], const void* row) { emulate::load_matrices(to, row, false); }
inline void load_transposed(uint32_t (&to)[4], const void* row) { emulate::load_matrices(to, row, true); }

// C and D: c0 to c3: row = groupID for i < 2, else groupID + 8; column = threadID_in_group * 2 + (i & 1).
template <class T>
void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  emulate::Fragments mine;
  for (int i = 0; i < 8; ++i) mine.a[i] = emulate::element_of<T>(a[i / 2], i % 2);
  for (int i = 0; i < 4; ++i) mine.b[i] = emulate::element_of<T>(i < 2 ? b0 : b1, i % 2);
  const emulate::Slot* const slots = emulate::exchange(mine);
  const unsigned group = threadIdx.x % 32 >> 2, in_group = threadIdx.x % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = i < 2 ? group : group + 8, column = in_group * 2 + (i & 1);
    double sum = sums[i];
    for (unsigned k = 0; k < 16; ++k)
      sum += double(emulate::element_of_a(slots, row, k)) * double(emulate::element_of_b(slots, k, column));
    sums[i] = float(sum);
  }
}

template <class T>
uint32_t pair_of(float low, float high) {
  return from_float<T>(low).bits | uint32_t(from_float<T>(high).bits) << 16;
}

inline float quick_exp2(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0 : y;
}

// As late as may be: what is read before the wait is NaN.
inline void copy_16(void* to, const void* from, int bytes) {
  if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0)
    emulate::refuse("cp.async: an address is no multiple of 16");
  if (bytes < 0 || bytes > 16) emulate::refuse("cp.async: more than 16 bytes");
  std::memset(to, 0xff, 16);
  emulate::self->copies.push_back({to, from, bytes});
}

inline void wait_for_copies() { emulate::self->finish_copies(); }

}  // namespace udi::cuda
