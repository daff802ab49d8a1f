// The kernels of gemm.h, once for each kind of processor: gemm.cpp includes this in a namespace that has the vector V
// of kLanes floats with zero, load, store, spread, fma, maximum, minimum, times_power_of_2, reciprocal, sum_of,
// largest_of, negative_chooses, and kTileRows. No #pragma once, for that reason.

constexpr int kVectors = 2;  // of a panel
constexpr int kPanel = kVectors * kLanes;
constexpr int kUnroll = 4;  // of the depth
constexpr int kLine = 16;   // floats of a cache line

// ---- The inner loop ----------------------------------------------------------------------------------------------

// Rows are reached in threes: base, base + stride, base + 2 stride are addresses that an instruction can make by
// itself.
template <int M>
constexpr int kBases = (M + 2) / 3;

template <int M, int N>
UDI_INLINE void add_outer(const float* const (&base)[kBases<M>], int64_t stride, int at, const float* b,
                          V (&sums)[M][N]) {
  V columns[N];
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) columns[n] = load(b + n * kLanes);
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
    const V row = spread(base[m / 3][(m % 3) * stride + at]);
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) sums[m][n] = fma(row, columns[n], sums[m][n]);
  }
}

// M rows of a times N vectors of a panel, in registers. Meanwhile memory from `ahead` on comes nearer, a cache line for
// each kUnroll of the depth: weights are read once an image and lie far away.
template <int M, int N>
UDI_INLINE void multiply(const float* a, int64_t stride, const float* b, int64_t depth, const float* ahead,
                         V (&sums)[M][N]) {
  const float* base[kBases<M>];
#pragma GCC unroll 16
  for (int i = 0; i < kBases<M>; ++i) base[i] = a + 3 * i * stride;
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) sums[m][n] = zero();
  }
  int64_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll) {
#pragma GCC unroll 4
    for (int i = 0; i < kUnroll; ++i) add_outer<M, N>(base, stride, i, b + i * kPanel, sums);
    b += kUnroll * kPanel;
    __builtin_prefetch(ahead, 0, 2);
    ahead += kLine;
#pragma GCC unroll 16
    for (int i = 0; i < kBases<M>; ++i) base[i] += kUnroll;
  }
  for (; k < depth; ++k) {
    add_outer<M, N>(base, stride, 0, b, sums);
    b += kPanel;
#pragma GCC unroll 16
    for (int i = 0; i < kBases<M>; ++i) ++base[i];
  }
}

// ---- Functions of one vector: the polynomials of lanes.h -----------------------------------------------------------

UDI_INLINE V exp(V x) {
  x = maximum(spread(-80.f), x);       // nothing subnormal comes of it; and this way round a NaN stays one
  const V round = spread(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  const V n = fma(x, spread(1.44269504f), round) - round;
  const V f = fma(n, spread(2.12194440e-4f), fma(n, spread(-0.693359375f), x)) * spread(1.44269504f);
  V y = fma(f, spread(0.0001534578771449404f), spread(0.0013399936662723774f));
  y = fma(y, f, spread(0.009618489081729346f));
  y = fma(y, f, spread(0.05550328764371379f));
  y = fma(y, f, spread(0.24022646889222207f));
  y = fma(y, f, spread(0.6931472057425303f));
  y = fma(y, f, spread(1.f));
  return times_power_of_2(y, n);
}

UDI_INLINE V gelu(V x) {
  const V t = maximum(x, zero() - x) * spread(0.70710678f);
  const V gauss = exp(zero() - t * t);
  const V k = reciprocal(fma(t, spread(0.3f), spread(1.f)));
  V y = fma(k, spread(-0.1295213062846006f), spread(0.4855554685783776f));
  y = fma(y, k, spread(-0.5122619982050267f));
  y = fma(y, k, spread(0.5477012968520255f));
  y = fma(y, k, spread(-0.09463737826862718f));
  y = fma(y, k, spread(0.21492010361350314f));
  y = fma(y, k, spread(0.1483407924236457f));
  y = fma(y, k, spread(0.17071498064460017f));
  y = fma(y, k, spread(0.1691880211475461f));
  const V tail = y * k * (gauss * spread(0.5f));
  return x * negative_chooses(x, tail, spread(1.f) - tail);
}

// ---- A tile of the product -----------------------------------------------------------------------------------------

// Rows [row, row + M), columns [column, column + N kLanes), all of which are there.
template <int M, int N>
void tile(const Product& p, int64_t row, int64_t column, const float* b, const float* ahead) {
  V sums[M][N];
  multiply<M, N>(p.a + row * p.a_stride, p.a_stride, b, p.depth, ahead, sums);
  if (p.bias) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
      const V bias = load(p.bias + column + n * kLanes);
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) sums[m][n] = sums[m][n] + bias;
    }
  }
  if (p.add) {
    const float* add = p.add + row * p.add_stride + column;
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < N; ++n) sums[m][n] = sums[m][n] + load(add + m * p.add_stride + n * kLanes);
    }
  }
  float* const first = (p.before ? p.before : p.out) + row * p.out_stride + column;
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) store(first + m * p.out_stride + n * kLanes, sums[m][n]);
  }
  if (!p.gelu) return;
  float* const out = p.out + row * p.out_stride + column;
  for (int m = 0; m < M; ++m) {
    for (int n = 0; n < N; ++n) {
      const int64_t at = m * p.out_stride + n * kLanes;
      store(out + at, gelu(load(first + at)));
    }
  }
}

using Tile = void (*)(const Product&, int64_t row, int64_t column, const float* b, const float* ahead);
template <class>
struct Tiles;
template <size_t... M>
struct Tiles<std::index_sequence<M...>> {
  static constexpr Tile kNarrow[] = {tile<int(M) + 1, 1>...}, kWide[] = {tile<int(M) + 1, 2>...};
};
UDI_INLINE Tile tile_for(int64_t rows, int64_t columns) {
  using All = Tiles<std::make_index_sequence<size_t(kTileRows)>>;
  return (columns > kLanes ? All::kWide : All::kNarrow)[rows - 1];
}

UDI_INLINE void copy(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) to[r * stride + c] = from[r * from_stride + c];
  }
}

// The last columns, where they are no whole vectors: through a tile of their own.
void ragged_tile(const Product& p, int64_t row, int64_t rows, int64_t column, const float* b) {
  alignas(64) float out[kTileRows * kPanel], before[kTileRows * kPanel], add[kTileRows * kPanel] = {},
                                                                                         bias[kPanel] = {};
  const int64_t left = p.columns - column;
  Product part = p;
  part.a = p.a + row * p.a_stride;
  part.out = out;
  part.out_stride = part.add_stride = kPanel;
  if (p.bias) {
    copy(p.bias + column, 0, 1, left, bias, 0);
    part.bias = bias;
  }
  if (p.add) {
    copy(p.add + row * p.add_stride + column, p.add_stride, rows, left, add, kPanel);
    part.add = add;
  }
  if (p.before) part.before = before;
  tile_for(rows, left)(part, 0, 0, b, b);
  copy(out, kPanel, rows, left, p.out + row * p.out_stride + column, p.out_stride);
  if (p.before) copy(before, kPanel, rows, left, p.before + row * p.out_stride + column, p.out_stride);
}

// ---- What gemm.h names ---------------------------------------------------------------------------------------------

// A block of rows stays in the second cache while the panels pass by. Its tiles differ by a row at most: one of a row
// or two would take as long as a full one.
void product(const Product& p) {
  const int64_t fitting = block_floats() / (p.depth > 0 ? p.depth : 1);
  const int64_t at_once = fitting > kTileRows ? fitting : kTileRows;
  int64_t blocks = (p.rows + at_once - 1) / at_once;
  for (int64_t begin = 0, end; begin < p.rows; begin = end, --blocks) {
    end = begin + (p.rows - begin + blocks - 1) / blocks;
    for (int64_t column = 0; column < p.columns; column += kPanel) {
      const float* b = p.b + column / kPanel * p.b_stride;
      const int64_t left = p.columns - column;
      const bool ragged = !p.padded && left < kPanel && left != kLanes;
      int64_t tiles = (end - begin + kTileRows - 1) / kTileRows;
      const float* ahead =
          b + p.b_stride;  // the next panel; after the last one what follows is a guess that costs nothing
      for (int64_t row = begin, count; row < end; row += count, --tiles, ahead += p.depth / kUnroll * kLine) {
        count = (end - row + tiles - 1) / tiles;
        if (ragged) {
          ragged_tile(p, row, count, column, b);
        } else {
          tile_for(count, left)(p, row, column, b, ahead);
        }
      }
    }
  }
}

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

// A panel, `count` of whose columns are there.
UDI_INLINE void pack_panel(const float* b, int64_t depth_stride, int64_t column_stride, int64_t depth, int64_t count,
                           float* out) {
  int64_t k = 0;
  if (count == kPanel && column_stride == 1) {
    for (; k < depth; ++k) {
      for (int n = 0; n < kPanel; n += kLanes) store(out + k * kPanel + n, load(b + k * depth_stride + n));
    }
  } else if (count == kPanel && depth_stride == 1) {
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
  for (int64_t column = 0; column < columns; column += kPanel) {
    const int64_t count = columns - column < kPanel ? columns - column : kPanel;
    pack_panel(b + column * column_stride, depth_stride, column_stride, depth, count, out + column * depth);
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

const Kernels kKernels = {kName, kPanel, kTileRows, pack, product, softmax};
