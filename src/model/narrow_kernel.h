// The kernels of narrow.h, once for each kind of processor: narrow.cpp includes this where it includes
// product_kernel.h, after kNumbers, numbers of a word, and store_numbers, which puts a vector's at their place in a row
// of words. No #pragma once, for that reason.

#include "model/product_kernel.h"

// body(i, v) for each vector of a row. The last one is filled up with numbers of the row: weights are zero there.
template <class Body>
UDI_INLINE void each(const float* row, int64_t depth, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= depth; i += kLanes) body(i, load(row + i));
  if (i == depth) return;
  float last[kLanes];
  for (int64_t n = 0; n < kLanes; ++n) last[n] = i + n < depth ? row[i + n] : row[0];
  body(i, load(last));
}

UDI_INLINE Range row_in_bytes(const float* row, int64_t depth, float* words) {
  V low = spread(row[0]), high = low, finite = zero();
  each(row, depth, [&](int64_t, V v) UDI_LAMBDA {
    low = minimum(low, v);
    high = maximum(high, v);
    finite = finite + (v - v);  // 0, or NaN
  });
  const float bottom = -largest_of(zero() - low), width = largest_of(high) - bottom;
  if (!(sum_of(finite) + (width - width) == 0)) return {NAN, NAN};
  const V first = spread(bottom), steps = spread(width > 1e-30f ? 255 / width : 0);  // else all are `bottom`
  each(row, depth, [&](int64_t i, V v) UDI_LAMBDA { store_numbers(words, i, (v - first) * steps); });
  return {width / 255, bottom};
}

void rows(const float* from, int64_t count, int64_t stride, int64_t depth, float* out, Range* ranges) {
  for (int64_t r = 0; r < count; ++r, from += stride, out += (depth + 15) / 16 * 16 / kNumbers) {
    if constexpr (kRanges) {
      ranges[r] = row_in_bytes(from, depth, out);
    } else {
      each(from, depth, [&](int64_t i, V v) UDI_LAMBDA { store_numbers(out, i, v); });
    }
  }
}
