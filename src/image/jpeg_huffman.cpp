#include "image/jpeg_huffman.h"

#include <algorithm>

namespace udi {
namespace {

constexpr uint32_t kLooks = 1u << kLookBits;

// The number that the `size` bits after `used` ones of a look-up's index stand for.
int number_at(uint32_t index, int used, int size) {
  return number_of(int(index >> (kLookBits - used - size) & ((1u << size) - 1)), size);
}

// What the first bits of a look-up's index mean: a coefficient after zeros, sixteen zeros, or the end of the block.
struct Item {
  int8_t bits;  // 0: more than the index has, or the coefficient is wider than a byte
  int8_t zeros, value;
  bool end;
};

Item item_at(const HuffmanTable& table, uint32_t index) {
  const int length = table.look[index] >> 8, zeros = table.look[index] >> 4 & 15, size = table.look[index] & 15;
  if (length == 0 || length + size > kLookBits || size > 8) return {};
  const int value = size > 0 ? number_at(index, length, size) : 0;
  if (value != int8_t(value)) return {};
  return {int8_t(length + size), int8_t(zeros), int8_t(value), size == 0 && zeros != 15};
}

}  // namespace

bool HuffmanTable::build(const JpegCodes& codes) {
  std::fill(std::begin(look), std::end(look), uint16_t(0));
  std::copy(codes.symbols.begin(), codes.symbols.end(), symbols);
  uint32_t code = 0;
  int place = 0;
  for (int length = 1; length <= 16; ++length) {
    code *= 2;
    offset[length] = place - int32_t(code);
    for (int i = 0; i < codes.counts[size_t(length - 1)]; ++i, ++code, ++place) {
      if (code + 1 >= 1u << length || place > 255) return false;
      if (length > kLookBits) continue;
      const uint16_t entry = uint16_t(length << 8 | symbols[place]);
      std::fill_n(look + (code << (kLookBits - length)), 1 << (kLookBits - length), entry);
    }
    limit[length] = code << (16 - length);
  }
  return true;
}

bool DcTable::build(const JpegCodes& from) {
  if (from == codes) return true;
  codes.defined = false;
  if (!table.build(from)) return false;
  for (const uint8_t size : from.symbols) {
    if (size > 15) return false;
  }
  for (uint32_t index = 0; index < kLooks; ++index) {
    const int length = table.look[index] >> 8, size = table.look[index] & 255;
    const bool all = length && length + size <= kLookBits;
    const int value = all && size > 0 ? number_at(index, length, size) : 0;
    look[index] = all ? uint32_t(value) << 8 | uint32_t(length + size) : 0;
  }
  codes = from;
  return true;
}

bool AcTable::build(const JpegCodes& from) {
  if (from == codes) return true;
  codes.defined = false;
  if (!table.build(from)) return false;
  Item items[kLooks];
  for (uint32_t index = 0; index < kLooks; ++index) items[index] = item_at(table, index);
  for (uint32_t index = 0; index < kLooks; ++index) {
    const int skipped = items[index].zeros & 14;
    uint64_t entry = uint64_t(skipped / 2) << kZerosAt;
    int bits = 0, moved = 0;
    for (;;) {
      const Item& item = items[index << bits & (kLooks - 1)];
      if (item.bits == 0 || bits + item.bits > kLookBits) break;
      if (!item.end && moved + item.zeros - skipped >= kBytes) break;
      bits += item.bits;
      if (item.end) {
        entry |= uint64_t(1) << kEndAt;
        break;
      }
      moved += item.zeros + 1;
      entry |= uint64_t(uint8_t(item.value)) << (kBytesAt + 8 * (moved - 1 - skipped));
    }
    look[index] = bits > 0 ? entry | uint64_t(moved) << kMoveAt | uint64_t(bits) : 0;
  }
  codes = from;
  return true;
}

}  // namespace udi
