// Counter-based random numbers (Philox 4x32-10, Salmon et al., SC 2011): a draw depends on its key and its place alone,
// never on what another thread drew. Keys are (seed, stream, index): stream says what is drawn and in which epoch.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace udi {

class Random {
 public:
  // What the numbers are for; streams of different purposes never meet.
  enum Purpose : uint32_t { kInit = 1, kOrder = 2, kView = 3, kDropPath = 4, kReplace = 5, kDraw = 6, kTest = 99 };

  Random(uint64_t seed, Purpose purpose, uint64_t epoch = 0, uint64_t index = 0)
      : key_{uint32_t(seed), uint32_t(seed >> 32)},
        purpose_epoch_(uint32_t(purpose) << 24 ^ uint32_t(epoch)),
        index_(index) {}

  uint32_t next() {
    if (used_ == 4) refill();
    return block_[used_++];
  }
  uint64_t next64() {
    const uint64_t low = next();
    return uint64_t(next()) << 32 | low;
  }
  // [0, 1) with 53 bits.
  double uniform() { return double(next64() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  bool chance(double probability) { return uniform() < probability; }
  // [0, count), without bias.
  uint64_t below(uint64_t count) {
    const uint64_t limit = UINT64_MAX - UINT64_MAX % count;
    uint64_t draw = next64();
    while (draw >= limit) draw = next64();
    return draw % count;
  }
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

 private:
  void refill() {
    std::array<uint32_t, 4> x = {counter_++, purpose_epoch_, uint32_t(index_), uint32_t(index_ >> 32)};
    uint32_t k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t(0xD2511F53u) * x[0], p1 = uint64_t(0xCD9E8D57u) * x[2];
      x = {uint32_t(p1 >> 32) ^ x[1] ^ k0, uint32_t(p1), uint32_t(p0 >> 32) ^ x[3] ^ k1, uint32_t(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    block_ = x;
    used_ = 0;
  }

  std::array<uint32_t, 2> key_;
  uint32_t purpose_epoch_;
  uint64_t index_;
  uint32_t counter_ = 0;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace udi
