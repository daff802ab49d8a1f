// Float32 matrix products on the CPU by kernels of our own, for the widest instructions that the processor has. Each
// number of a product is summed in the order of the depth, one addition after the other, whatever the number of rows
// and threads: a row's bits do not depend on the rows beside it.
//
// The right side is packed once and used often: weights, or the keys and values of a head. The left side and the result
// are plain rows. Everything here runs on the calling thread and allocates nothing.
#pragma once

#include <cstdint>

namespace udi::gemm {

// A row of bytes stands for the numbers scale * byte + low.
struct Range {
  float scale, low;
};

// out = a b + bias + add, then GELU. Strides are in floats. For products in fewer bits (narrow.h) a and b hold words of
// four bytes, several numbers each, and the depth counts these.
struct Product {
  int64_t rows = 0, columns = 0, depth = 0;
  const float* a = nullptr;  // [rows, depth]
  int64_t a_stride = 0;
  bool a_packed = false;     // by pack_rows, all of these rows and no more
  const float* b = nullptr;  // [depth, columns], packed
  int64_t b_stride = 0;      // from panel to panel: the whole depth of b times the panel's width
  float* out = nullptr;      // [rows, columns]; with `padded` there is room up to whole panels, and it is used
  int64_t out_stride = 0;
  const float* bias = nullptr;  // [columns], or none
  const float* add = nullptr;   // [rows, columns], or none; may be out
  int64_t add_stride = 0;
  bool gelu = false;        // exact (erf), within 3e-7
  float* before = nullptr;  // with gelu: gets what goes into it, strides as out; or none
  bool padded = false;
  // Of bytes alone:
  const Range* ranges = nullptr;        // [rows], of a
  const float* column_scale = nullptr;  // what a whole number of b stands for: [columns], with room up to whole panels
  const float* column_sum = nullptr;    // the sum of a column's whole numbers, likewise
};

// One processor's kernels.
struct Kernels {
  const char* name;
  int64_t panel;      // columns of b that are packed together
  int64_t tile_rows;  // rows of a that are worked on together
  // b [depth, columns], whose element (k, n) lies at k * depth_stride + n * column_stride, into ceil(columns / panel)
  // panels of depth x panel floats, the last one filled up with zeros.
  void (*pack)(const float* b, int64_t depth_stride, int64_t column_stride, int64_t depth, int64_t columns, float* out);
  // a [rows, depth], whose element (m, k) lies at m + k * depth_stride, into rows * depth floats: a Product's a, with
  // a_packed and an a_stride of depth.
  void (*pack_rows)(const float* a, int64_t depth_stride, int64_t depth, int64_t rows, float* out);
  void (*product)(const Product& product);
  // Each row of n numbers becomes softmax(scale row). Rows have room up to whole panels, and it is used.
  void (*softmax)(float* rows, int64_t count, int64_t stride, int64_t n, float scale);
};

// Those of this processor, the best first; the last one runs on every processor. There is always one.
const Kernels* const* all_kernels();  // ends with null
const Kernels& kernels();             // the best, or what use() said

// For tests: another of all_kernels() from here on, null for the best. What is packed is packed for one of them.
void use(const Kernels* kernels);

// Of the left side, kept in the second cache: half of it.
int64_t block_words();

inline int64_t panels(const Kernels& k, int64_t columns) { return (columns + k.panel - 1) / k.panel; }
inline int64_t padded(const Kernels& k, int64_t columns) { return panels(k, columns) * k.panel; }
// Floats that pack() writes.
inline int64_t packed_size(const Kernels& k, int64_t depth, int64_t columns) { return depth * padded(k, columns); }

}  // namespace udi::gemm
