// Matrix products on the CPU in fewer bits, sisters of gemm.h: rows in 8 bits by weights in 8 bits, with exact sums of
// whole numbers; or both in bfloat16, with float32 sums. A word of four bytes holds several numbers of the depth, which
// one instruction multiplies and adds up; everything else is as for floats: panels, tiles, what a product ends with.
#pragma once

#include "model/gemm.h"

namespace udi::gemm {

enum class Bits { kInt8, kBf16 };

// One processor's kernels for one kind of numbers.
struct Narrow {
  const char* name;
  Bits bits;
  const Kernels* words;  // packs words into panels, and takes softmax of what the products give
  int64_t numbers;       // in a word: 4 bytes, 2 bfloat16, or 2 bytes as 16 bits
  // Rows of `depth` floats, `stride` apart, as the product reads them: row_words() words each. In 8 bits a row's own
  // range, smallest to largest, is divided into 255 steps, and ranges [count] says how; a row that is not finite, or
  // wider than a float, gets a range of NaN, which its products become. bfloat16: to nearest; ranges is not read.
  void (*rows)(const float* rows, int64_t count, int64_t stride, int64_t depth, float* out, Range* ranges);
  void (*product)(const Product& product);
};

// Those of this processor, the best first, ending with null; bytes run on every processor, bfloat16 where it has
// instructions for them: without they are slower than floats by far.
const Narrow* const* all_narrow(Bits bits);
const Narrow* narrow(Bits bits);  // the best, or what use() said; null: none

// For tests: another of all_narrow() from here on, for its kind; or as on a processor that has none.
void use(const Narrow& kernels);
void pretend_none(Bits bits);
void use_best_narrow();

// Sums of more products of bytes than this could leave 32 bits.
constexpr int64_t kMostBytes = ((1ll << 31) - 1) / (255 * 128);

// Words of `depth` numbers, and of a row of them, which ends with a whole vector.
inline int64_t words(const Narrow& k, int64_t depth) { return (depth + k.numbers - 1) / k.numbers; }
inline int64_t row_words(const Narrow& k, int64_t depth) { return (depth + 15) / 16 * 16 / k.numbers; }

}  // namespace udi::gemm
