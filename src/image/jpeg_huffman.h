// Entropy-coded blocks of a baseline JPEG (ITU-T T.81, annex F.2): tables that give several codes and their values at
// once, and the loop over them. Which bits belong to the stream is known before; no marker and no stuffed byte is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/simd.h"
#include "image/jpeg_header.h"

namespace udi {

constexpr int kLookBits = 10;            // looked up at once: with more, two tables would fill the first-level cache
constexpr int kBlockSize = 64;           // coefficients
constexpr int kMostBytesOfABlock = 256;  // 64 values of at most 16 + 15 bits

// A block's coefficients in zigzag order, each the sum of a byte and, where one is not enough (`wide`), 256 times
// another. Those after the first are all zero before they are read. What stands behind them is nobody's.
struct BlockBytes {
  alignas(64) int8_t low[kBlockSize + 32], high[kBlockSize + 32];
  int16_t first;  // in both bytes' stead
  bool wide;
};

// Codes alone: found by their first kLookBits bits, or by comparing.
struct HuffmanTable {
  uint16_t look[1 << kLookBits];  // bits of the code << 8 | symbol; 0: the code is longer, or is none
  uint32_t limit[17];             // [length]: codes of that length and shorter ones are less, as 16 bits from the left
  int32_t offset[17];             // [length]: symbol's place minus the code
  uint8_t symbols[256];

  // False: the counts are those of no prefix code, or one code is all ones.
  bool build(const JpegCodes& codes);
};

// Differences of the first coefficient.
struct DcTable {
  JpegCodes codes;  // that it was built for
  HuffmanTable table;
  uint32_t look[1 << kLookBits];  // value << 8 | bits of code and value; 0: not all in kLookBits bits

  bool build(const JpegCodes& codes);
};

// The other coefficients, as many at once as kLookBits bits hold. An entry has, from the lowest bit on: all its bits
// (6), 0 where not even one coefficient fits; how far the place moves on (6); whether the block ends (1); half the
// zeros before the bytes (3); six coefficients, one byte each. Bytes that are not meant are 0 and will be written over.
struct AcTable {
  static constexpr int kMoveAt = 6, kEndAt = 12, kZerosAt = 13, kBytesAt = 16, kBytes = 6;

  JpegCodes codes;
  HuffmanTable table;
  uint64_t look[1 << kLookBits];

  bool build(const JpegCodes& codes);
};

// The next bits of the stream, from the left, and where those behind them are. Copied into registers by who reads.
struct BitReader {
  uint64_t bits = 0;
  uint64_t count = 0;  // of bits, modulo 64: there are at most 63. The upper bits are anything
  const uint8_t* at = nullptr;

  // At least 56 bits. Reads eight bytes at `at`.
  UDI_INLINE void refill() {
    uint64_t next;
    std::memcpy(&next, at, 8);
    bits |= __builtin_bswap64(next) >> (count & 63);
    at += ~count >> 3 & 7;
    count |= 56;
  }
  UDI_INLINE uint64_t peek(int n) const { return bits >> (64 - n); }
  // As many bits as the lowest six bits of n say.
  UDI_INLINE void drop(uint64_t n) {
    bits <<= n & 63;
    count -= n;
  }
  // Undoes drop(n).
  UDI_INLINE void give_back(uint64_t n) {
    const uint64_t left = (count & 63) + (n & 63), bytes = (left + 7) / 8;
    *this = BitReader{0, 0, at - bytes};
    refill();
    drop(8 * bytes - left);
  }
  int64_t taken(const uint8_t* begin) const { return (at - begin) * 8 - int64_t(count & 63); }  // bits since `begin`
};

// The next symbol; -1: no code begins with these bits. At most 16 bits.
UDI_INLINE int read_symbol(const HuffmanTable& table, BitReader& reader) {
  const uint64_t found = table.look[reader.peek(kLookBits)];
  if (found) {
    reader.drop(found >> 8);
    return int(found & 255);
  }
  const uint64_t code = reader.peek(16);
  int length = kLookBits + 1;
  while (length <= 16 && code >= table.limit[length]) ++length;
  if (length > 16) return -1;
  reader.drop(uint64_t(length));
  return table.symbols[int(code >> (16 - length)) + table.offset[length]];
}

// The number that `size` bits stand for, 1 to 15 (figure F.12).
UDI_INLINE int number_of(int bits, int size) { return bits >> (size - 1) ? bits : bits - (1 << size) + 1; }

UDI_INLINE int read_number(BitReader& reader, int size) {
  const int bits = int(reader.peek(size));
  reader.drop(uint64_t(size));
  return number_of(bits, size);
}

enum class Slow { kBad, kValue, kEnd };

// One coefficient after the first, or zeros, or the end of the block.
UDI_INLINE Slow read_slowly(const AcTable& ac, BitReader& reader, uint64_t& k, BlockBytes& block) {
  const int symbol = read_symbol(ac.table, reader);
  if (symbol < 0) return Slow::kBad;
  const int zeros = symbol >> 4, size = symbol & 15;
  if (size == 0 && zeros != 15) return Slow::kEnd;
  k += uint64_t(zeros);
  if (size > 0) {
    const int value = read_number(reader, size);
    block.low[k] = int8_t(uint8_t(value));
    if (value != int8_t(uint8_t(value))) {
      block.high[k] = int8_t(uint8_t((value - int8_t(uint8_t(value))) >> 8));
      block.wide = true;
    }
  }
  ++k;
  return k > kBlockSize ? Slow::kBad : Slow::kValue;
}

enum class BlockKind { kBad, kFlat, kFull };  // kFlat: nothing but the first coefficient

// previous: the first coefficient of the component's last block. Reads at most kMostBytesOfABlock bytes and 8 more.
UDI_INLINE BlockKind read_block(const DcTable& dc, const AcTable& ac, BitReader& shared, uint32_t& previous,
                                BlockBytes& block) {
  BitReader reader = shared;
  reader.refill();
  const uint32_t first = dc.look[reader.peek(kLookBits)];
  if (__builtin_expect(first != 0, 1)) {
    reader.drop(first);
    previous += uint32_t(int32_t(first) >> 8);
  } else {
    const int size = read_symbol(dc.table, reader);
    if (size < 0) return BlockKind::kBad;
    if (size > 0) previous += uint32_t(read_number(reader, size));
  }
  block.first = int16_t(previous);

  uint64_t k = 1, entry = 0;
  for (;;) {
    reader.refill();
#pragma GCC unroll 5
    for (int i = 0; i < 56 / kLookBits; ++i) {
      entry = ac.look[reader.peek(kLookBits)];
      if (__builtin_expect((entry & 63) == 0, 0)) goto slow;
      const uint64_t bytes = entry >> AcTable::kBytesAt;
      std::memcpy(block.low + k + (entry >> (AcTable::kZerosAt - 1) & 14), &bytes, sizeof bytes);
      reader.drop(entry);
      k += entry >> AcTable::kMoveAt & 127;  // the end of the block is 64 more
      if (k >= kBlockSize) goto ended;
    }
    continue;
  slow:
    reader.refill();
    const Slow read = read_slowly(ac, reader, k, block);
    if (read == Slow::kBad) return BlockKind::kBad;
    if (read == Slow::kEnd || k == kBlockSize) {
      shared = reader;
      return k == 1 ? BlockKind::kFlat : BlockKind::kFull;
    }
  }

ended:
  k -= entry >> AcTable::kEndAt << 6 & 64;
  const bool over = k > kBlockSize - (entry >> AcTable::kEndAt & 1);
  if (__builtin_expect(over, 0)) {
    // Some of what was read at once belongs to the next block.
    k -= entry >> AcTable::kMoveAt & 63;
    reader.give_back(entry);
    while (k < kBlockSize) {
      reader.refill();
      const Slow read = read_slowly(ac, reader, k, block);
      if (read == Slow::kBad) return BlockKind::kBad;
      if (read == Slow::kEnd) break;
    }
  }
  shared = reader;
  return k == 1 ? BlockKind::kFlat : BlockKind::kFull;
}

}  // namespace udi
