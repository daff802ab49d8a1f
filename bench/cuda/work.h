// What each kernel has to move and to compute: bytes that must cross device memory once, whatever a cache spares or a
// kernel reads twice; operations, an exponential or a root counting as one.
#pragma once

#include <cstdint>

namespace udi::cuda::bench {

struct Work {
  int64_t bytes, operations;
};

// t: bytes of an activation, 2 or 4. Statistics are two floats a row; parts of column sums are written and read again.

constexpr Work norm_forward(int64_t rows, int64_t dim, int64_t t, bool branch) {
  return {rows * dim * (branch ? 4 + t + 4 + t : 4 + t) + rows * 8, rows * dim * (branch ? 11 : 8)};
}

constexpr Work norm_backward(int64_t rows, int64_t dim, int64_t t, bool branch) {
  const int64_t blocks = (rows + 63) / 64;
  return {rows * dim * (t + 4 + 4 + 4 + (branch ? t : 0)) + rows * 8 + 2 * blocks * 3 * dim * 4,
          rows * dim * (branch ? 17 : 15)};
}

constexpr Work gelu_forward(int64_t rows, int64_t dim, int64_t t, bool keep) {
  return {rows * dim * (keep ? 3 : 2) * t, rows * dim * 6};
}

constexpr Work gelu_backward(int64_t rows, int64_t dim, int64_t t) {
  const int64_t blocks = (rows + 63) / 64;
  return {rows * dim * 4 * t + 2 * blocks * dim * 4, rows * dim * 13};
}

constexpr Work patches(int64_t pixels, int64_t in, int64_t t) { return {pixels * (in + t), pixels * 3}; }

constexpr Work targets(int64_t rows, int64_t prototypes, int64_t t) {
  return {rows * prototypes * t, rows * prototypes * 6};
}

// shares: targets that a student row has on average, times 2.
constexpr Work cross_entropy(int64_t rows, int64_t target_rows, int64_t prototypes, int64_t t, int64_t shares_twice) {
  return {(2 * rows + target_rows) * prototypes * t, rows * prototypes * (10 + shares_twice * 5)};
}

// Gradient twice (norms, update); weight, two moments and teacher in and out; two 16-bit copies.
constexpr Work update(int64_t weights) { return {weights * (4 + 4 + 4 * 8 + 2 * 2), weights * 18}; }

constexpr Work weight_norm(int64_t rows, int64_t dim, int64_t t) {
  return {rows * dim * (4 + t) + rows * 4, rows * dim * 3};
}

constexpr Work weight_norm_backward(int64_t rows, int64_t dim) { return {rows * dim * 12 + rows * 12, rows * dim * 7}; }

// Tokens count once, and no more than there are or are asked for.
constexpr int64_t touched(int64_t tokens, int64_t queries, int64_t taps) {
  return queries * taps < tokens ? queries * taps : tokens;
}

constexpr Work srs_gather(int64_t images, int64_t tokens, int64_t queries, int64_t taps, int64_t dim, int64_t t) {
  return {images * ((touched(tokens, queries, taps) + queries) * dim * t + queries * taps * 12 + queries * 4),
          images * queries * taps * dim * 2};
}

constexpr Work srs_scatter(int64_t images, int64_t tokens, int64_t queries, int64_t taps, int64_t dim, int64_t t) {
  return {images * ((2 * touched(tokens, queries, taps) + queries) * dim * t + queries * taps * 12),
          images * queries * taps * dim * 2};
}

// pairs: of a query and a key of one crop, over all crops. Two products forward, five on the way back, whatever a
// kernel makes twice; softmax: scale, largest, exponential, sum, and likewise.
constexpr Work attention(int64_t queries, int64_t keys, int64_t pairs, int64_t heads, int64_t dim, int64_t t) {
  return {heads * ((2 * queries + 2 * keys) * dim * t + queries * 4), heads * pairs * (4 * dim + 4)};
}

// Reads query, key, value, out, its gradient and log_sum; writes three gradients, and a sum a query that it reads
// again.
constexpr Work attention_backward(int64_t queries, int64_t keys, int64_t pairs, int64_t heads, int64_t dim, int64_t t) {
  return {heads * ((4 * queries + 4 * keys) * dim * t + queries * 12), heads * pairs * (10 * dim + 5)};
}

// Crops of `size` out of boxes of height x width: bytes of the box and the crop once, and the crop once more each way
// for colours and for each axis of blur, where it has them (shares of the crops). Operations: a product and a sum for
// each of the inputs of each output, in both passes, rows first.
constexpr Work augment(int64_t crops, int64_t channels, int64_t size, int64_t height, int64_t width, double coloured,
                       double blurred) {
  const int64_t box = height * width * channels, crop = size * size * channels;
  const double passes = 2 * coloured + 4 * blurred;
  const int64_t across = width > size ? 4 * width : 4 * size, down = height > size ? 4 * height : 4 * size;
  return {crops * (box + crop) + int64_t(double(crops * crop) * passes),
          crops * channels * 2 * (height * across + size * down)};
}

}  // namespace udi::cuda::bench
