#include "train/checksum.h"

#include <cstring>

namespace udi {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87u, kPrime2 = 0xC2B2AE3D27D4EB4Fu, kPrime3 = 0x165667B19E3779F9u,
                   kPrime4 = 0x85EBCA77C2B2AE63u, kPrime5 = 0x27D4EB2F165667C5u;

uint64_t turn(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

// Little-endian, as the format says and every processor we build for has it.
template <class Word>
Word take(const uint8_t*& at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  at += sizeof word;
  return word;
}

uint64_t mix(uint64_t lane, uint64_t word) { return turn(lane + word * kPrime2, 31) * kPrime1; }

}  // namespace

uint64_t xxh64(const void* data, size_t size, uint64_t seed) {
  const uint8_t* at = static_cast<const uint8_t*>(data);
  const uint8_t* const end = at + size;
  uint64_t hash = seed + kPrime5;
  if (size >= 32) {
    uint64_t lanes[4] = {seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
    while (end - at >= 32) {
      for (uint64_t& lane : lanes) lane = mix(lane, take<uint64_t>(at));
    }
    hash = turn(lanes[0], 1) + turn(lanes[1], 7) + turn(lanes[2], 12) + turn(lanes[3], 18);
    for (const uint64_t lane : lanes) hash = (hash ^ mix(0, lane)) * kPrime1 + kPrime4;
  }
  hash += size;
  while (end - at >= 8) hash = turn(hash ^ mix(0, take<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  if (end - at >= 4) hash = turn(hash ^ take<uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
  while (at < end) hash = turn(hash ^ take<uint8_t>(at) * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

std::string xxh64_hex(const void* data, size_t size) {
  uint64_t hash = xxh64(data, size);
  std::string hex(16, '0');
  for (int i = 15; i >= 0; --i, hash >>= 4) hex[size_t(i)] = "0123456789abcdef"[hash & 15];
  return hex;
}

}  // namespace udi
