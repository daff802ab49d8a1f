// What attention's kernels share: which rows a block works on, tiles of rows in shared memory, fragments of them.
#pragma once

#include "attention.h"
#include "mma.h"

namespace udi::cuda {

constexpr int kStrip = 16;  // the height of a product of tensor cores

// Blocks for heads of up to kDim numbers, none with more than 48 KB of shared memory.
template <class T, int kDim>
struct Block {
  static constexpr bool kWide = kDim > 64;
  static constexpr int kOwn = sizeof(T) == 2 ? kStrip : kWide ? 2 : 4;  // rows of a warp
  static constexpr int kWarps = sizeof(T) == 2 && kWide ? 2 : 4;
  static constexpr int kThreads = kWarps * kLanes, kRows = kWarps * kOwn;
};

constexpr float kLog2e = 1.44269504f;

// What a product of a query and a key is multiplied by, so that 2^ takes the place of e^.
__device__ inline float sharpness_of(int dim) { return kLog2e / sqrtf(float(dim)); }

// kRows rows of one head. A row is 16 bytes longer than its numbers, so that the eight rows of a matrix of
// load_matrices begin in different banks.
template <class T, int kRows, int kDim>
struct alignas(16) Tile {
  static constexpr int kPack = 16 / int(sizeof(T)), kPacks = kDim / kPack;
  T at[kRows][kDim + kPack];
};

// A crop, and the first of the rows in it that the block works on: queries, or keys.
struct Place {
  int64_t query, key;  // the crop's first rows
  int queries, keys, first;
};

// Tiles of crop c begin at block begin[c] / rows + c: that is room for as many as it has, and sometimes for one more,
// and no block is far from its crop whatever the others' lengths are. Blocks beyond a crop's rows have nothing to do.
__device__ inline Place place_of(const AttentionArgs& k, const int32_t* begin, int rows) {
  const int block = int(blockIdx.x), lane = threadIdx.x % kLanes;
  int crop = 0, among = k.crops;  // of crops crop to crop + among - 1, the last that begins by this block
  while (among > 1) {
    const int step = (among + kLanes - 1) / kLanes, probe = crop + lane * step;
    const bool begun = lane * step < among && begin[probe] / rows + probe <= block;
    const int steps = __popc(__ballot_sync(kAll, begun)) - 1;
    crop += steps * step;
    among = among - steps * step < step ? among - steps * step : step;
  }
  const int query = k.query_begin[crop], key = k.key_begin[crop];
  return {query, key, k.query_begin[crop + 1] - query, k.key_begin[crop + 1] - key,
          (block - begin[crop] / rows - crop) * rows};
}

inline dim3 blocks_of(int64_t all_rows, const AttentionArgs& k, int rows) {
  return dim3(unsigned(all_rows / rows + k.crops), unsigned(k.heads));
}

// Rows from `from` on, `count` of them and zeros after, `dim` numbers of each and zeros after; by the whole block,
// there after wait_for_copies() and a barrier.
template <int kThreads, class T, int kRows, int kDim>
__device__ void load_tile(Tile<T, kRows, kDim>& tile, const void* from, int64_t stride, int count, int dim, bool wide) {
  using Of = Tile<T, kRows, kDim>;
  const T* const rows = static_cast<const T*>(from);
  for (int i = threadIdx.x; i < kRows * Of::kPacks; i += kThreads) {
    const int row = i / Of::kPacks, column = i % Of::kPacks * Of::kPack;
    const bool there = row < count && column < dim;
    if (wide) {
      copy_16(&tile.at[row][column], there ? rows + row * stride + column : rows, there ? 16 : 0);
    } else {
      for (int j = 0; j < Of::kPack; ++j)
        tile.at[row][column + j] = there ? rows[row * stride + column + j] : from_float<T>(0);
    }
  }
}

// `count` rows of a warp's strip, from shared memory to where they belong.
template <class T, int kRows, int kDim>
__device__ void store_strip(const Tile<T, kRows, kDim>& tile, int strip, void* to, int64_t stride, int count, int dim,
                            bool wide) {
  using Of = Tile<T, kRows, kDim>;
  T* const rows = static_cast<T*>(to);
  for (int i = threadIdx.x % kLanes; i < kStrip * Of::kPacks; i += kLanes) {
    const int row = i / Of::kPacks, column = i % Of::kPacks * Of::kPack;
    if (row >= count || column >= dim) continue;
    const T* const from = &tile.at[strip + row][column];
    T* const at = rows + row * stride + column;
    if (wide) {
      *reinterpret_cast<Pack<T, Of::kPack>*>(at) = *reinterpret_cast<const Pack<T, Of::kPack>*>(from);
    } else {
      for (int j = 0; j < Of::kPack; ++j) at[j] = from[j];
    }
  }
}

// ---- Fragments of 16 rows by 16 columns of a tile ------------------------------------------------------------------

// As the left factor: rows are its rows.
template <class T, int kRows, int kDim>
__device__ void left_fragment(uint32_t (&to)[4], const Tile<T, kRows, kDim>& tile, int row, int column) {
  const int lane = threadIdx.x % kLanes;
  load_matrices(to, &tile.at[row + lane % 16][column + lane / 16 * 8]);
}

// As right factors whose columns are its rows: to[0], to[1] of its first eight, to[2], to[3] of the others.
template <class T, int kRows, int kDim>
__device__ void right_fragments_of_rows(uint32_t (&to)[4], const Tile<T, kRows, kDim>& tile, int row, int column) {
  const int lane = threadIdx.x % kLanes;
  load_matrices(to, &tile.at[row + lane / 16 * 8 + lane % 8][column + lane / 8 % 2 * 8]);
}

// As right factors whose rows are its rows: to[0], to[1] of its first eight columns, to[2], to[3] of the others.
template <class T, int kRows, int kDim>
__device__ void right_fragments(uint32_t (&to)[4], const Tile<T, kRows, kDim>& tile, int row, int column) {
  const int lane = threadIdx.x % kLanes;
  load_transposed(to, &tile.at[row + lane % 16][column + lane / 16 * 8]);
}

// Sums of 16 rows by 16 columns, as two products left them, as a left factor.
template <class T>
__device__ void left_of_sums(uint32_t (&to)[4], const float (&first)[4], const float (&second)[4]) {
  to[0] = pair_of<T>(first[0], first[1]);
  to[1] = pair_of<T>(first[2], first[3]);
  to[2] = pair_of<T>(second[0], second[1]);
  to[3] = pair_of<T>(second[2], second[3]);
}

// Sums of a warp's strip times a factor a row (of rows lane / 4 and lane / 4 + 8) into its rows of a tile.
template <class T, int kRows, int kDim>
__device__ void put_strip(Tile<T, kRows, kDim>& tile, int strip, const float (&sums)[kDim / 8][4],
                          const float (&factor)[2]) {
  const int lane = threadIdx.x % kLanes, row = strip + lane / 4, column = lane % 4 * 2;
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      store<2>(&tile.at[row + half * 8][n * 8 + column],
               {sums[n][half * 2] * factor[half], sums[n][half * 2 + 1] * factor[half]});
  }
}

// ---- On the host ---------------------------------------------------------------------------------------------------

inline const char* wrong_attention(const AttentionArgs& k) {
  if (k.queries < 0 || k.keys < 0 || k.queries > kMaxBlocks || k.keys > kMaxBlocks)
    return "attention: queries and keys must be from 0 to 2,147,483,647";
  if (k.crops < 0 || k.crops > 1 << 24) return "attention: crops must be from 0 to 16,777,216";
  if (k.heads < 1 || k.heads > 65535) return "attention: heads must be from 1 to 65535";
  if (k.dim < 8 || k.dim > 128 || k.dim % 8 != 0)
    return "attention: a head's dim must be a multiple of 8 from 8 to 128; pad it with zeros, or take another "
           "attention";
  const int64_t width = int64_t(k.heads) * k.dim;
  if (k.query_stride < width || k.key_stride < width)
    return "attention: query_stride and key_stride must be at least heads times dim";
  if (k.crops == 0 && (k.queries > 0 || k.keys > 0)) return "attention: rows of no crop";
  return nullptr;
}

// Whether rows of `size` bytes a number may be moved 16 bytes at a time.
inline bool wide_rows(const AttentionArgs& k, int64_t size) {
  return aligned(k.query, k.key, k.value, k.out) && k.query_stride * size % 16 == 0 && k.key_stride * size % 16 == 0;
}

}  // namespace udi::cuda
