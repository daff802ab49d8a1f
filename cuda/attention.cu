#include "attention_tile.h"

namespace udi::cuda {

namespace {

// ---- 16 bits: a block takes a tile of queries, a warp 16 of them, and goes through tiles of keys ------------------

// Of a warp's queries lane / 4 and lane / 4 + 8: the largest score so far, and this lane's part of the sum of 2^(score
// - most); scores are in units of log 2.
struct Softmax {
  float most[2] = {-INFINITY, -INFINITY}, total[2] = {};
};

// Scores of kRows keys become probabilities times 2^-most of each row; factor takes what was summed before to the new
// most. Where all were -infinity nothing was summed.
template <int kRows>
__device__ void soften(Softmax& softmax, float (&scores)[kRows / 8][4], float sharpness, int keys, float (&factor)[2]) {
  const int column = threadIdx.x % 4 * 2;
  float most[2] = {softmax.most[0], softmax.most[1]};
#pragma unroll
  for (int n = 0; n < kRows / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (n * 8 + column + i % 2 >= keys) scores[n][i] = -INFINITY;
      most[i / 2] = fmaxf(most[i / 2], scores[n][i] * sharpness);
    }
  }
  float base[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    most[half] = fmaxf(most[half], __shfl_xor_sync(kAll, most[half], 1));
    most[half] = fmaxf(most[half], __shfl_xor_sync(kAll, most[half], 2));
    base[half] = most[half] == -INFINITY ? 0 : most[half];
    factor[half] = quick_exp2(softmax.most[half] - base[half]);
    softmax.most[half] = most[half];
    softmax.total[half] *= factor[half];
  }
#pragma unroll
  for (int n = 0; n < kRows / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[n][i] = quick_exp2(fmaf(scores[n][i], sharpness, -base[i / 2]));
      softmax.total[i / 2] += scores[n][i];
    }
  }
}

template <class T, int kDim>
__global__ void __launch_bounds__(Block<T, kDim>::kThreads, 4) forward(AttentionArgs k, bool wide) {
  constexpr int kRows = Block<T, kDim>::kRows, kThreads = Block<T, kDim>::kThreads;
  __shared__ Tile<T, kRows, kDim> tiles[2][2];  // keys and values of this round and the next; queries before the first
  const Place at = place_of(k, k.query_begin, kRows);
  if (at.first >= at.queries) return;
  const int lane = threadIdx.x % kLanes, strip = threadIdx.x / kLanes * kStrip, head = blockIdx.y;
  const bool awake = at.first + strip < at.queries;  // others help to load
  const int64_t row = at.query + at.first;
  const T* const key = static_cast<const T*>(k.key) + at.key * k.key_stride + head * k.dim;
  const T* const value = static_cast<const T*>(k.value) + at.key * k.key_stride + head * k.dim;
  const auto load_round = [&](int stage, int first) {
    load_tile<kThreads>(tiles[stage][0], key + first * k.key_stride, k.key_stride, at.keys - first, k.dim, wide);
    load_tile<kThreads>(tiles[stage][1], value + first * k.key_stride, k.key_stride, at.keys - first, k.dim, wide);
  };
  load_tile<kThreads>(tiles[1][0], static_cast<const T*>(k.query) + row * k.query_stride + head * k.dim, k.query_stride,
                      at.queries - at.first, k.dim, wide);
  if (at.keys > 0) load_round(0, 0);
  wait_for_copies();
  __syncthreads();
  uint32_t queries[kDim / 16][4];
#pragma unroll
  for (int i = 0; i < kDim / 16; ++i) left_fragment(queries[i], tiles[1][0], strip, i * 16);
  __syncthreads();

  Softmax softmax;
  float out[kDim / 8][4] = {};
  const float sharpness = sharpness_of(k.dim);
  for (int first = 0, stage = 0; first < at.keys; first += kRows, stage ^= 1) {
    if (first + kRows < at.keys) load_round(stage ^ 1, first + kRows);
    const int keys = at.keys - first;
    if (awake) {
      float scores[kRows / 8][4] = {};
#pragma unroll
      for (int n = 0; n < kRows; n += 16) {
        if (n >= keys) break;
#pragma unroll
        for (int i = 0; i < kDim / 16; ++i) {
          uint32_t right[4];
          right_fragments_of_rows(right, tiles[stage][0], n, i * 16);
          multiply_add<T>(scores[n / 8], queries[i], right[0], right[1]);
          multiply_add<T>(scores[n / 8 + 1], queries[i], right[2], right[3]);
        }
      }
      float factor[2];
      soften<kRows>(softmax, scores, sharpness, keys, factor);
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) out[n][i] *= factor[i / 2];
      }
#pragma unroll
      for (int n = 0; n < kRows; n += 16) {
        if (n >= keys) break;
        uint32_t left[4];
        left_of_sums<T>(left, scores[n / 8], scores[n / 8 + 1]);
#pragma unroll
        for (int i = 0; i < kDim; i += 16) {
          uint32_t right[4];
          right_fragments(right, tiles[stage][1], n, i);
          multiply_add<T>(out[i / 8], left, right[0], right[1]);
          multiply_add<T>(out[i / 8 + 1], left, right[2], right[3]);
        }
      }
    }
    wait_for_copies();
    __syncthreads();
  }

  if (!awake) return;
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float total = softmax.total[half];
    total += __shfl_xor_sync(kAll, total, 1);
    total += __shfl_xor_sync(kAll, total, 2);
    inverse[half] = at.keys == 0 ? 0 : 1 / total;
    const int query = at.first + strip + lane / 4 + half * 8;
    if (k.log_sum && lane % 4 == 0 && query < at.queries)
      k.log_sum[head * k.queries + at.query + query] = softmax.most[half] + log2f(total);
  }
  put_strip(tiles[0][0], strip, out, inverse);
  __syncwarp();
  const int64_t width = int64_t(k.heads) * k.dim;
  store_strip(tiles[0][0], strip, static_cast<T*>(k.out) + (row + strip) * width + head * k.dim, width,
              at.queries - at.first - strip, k.dim, wide);
}

// ---- float32: a warp takes a few queries, a lane a key, then a few columns ----------------------------------------

template <int kDim>
__global__ void __launch_bounds__(Block<float, kDim>::kThreads) forward_float(AttentionArgs k, bool wide) {
  using Shape = Block<float, kDim>;
  constexpr int kOwn = Shape::kOwn, kRows = Shape::kRows, kThreads = Shape::kThreads;
  __shared__ Tile<float, kRows, kDim> queries;
  __shared__ Tile<float, kLanes, kDim> keys, values;
  const Place at = place_of(k, k.query_begin, kRows);
  if (at.first >= at.queries) return;
  const int lane = threadIdx.x % kLanes, own = threadIdx.x / kLanes * kOwn, head = blockIdx.y;
  const int64_t row = at.query + at.first;
  const float* const key = static_cast<const float*>(k.key) + at.key * k.key_stride + head * k.dim;
  const float* const value = static_cast<const float*>(k.value) + at.key * k.key_stride + head * k.dim;
  load_tile<kThreads>(queries, static_cast<const float*>(k.query) + row * k.query_stride + head * k.dim, k.query_stride,
                      at.queries - at.first, k.dim, wide);
  float out[kOwn][kDim / kLanes] = {}, most[kOwn], total[kOwn] = {};
#pragma unroll
  for (int i = 0; i < kOwn; ++i) most[i] = -INFINITY;
  const float sharpness = sharpness_of(k.dim);
  for (int first = 0; first < at.keys; first += kLanes) {
    load_tile<kThreads>(keys, key + first * k.key_stride, k.key_stride, at.keys - first, k.dim, wide);
    load_tile<kThreads>(values, value + first * k.key_stride, k.key_stride, at.keys - first, k.dim, wide);
    wait_for_copies();
    __syncthreads();
    float p[kOwn] = {};
#pragma unroll 4
    for (int d = 0; d < kDim; d += 4) {
      float of_key[4];
      load<4>(&keys.at[lane][d], of_key);
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        float of_query[4];
        load<4>(&queries.at[own + i][d], of_query);
#pragma unroll
        for (int j = 0; j < 4; ++j) p[i] = fmaf(of_query[j], of_key[j], p[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const float score = first + lane < at.keys ? p[i] * sharpness : -INFINITY;
      const float before = most[i];
      most[i] = fmaxf(before, warp_most(score));
      const float base = most[i] == -INFINITY ? 0 : most[i], factor = exp2f(before - base);
      p[i] = exp2f(score - base);
      total[i] = total[i] * factor + p[i];
#pragma unroll
      for (int d = 0; d < kDim / kLanes; ++d) out[i][d] *= factor;
    }
    for (int j = 0; j < kLanes; ++j) {
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        const float share = __shfl_sync(kAll, p[i], j);
#pragma unroll
        for (int d = 0; d < kDim / kLanes; ++d) out[i][d] = fmaf(share, values.at[j][lane + d * kLanes], out[i][d]);
      }
    }
    __syncthreads();
  }
  wait_for_copies();  // of the queries, where there are no keys
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const float sum = warp_sum(total[i]), inverse = at.keys == 0 ? 0 : 1 / sum;
    const int query = at.first + own + i;
    if (query >= at.queries) continue;
    if (k.log_sum && lane == 0) k.log_sum[head * k.queries + at.query + query] = most[i] + log2f(sum);
    float* const to = static_cast<float*>(k.out) + ((at.query + query) * k.heads + head) * k.dim;
#pragma unroll
    for (int d = 0; d < kDim / kLanes; ++d)
      if (lane + d * kLanes < k.dim) to[lane + d * kLanes] = out[i][d] * inverse;
  }
}

// ---- Launches -----------------------------------------------------------------------------------------------------

template <int kDim>
udi_cuda_status run(const AttentionArgs& k, Stream stream) {
  return for_type(k.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Shape = Block<T, kDim>;
    const dim3 blocks = blocks_of(k.queries, k, Shape::kRows);
    const bool wide = wide_rows(k, sizeof(T));
    if constexpr (sizeof(T) == 4) {
      return launch(forward_float<kDim>, blocks, Shape::kThreads, stream, k, wide);
    } else {
      return launch(forward<T, kDim>, blocks, Shape::kThreads, stream, k, wide);
    }
  });
}

}  // namespace

udi_cuda_status launch_attention(const AttentionArgs& args, Stream stream) {
  if (const char* wrong = wrong_attention(args)) return bad(wrong);
  if (args.queries == 0) return kDone;
  if (!args.query_begin || !args.key_begin || !args.query || !args.out || (args.keys > 0 && (!args.key || !args.value)))
    return bad("attention: query_begin, key_begin, query, key, value and out must not be null");
  return args.dim <= 64 ? run<64>(args, stream) : run<128>(args, stream);
}

}  // namespace udi::cuda
