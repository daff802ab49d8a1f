// Any processor: what the others are compared with.
#include <algorithm>

#include "image/jpeg_blocks.h"
#include "image/processor.h"

namespace udi {
namespace {

int16_t wrapped(int value) { return int16_t(uint16_t(value)); }
int32_t limited(int32_t value, int32_t low, int32_t high) { return std::min(std::max(value, low), high); }

uint32_t product_sum(int a, int x, int b, int y) { return uint32_t(a * x) + uint32_t(b * y); }

// Eight values `step` apart (Loeffler, Ligtenberg, Moschytz), rounded by `shift` bits. 32-bit sums wrap, too.
void transform8(const int16_t* in, int shift, int16_t* out, int step) {
  const auto x = [&](int i) { return int(in[i * step]); };
  const uint32_t half = 1u << (shift - 1);
  const uint32_t sum = uint32_t(wrapped(x(0) + x(4))) << 13, difference = uint32_t(wrapped(x(0) - x(4))) << 13;
  const uint32_t even2 = product_sum(x(2), k0_541, x(6), k0_541 - k1_847);
  const uint32_t even3 = product_sum(x(2), k0_541 + k0_765, x(6), k0_541);
  const uint32_t even[4] = {sum + even3, difference + even2, difference - even2, sum - even3};

  const int z3 = wrapped(x(7) + x(3)), z4 = wrapped(x(5) + x(1));
  const uint32_t z3_turned = product_sum(z3, k1_175 - k1_961, z4, k1_175);
  const uint32_t z4_turned = product_sum(z3, k1_175, z4, k1_175 - k0_390);
  const uint32_t odd[4] = {product_sum(x(7), -k0_899, x(1), k1_501 - k0_899) + z4_turned,
                           product_sum(x(3), k3_072 - k2_562, x(5), -k2_562) + z3_turned,
                           product_sum(x(3), -k2_562, x(5), k2_053 - k2_562) + z4_turned,
                           product_sum(x(7), k0_298 - k0_899, x(1), -k0_899) + z3_turned};
  for (int i = 0; i < 4; ++i) {
    out[i * step] = int16_t(limited(int32_t(even[i] + odd[i] + half) >> shift, INT16_MIN, INT16_MAX));
    out[(7 - i) * step] = int16_t(limited(int32_t(even[i] - odd[i] + half) >> shift, INT16_MIN, INT16_MAX));
  }
}

void transform(const BlockBytes& block, const int16_t* quant, uint8_t* out, size_t pitch) {
  int16_t values[64];
  bool first_row_alone = true;
  for (int row = 0; row < 8; ++row) {
    for (int column = 0; column < 8; ++column) {
      const int place = block_place(row, column), k = kZigzag.from[place];
      const int coefficient = k == 0 ? block.first : wrapped(block.low[k] + block.high[k] * 256);
      values[row * 8 + column] = wrapped(coefficient * quant[place]);
      if (row > 0 && coefficient != 0) first_row_alone = false;
    }
  }
  for (int column = 0; column < 8; ++column) {
    if (!first_row_alone) {
      transform8(values + column, 11, values + column, 8);
    } else {
      const int16_t first = wrapped(values[column] * 4);
      for (int row = 0; row < 8; ++row) values[row * 8 + column] = first;
    }
  }
  for (int row = 0; row < 8; ++row) {
    transform8(values + row * 8, 18, values + row * 8, 1);
    for (int i = 0; i < 8; ++i)
      out[size_t(row) * pitch + size_t(i)] = uint8_t(limited(values[row * 8 + i], -128, 127) + 128);
  }
}

bool decode(JpegPlane* planes, int count, int mcus, BitReader& reader, const uint8_t* end) {
  return decode_blocks(planes, count, mcus, reader, end, transform);
}

void widen(const uint8_t* near, const uint8_t* far, bool one_row, int width, uint8_t* out) {
  const int left_half = widen_half(one_row, 0), right_half = widen_half(one_row, 1);
  const auto column = [&](int i) { return 3 * near[i] + far[i]; };
  for (int i = 0; i < width; ++i) {
    const int here = 3 * column(i);
    out[2 * i] = uint8_t((here + column(std::max(i - 1, 0)) + left_half) >> 4);
    out[2 * i + 1] = uint8_t((here + column(std::min(i + 1, width - 1)) + right_half) >> 4);
  }
}

void colours(const uint8_t* luma, const uint8_t* blue, const uint8_t* red, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, rgb += 3) {
    const int y = luma[x], cb = blue[x] - 128, cr = red[x] - 128;
    rgb[0] = uint8_t(limited(y + ((91881 * cr + 32768) >> 16), 0, 255));
    rgb[1] = uint8_t(limited(y + ((-22554 * cb - 46802 * cr + 32768) >> 16), 0, 255));
    rgb[2] = uint8_t(limited(y + ((116130 * cb + 32768) >> 16), 0, 255));
  }
}

}  // namespace

const JpegKernels kJpegAny{decode, widen, colours};

const JpegKernels& jpeg_kernels() {
#if UDI_X86_KERNELS
  if (processor() != Processor::kAny) return kJpegAvx2;
#endif
  return kJpegAny;
}

}  // namespace udi
