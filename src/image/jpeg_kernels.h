// From coefficients to pixels, one implementation a kind of processor, all with the bits of libjpeg-turbo's own
// vector code for x86-64 (its accurate integer transform, its triangle filter, its colours), beyond the values that a
// picture can have, too: sums wrap in 16 bits where its sums do, and are limited where its are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image/jpeg_huffman.h"

namespace udi {

// The transform takes a block's coefficients in pairs of rows that it multiplies together: rows (0, 4), (2, 6), (7, 1),
// (3, 5), of each the columns 0, 4, 7, 1, 3, 5, 2, 6, so that pairs of columns meet by themselves in its second half.
constexpr int block_place(int row, int column) {
  constexpr int kPlace[8] = {0, 3, 6, 4, 1, 5, 7, 2}, kPair[8] = {0, 2, 1, 3, 0, 3, 1, 2},
                kSecond[8] = {0, 1, 0, 0, 1, 1, 1, 0};
  return kPair[row] * 16 + kPlace[column] * 2 + kSecond[row];
}

// The transform's constants, with 13 bits behind the point.
constexpr int k0_298 = 2446, k0_390 = 3196, k0_541 = 4433, k0_765 = 6270, k0_899 = 7373, k1_175 = 9633, k1_501 = 12299,
              k1_847 = 15137, k1_961 = 16069, k2_053 = 16819, k2_562 = 20995, k3_072 = 25172;

// What is added before the shift in the triangle filter, to the left and the right one of two new samples: half, but a
// little less in turn, so that the mean stays.
constexpr int widen_half(bool one_row, int right) {
  if (one_row) return right ? 8 : 4;
  return right ? 7 : 8;
}

constexpr int kPixelsAtOnce = 64;  // of every kernel, or a multiple of its own: rows have room for that many more

struct JpegPlane {
  int across, down;  // blocks of an MCU
  const DcTable* dc;
  const AcTable* ac;
  alignas(64) int16_t quant[kBlockSize];  // at block_place
  uint32_t previous;                      // first coefficient of the last block
  uint8_t* samples;                       // where the MCU goes that is next
  size_t pitch;
};

struct JpegKernels {
  // Reads `mcus` MCUs of as many planes and transforms them; samples moves on. False: no baseline stream, or beyond
  // `end`, behind which are kMostBytesOfABlock + 16 bytes to be read.
  bool (*decode)(JpegPlane* planes, int count, int mcus, BitReader& reader, const uint8_t* end);
  // A row of `width` samples becomes one of twice as many. far: the row above or below, where there are half as many
  // rows, too; with one_row, `near` itself. Reads one sample before each row; reads and writes up to kPixelsAtOnce
  // more.
  void (*widen)(const uint8_t* near, const uint8_t* far, bool one_row, int width, uint8_t* out);
  // YCbCr becomes RGB [width, 3]; nothing behind it is written to.
  void (*colours)(const uint8_t* luma, const uint8_t* blue, const uint8_t* red, int width, uint8_t* rgb);
};

const JpegKernels& jpeg_kernels();  // for processor()

extern const JpegKernels kJpegAny, kJpegAvx2;

}  // namespace udi
