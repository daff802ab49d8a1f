// The passes over rows of logits that a cross-entropy needs, on the CPU in float32: plain memory in, plain memory out.
// Sums are taken in float32 over at most 1,024 elements, then in float64.
#pragma once

#include <cstdint>

namespace udi {

struct SoftmaxRow {
  double sum;      // of the exponentials that the row now holds; divide by it to get probabilities
  double entropy;  // of these probabilities, in nats
};

// row[k] becomes exp((row[k] - center[k]) * sharpness - their largest), so probabilities are row[k] / sum.
SoftmaxRow softmax_row(float* row, const float* center, int64_t size, float sharpness);

// A target is sum_i share[i] * row[i][k]: the rows of softmax_row, their sums divided out by the shares.
struct TargetMix {
  const float* const* row;
  const float* share;
  int64_t count;
  double total;  // of the target over all k: 1 for a distribution
};

// The cross-entropy -sum_k target[k] log_softmax(row * sharpness)[k]. row becomes `weight` times its gradient.
double cross_entropy_row(float* row, int64_t size, float sharpness, const TargetMix& target, double weight);

}  // namespace udi
