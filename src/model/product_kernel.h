// The products of gemm.h and narrow.h, once for each kind of processor: gemm.cpp and narrow.cpp include this in a
// namespace that has the vector V of kLanes floats (vectors.h), kTileRows, and what becomes of words: the type Sum of
// their sums, no_sum, add_product, sum + row * column, and floats_of, the sums as floats. Where kRanges is true a row's
// range and a column's scale make numbers of them. No #pragma once, for that reason.

constexpr int kVectors = 2;  // of a panel
constexpr int kPanel = kVectors * kLanes;
constexpr int kUnroll = 4;  // of the depth
constexpr int kLine = 16;   // words of a cache line

// ---- The inner loop ----------------------------------------------------------------------------------------------

// Rows are reached in threes: base, base + stride, base + 2 stride are addresses that an instruction can make by
// itself.
template <int M>
constexpr int kBases = (M + 2) / 3;

template <int M, int N>
UDI_INLINE void add_outer(const float* const (&base)[kBases<M>], int64_t stride, int at, const float* b,
                          Sum (&sums)[M][N]) {
  V columns[N];
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) columns[n] = load(b + n * kLanes);
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
    const V row = spread(base[m / 3][(m % 3) * stride + at]);
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) sums[m][n] = add_product(row, columns[n], sums[m][n]);
  }
}

// M rows of a times N vectors of a panel, in registers. Meanwhile memory from `ahead` on comes nearer, a cache line for
// each kUnroll of the depth: weights are read once an image and lie far away.
template <int M, int N>
UDI_INLINE void multiply(const float* a, int64_t stride, const float* b, int64_t depth, const float* ahead,
                         Sum (&sums)[M][N]) {
  const float* base[kBases<M>];
#pragma GCC unroll 16
  for (int i = 0; i < kBases<M>; ++i) base[i] = a + 3 * i * stride;
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) sums[m][n] = no_sum();
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

// The same of rows that lie side by side, as pack_rows leaves them.
template <int M, int N>
UDI_INLINE void multiply_turned(const float* a, const float* b, int64_t depth, const float* ahead, Sum (&sums)[M][N]) {
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) sums[m][n] = no_sum();
  }
  for (int64_t k = 0; k < depth; ++k, a += M, b += kPanel) {
    V columns[N];
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) columns[n] = load(b + n * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      const V row = spread(a[m]);
#pragma GCC unroll 2
      for (int n = 0; n < N; ++n) sums[m][n] = add_product(row, columns[n], sums[m][n]);
    }
    if (k % kUnroll == 0) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += kLine;
    }
  }
}

// ---- A tile of the product -----------------------------------------------------------------------------------------

// What sums stand for: of whole numbers, with the row's range and the column's scale.
template <int M, int N>
UDI_INLINE void values_of(const Product& p, int64_t row, int64_t column, const Sum (&sums)[M][N], V (&values)[M][N]) {
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) {
    V scale, total;
    if constexpr (kRanges) {
      scale = load(p.column_scale + column + n * kLanes);
      total = load(p.column_sum + column + n * kLanes);
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      values[m][n] = floats_of(sums[m][n]);
      if constexpr (kRanges) {
        const Range range = p.ranges[row + m];
        values[m][n] = (values[m][n] * spread(range.scale) + total * spread(range.low)) * scale;
      }
    }
  }
}

// Rows [row, row + M), columns [column, column + N kLanes), all of which are there.
template <int M, int N>
void tile(const Product& p, int64_t row, int64_t column, const float* b, const float* ahead) {
  Sum sums[M][N];
  const float* const a = p.a + row * p.a_stride;
  if (p.a_packed) {
    multiply_turned<M, N>(a, b, p.depth, ahead, sums);
  } else {
    multiply<M, N>(a, p.a_stride, b, p.depth, ahead, sums);
  }
  V values[M][N];
  values_of<M, N>(p, row, column, sums, values);
  if (p.bias) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
      const V bias = load(p.bias + column + n * kLanes);
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) values[m][n] = values[m][n] + bias;
    }
  }
  if (p.add) {
    const float* add = p.add + row * p.add_stride + column;
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < N; ++n) values[m][n] = values[m][n] + load(add + m * p.add_stride + n * kLanes);
    }
  }
  float* const first = (p.before ? p.before : p.out) + row * p.out_stride + column;
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) store(first + m * p.out_stride + n * kLanes, values[m][n]);
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
  if constexpr (kRanges) {
    part.ranges += row;
    part.column_scale += column;
    part.column_sum += column;
  }
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

// The rows of a block as tiles, which differ by a row at most: one of a row or two would take as long as a full one.
struct TileRows {
  int64_t row, end, left, count;
  UDI_INLINE TileRows(int64_t begin, int64_t end_)
      : row(begin), end(end_), left((end_ - begin + kTileRows - 1) / kTileRows) {
    size();
  }
  UDI_INLINE void next() {
    row += count;
    --left;
    size();
  }
  UDI_INLINE void size() { count = left > 0 ? (end - row + left - 1) / left : 0; }
};

// ---- What gemm.h names ---------------------------------------------------------------------------------------------

// A block of rows and a group of panels have half of the second cache each.
UDI_INLINE int64_t at_once(int64_t depth, int64_t least) {
  const int64_t fitting = block_words() / (depth > 0 ? depth : 1);
  return fitting > least ? fitting : least;
}

// One tile of rows meets the panels of a group: it stays in the first cache, and what is written lies side by side.
void multiply_group(const Product& p, int64_t begin, int64_t end, int64_t first, int64_t last) {
  // The next group; after the last one what follows is a guess that costs nothing.
  const float* ahead = p.b + (last + kPanel - 1) / kPanel * p.b_stride;
  for (TileRows tile(begin, end); tile.count > 0; tile.next()) {
    for (int64_t column = first; column < last; column += kPanel, ahead += p.depth / kUnroll * kLine) {
      const float* const b = p.b + column / kPanel * p.b_stride;
      const int64_t left = p.columns - column;
      if (!p.padded && left < kPanel && left != kLanes) {
        ragged_tile(p, tile.row, tile.count, column, b);
      } else {
        tile_for(tile.count, left)(p, tile.row, column, b, ahead);
      }
    }
  }
}

// What pack_rows packed is one block.
void product(const Product& p) {
  const int64_t rows = at_once(p.depth, kTileRows), columns = at_once(p.depth, kPanel) / kPanel * kPanel;
  int64_t blocks = p.a_packed ? 1 : (p.rows + rows - 1) / rows;
  for (int64_t begin = 0, end; begin < p.rows; begin = end, --blocks) {
    end = begin + (p.rows - begin + blocks - 1) / blocks;
    for (int64_t column = 0; column < p.columns; column += columns) {
      multiply_group(p, begin, end, column, column + columns < p.columns ? column + columns : p.columns);
    }
  }
}
