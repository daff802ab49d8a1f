// The kernels of gemm.h, once for each kind of processor: gemm.cpp includes this where it includes product_kernel.h. No
// #pragma once, for that reason.

#include "model/product_kernel.h"

// ---- Packing -------------------------------------------------------------------------------------------------------

// Rows i and i + kDistance of a square exchange the numbers that lie on the other's side; over all distances that turns
// it.
template <int kDistance, int... kLane>
UDI_INLINE void exchange(V (&square)[kLanes], std::integer_sequence<int, kLane...>) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & kDistance) continue;
    const V a = square[i], b = square[i + kDistance];
    square[i] = __builtin_shufflevector(a, b, (kLane & kDistance ? kLanes + kLane - kDistance : kLane)...);
    square[i + kDistance] = __builtin_shufflevector(a, b, (kLane & kDistance ? kLanes + kLane : kLane + kDistance)...);
  }
}

// The square at `from`, turned, to `to`.
void turn(const float* from, int64_t from_stride, float* to) {
  constexpr auto kAll = std::make_integer_sequence<int, kLanes>();
  V square[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) square[i] = load(from + i * from_stride);
  exchange<1>(square, kAll);
  exchange<2>(square, kAll);
  if constexpr (kLanes > 4) exchange<4>(square, kAll);
  if constexpr (kLanes > 8) exchange<8>(square, kAll);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) store(to + i * kPanel, square[i]);
}

// Of a matrix that is not in the cache: whole rows a few at a time, as memory is read ahead.
constexpr int64_t kRowsAtOnce = 4;

// Rows [k, end) of a panel.
UDI_INLINE void copy_rows(const float* b, int64_t depth_stride, int64_t k, int64_t end, float* out) {
  for (; k < end; ++k) {
    for (int n = 0; n < kPanel; n += kLanes) store(out + k * kPanel + n, load(b + k * depth_stride + n));
  }
}

// A panel, `count` of whose columns are there.
UDI_INLINE void pack_panel(const float* b, int64_t depth_stride, int64_t column_stride, int64_t depth, int64_t count,
                           float* out) {
  int64_t k = 0;
  if (count == kPanel && depth_stride == 1) {
    for (; k + kLanes <= depth; k += kLanes) {
      for (int n = 0; n < kPanel; n += kLanes) turn(b + k + n * column_stride, column_stride, out + k * kPanel + n);
    }
  }
  for (; k < depth; ++k) {
    float* const row = out + k * kPanel;
    for (int n = 0; n < kPanel; n += kLanes) store(row + n, zero());
    for (int64_t n = 0; n < count; ++n) row[n] = b[k * depth_stride + n * column_stride];
  }
}

void pack(const float* b, int64_t depth_stride, int64_t column_stride, int64_t depth, int64_t columns, float* out) {
  int64_t column = 0;
  if (column_stride == 1) {
    column = columns - columns % kPanel;
    for (int64_t k = 0; k < depth; k += kRowsAtOnce) {
      const int64_t end = k + kRowsAtOnce < depth ? k + kRowsAtOnce : depth;
      for (int64_t c = 0; c < column; c += kPanel) copy_rows(b + c, depth_stride, k, end, out + c * depth);
    }
  }
  for (; column < columns; column += kPanel) {
    const int64_t count = columns - column < kPanel ? columns - column : kPanel;
    pack_panel(b + column * column_stride, depth_stride, column_stride, depth, count, out + column * depth);
  }
}

// Words [k, end) of the depth of a tile's M rows, as multiply_turned reads them.
template <int M>
void pack_tile(const float* a, int64_t depth_stride, int64_t k, int64_t end, float* out) {
  for (; k < end; ++k) __builtin_memcpy(out + k * M, a + k * depth_stride, M * sizeof *a);
}
template <class>
struct PackTiles;
template <size_t... M>
struct PackTiles<std::index_sequence<M...>> {
  static constexpr void (*kAll[])(const float*, int64_t, int64_t, int64_t, float*) = {pack_tile<int(M) + 1>...};
};

void pack_rows(const float* a, int64_t depth_stride, int64_t depth, int64_t rows, float* out) {
  using Pack = PackTiles<std::make_index_sequence<size_t(kTileRows)>>;
  for (int64_t k = 0; k < depth; k += kRowsAtOnce) {
    const int64_t end = k + kRowsAtOnce < depth ? k + kRowsAtOnce : depth;
    for (TileRows tile(0, rows); tile.count > 0; tile.next()) {
      Pack::kAll[tile.count - 1](a + tile.row, depth_stride, k, end, out + tile.row * depth);
    }
  }
}

// ---- Softmax -------------------------------------------------------------------------------------------------------

// max(a, b) and min(a, b) are b where one of them is no number.
void softmax(float* rows, int64_t count, int64_t stride, int64_t n, float scale) {
  const int64_t last = (n - 1) / kLanes * kLanes, end = last + kLanes;
  float limits[kLanes];  // beyond n: -infinity, whose exp, 1e-35, is lost in a sum of at least 1
  for (int64_t i = 0; i < kLanes; ++i) limits[i] = last + i < n ? INFINITY : -INFINITY;
  const V limit = load(limits);
  for (float* row = rows; row < rows + count * stride; row += stride) {
    V highest = minimum(limit, load(row + last));
    store(row + last, highest);
    for (int64_t i = 0; i < last; i += kLanes) highest = maximum(highest, load(row + i));
    const V top = spread(largest_of(highest));
    V sum = zero();
    for (int64_t i = 0; i < end; i += kLanes) {
      const V v = exp((load(row + i) - top) * spread(scale));
      store(row + i, v);
      sum = sum + v;
    }
    const V inverse = spread(1 / sum_of(sum));
    for (int64_t i = 0; i < end; i += kLanes) store(row + i, load(row + i) * inverse);
  }
}

const Kernels kKernels = {kName, kPanel, kTileRows, pack, pack_rows, product, softmax};
