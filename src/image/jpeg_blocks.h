// The loop over a run of MCUs, one text for every kind of processor: each kernel's file compiles it with its transform.
#pragma once

#include <algorithm>
#include <cstring>

#include "image/jpeg_kernels.h"

namespace udi {

// The coefficient in zigzag order that goes to each block_place, and the other way round.
struct Zigzag {
  uint8_t from[kBlockSize] = {}, place[kBlockSize] = {};
  constexpr Zigzag() {
    int row = 0, column = 0;
    for (int k = 0; k < kBlockSize; ++k) {
      place[k] = uint8_t(block_place(row, column));
      from[place[k]] = uint8_t(k);
      const bool up = (row + column) % 2 == 0;
      const bool turn = up ? row == 0 || column == 7 : column == 0 || row == 7;
      if (turn) {
        (up == (column < 7 && row < 7) ? column : row) += 1;
      } else {
        row += up ? -1 : 1;
        column += up ? 1 : -1;
      }
    }
  }
};
alignas(64) constexpr Zigzag kZigzag;

// All samples alike: what the transform makes of the first coefficient alone.
UDI_INLINE void fill_block(int first, int quant, uint8_t* out, size_t pitch) {
  const int16_t scaled = int16_t(uint16_t(uint32_t(first) * uint32_t(quant) * 4));
  const int sample = std::min(std::max((scaled + 16) >> 5, -128), 127) + 128;
  const uint64_t row = uint64_t(sample) * 0x0101010101010101u;
  for (int y = 0; y < 8; ++y) std::memcpy(out + size_t(y) * pitch, &row, sizeof row);
}

typedef int8_t HalfBlock __attribute__((vector_size(32)));

UDI_INLINE void clear(int8_t* coefficients) {
  auto* halves = reinterpret_cast<HalfBlock*>(coefficients);
  halves[0] = halves[1] = HalfBlock{};
}

// transform(block, quant, out, pitch): quant at block_place, aligned to 64 bytes; out: 8 x 8 samples.
template <class Transform>
UDI_INLINE bool decode_blocks(JpegPlane* planes, int count, int mcus, BitReader& shared, const uint8_t* end,
                              const Transform& transform) {
  BlockBytes block;
  block.wide = false;
  clear(block.high);
  BitReader reader = shared;
  for (int mcu = 0; mcu < mcus; ++mcu) {
    for (int p = 0; p < count; ++p) {
      JpegPlane& plane = planes[p];
      for (int down = 0; down < plane.down; ++down) {
        for (int across = 0; across < plane.across; ++across) {
          if (reader.at > end + 8) return false;
          clear(block.low);
          const BlockKind kind = read_block(*plane.dc, *plane.ac, reader, plane.previous, block);
          if (kind == BlockKind::kBad) return false;
          uint8_t* out = plane.samples + size_t(8 * down) * plane.pitch + size_t(8 * across);
          if (kind == BlockKind::kFlat) {
            fill_block(block.first, plane.quant[0], out, plane.pitch);
          } else {
            transform(block, plane.quant, out, plane.pitch);
          }
          if (block.wide) clear(block.high);
          block.wide = false;
        }
      }
      plane.samples += 8 * plane.across;
    }
  }
  shared = reader;
  return true;
}

}  // namespace udi
