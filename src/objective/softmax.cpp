#include "objective/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/lanes.h"

namespace udi {
namespace {

using namespace lanes;

constexpr int64_t kTile = 1024;

// The target over one tile.
UDI_INLINE void mix_tile(const TargetMix& target, int64_t at, int64_t size, float* out) {
  std::fill(out, out + size, 0.0f);
  for (int64_t i = 0; i < target.count; ++i) {
    const float* const row = target.row[i] + at;
    const float share = target.share[i];
    each(size, [&](int64_t k, int n) UDI_LAMBDA { store(out + k, load(out + k, n) + share * load(row + k, n), n); });
  }
}

}  // namespace

UDI_CLONES SoftmaxRow softmax_row(float* row, const float* center, int64_t size, float sharpness) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  Floats highest = Floats{} + kLowest;
  each(size, [&](int64_t k, int n) UDI_LAMBDA {
    const Floats x = first(load(row + k, n) - load(center + k, n), n, kLowest);
    highest = x > highest ? x : highest;
  });
  const float most = lanes::max(highest);
  double total = 0, dot = 0;
  for (int64_t at = 0; at < size; at += kTile) {
    Floats tile_total{}, tile_dot{};
    each(std::min(kTile, size - at), [&](int64_t k, int n) UDI_LAMBDA {
      const Floats u = (load(row + at + k, n) - load(center + at + k, n) - most) * sharpness;
      const Floats e = first(lanes::exp(u), n);
      tile_total += e;
      tile_dot += e * first(u, n);
      store(row + at + k, e, n);
    });
    total += lanes::sum(tile_total);
    dot += lanes::sum(tile_dot);
  }
  return {total, std::log(total) - dot / total};
}

UDI_CLONES double cross_entropy_row(float* row, int64_t size, float sharpness, const TargetMix& target, double weight) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  Floats highest = Floats{} + kLowest;
  each(size, [&](int64_t k, int n) UDI_LAMBDA {
    const Floats x = first(load(row + k, n), n, kLowest);
    highest = x > highest ? x : highest;
  });
  const float most = lanes::max(highest);
  double total = 0, dot = 0;
  alignas(64) float mix[kTile];
  for (int64_t at = 0; at < size; at += kTile) {
    const int64_t tile = std::min(kTile, size - at);
    mix_tile(target, at, tile, mix);
    Floats tile_total{}, tile_dot{};
    each(tile, [&](int64_t k, int n) UDI_LAMBDA {
      const Floats u = (load(row + at + k, n) - most) * sharpness;
      const Floats e = first(lanes::exp(u), n);
      tile_total += e;
      tile_dot += load(mix + k, n) * first(u, n);
      store(row + at + k, e, n);
    });
    total += lanes::sum(tile_total);
    dot += lanes::sum(tile_dot);
  }
  // The gradient of target.total * log(sum of exponentials) - sum of target * x.
  const float student = float(weight * sharpness * target.total / total), teacher = float(weight * sharpness);
  for (int64_t at = 0; at < size; at += kTile) {
    const int64_t tile = std::min(kTile, size - at);
    mix_tile(target, at, tile, mix);
    each(tile, [&](int64_t k, int n) UDI_LAMBDA {
      store(row + at + k, student * load(row + at + k, n) - teacher * load(mix + k, n), n);
    });
  }
  return std::log(total) * target.total - dot;
}

}  // namespace udi
