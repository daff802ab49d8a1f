#include "attention_tile.h"

namespace udi::cuda {

namespace {

// Both passes are one: rows a1, a2 of its own (queries and d_out, or keys and values) meet tiles of rows b1, b2 (keys
// and values, or queries and d_out). With s = a1 b1^T sharpness and p = 2^(s - log_sum), dp = a2 b2^T and ds = p (dp -
// delta), where log_sum and delta = sum of out d_out belong to the query: d_a1 = ds b1 / sqrt(dim), and where a2 are
// values d_a2 = p b2.
struct Pass {
  const void *a1, *a2, *b1, *b2;
  int64_t a1_stride, a2_stride, b1_stride, b2_stride;
  void *d_a1, *d_a2;
  int64_t a1_first, b1_first;  // rows of the crop
  int own, others, first;      // rows of the crop on both sides; the first that is the block's
};

template <bool kOfKeys>
__device__ Pass pass_of(const AttentionBackwardArgs& k, int rows) {
  const AttentionArgs& f = k.forward;
  const Place at = place_of(f, kOfKeys ? f.key_begin : f.query_begin, rows);
  const int64_t width = int64_t(f.heads) * f.dim;
  if (kOfKeys)
    return {f.key,   f.value,   f.query, k.d_out,  f.key_stride, f.key_stride, f.query_stride, width,
            k.d_key, k.d_value, at.key,  at.query, at.keys,      at.queries,   at.first};
  return {f.query,   k.d_out, f.key,    f.value, f.query_stride, width,   f.key_stride, f.key_stride,
          k.d_query, nullptr, at.query, at.key,  at.queries,     at.keys, at.first};
}

// Row `row` of a matrix in this block's head.
template <class T>
__device__ const T* head_of(const void* matrix, int64_t stride, int64_t row, int dim) {
  return static_cast<const T*>(matrix) + row * stride + int64_t(blockIdx.y) * dim;
}

// ---- 16 bits: a block takes a tile of own rows, a warp 16 of them -------------------------------------------------

// Of a row of queries: two lanes a row, halves of it in turn. d_out is in the tile already.
template <class T, int kRows, int kDim>
__device__ float delta_of(const Tile<T, kRows, kDim>& d_out, int row, const T* out, int dim, bool wide) {
  float sum = 0;
  for (int d = threadIdx.x % 2 * 8; d < dim; d += 16) {
    float a[8], b[8];
    load<8>(&d_out.at[row][d], a);
    if (wide) {
      load<8>(out + d, b);
    } else {
      for (int i = 0; i < 8; ++i) b[i] = to_float(out[d + i]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) sum = fmaf(a[i], b[i], sum);
  }
  return sum + __shfl_xor_sync(kAll, sum, 1);
}

template <class T, int kDim, bool kOfKeys>
__global__ void __launch_bounds__(Block<T, kDim>::kThreads, kOfKeys ? 3 : 4)
    backward(AttentionBackwardArgs k, bool wide) {
  constexpr int kRows = Block<T, kDim>::kRows, kThreads = Block<T, kDim>::kThreads;
  __shared__ Tile<T, kRows, kDim> tiles[2][2];  // b1 and b2 of this round and the next; a1 and a2 before the first
  __shared__ float log_sums[2][kRows], deltas[2][kRows];  // of queries: b's of both rounds, or a's
  const AttentionArgs& f = k.forward;
  const Pass pass = pass_of<kOfKeys>(k, kRows);
  if (pass.first >= pass.own) return;
  const int lane = threadIdx.x % kLanes, strip = threadIdx.x / kLanes * kStrip, dim = f.dim;
  const bool awake = pass.first + strip < pass.own;
  const int64_t a_row = pass.a1_first + pass.first, sums = int64_t(blockIdx.y) * f.queries;
  const T* const b1 = head_of<T>(pass.b1, pass.b1_stride, pass.b1_first, dim);
  const T* const b2 = head_of<T>(pass.b2, pass.b2_stride, pass.b1_first, dim);
  const auto load_round = [&](int stage, int first) {
    const int left = pass.others - first;
    load_tile<kThreads>(tiles[stage][0], b1 + first * pass.b1_stride, pass.b1_stride, left, dim, wide);
    load_tile<kThreads>(tiles[stage][1], b2 + first * pass.b2_stride, pass.b2_stride, left, dim, wide);
    for (int i = threadIdx.x; kOfKeys && i < kRows; i += kThreads) {
      const bool there = first + i < pass.others;
      log_sums[stage][i] = there ? f.log_sum[sums + pass.b1_first + first + i] : 0;
      deltas[stage][i] = there ? k.workspace[sums + pass.b1_first + first + i] : 0;
    }
  };
  load_tile<kThreads>(tiles[1][0], head_of<T>(pass.a1, pass.a1_stride, a_row, dim), pass.a1_stride,
                      pass.own - pass.first, dim, wide);
  load_tile<kThreads>(tiles[1][1], head_of<T>(pass.a2, pass.a2_stride, a_row, dim), pass.a2_stride,
                      pass.own - pass.first, dim, wide);
  if (pass.others > 0) load_round(0, 0);
  wait_for_copies();
  __syncthreads();
  uint32_t a1[kDim / 16][4], a2[kDim / 16][4];
#pragma unroll
  for (int i = 0; i < kDim / 16; ++i) {
    left_fragment(a1[i], tiles[1][0], strip, i * 16);
    left_fragment(a2[i], tiles[1][1], strip, i * 16);
  }
  if (!kOfKeys) {
    const int row = strip + lane / 2;
    const bool there = pass.first + row < pass.own;
    const T* const out = head_of<T>(f.out, int64_t(f.heads) * dim, a_row + (there ? row : 0), dim);
    const float delta = delta_of(tiles[1][1], row, out, dim, wide);
    if (lane % 2 == 0) {
      log_sums[0][row] = there ? f.log_sum[sums + a_row + row] : 0;
      deltas[0][row] = delta;
      if (there) k.workspace[sums + a_row + row] = delta;
    }
  }
  __syncthreads();

  float d_a1[kDim / 8][4] = {}, d_a2[kOfKeys ? kDim / 8 : 1][4] = {};
  const float sharpness = sharpness_of(dim);
  for (int first = 0, stage = 0; first < pass.others; first += kRows, stage ^= 1) {
    if (first + kRows < pass.others) load_round(stage ^ 1, first + kRows);
    const int others = pass.others - first < kRows ? pass.others - first : kRows;
    for (int n = 0; n < others && awake; n += 16) {
      float p[2][4] = {}, ds[2][4] = {};  // s and dp at first
#pragma unroll
      for (int i = 0; i < kDim / 16; ++i) {
        uint32_t right[4];
        right_fragments_of_rows(right, tiles[stage][0], n, i * 16);
        multiply_add<T>(p[0], a1[i], right[0], right[1]);
        multiply_add<T>(p[1], a1[i], right[2], right[3]);
        right_fragments_of_rows(right, tiles[stage][1], n, i * 16);
        multiply_add<T>(ds[0], a2[i], right[0], right[1]);
        multiply_add<T>(ds[1], a2[i], right[2], right[3]);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float &s = p[i / 4][i % 4], &dp = ds[i / 4][i % 4];
        const int column = n + i / 4 * 8 + lane % 4 * 2 + i % 2, row = strip + lane / 4 + i / 2 % 2 * 8;
        const float log_sum = kOfKeys ? log_sums[stage][column] : log_sums[0][row];
        const float delta = kOfKeys ? deltas[stage][column] : deltas[0][row];
        s = column < others ? quick_exp2(fmaf(s, sharpness, -log_sum)) : 0;
        dp = s * (dp - delta);
      }
      uint32_t left_ds[4], left_p[4];
      left_of_sums<T>(left_ds, ds[0], ds[1]);
      left_of_sums<T>(left_p, p[0], p[1]);
#pragma unroll
      for (int i = 0; i < kDim; i += 16) {
        uint32_t right[4];
        right_fragments(right, tiles[stage][0], n, i);
        multiply_add<T>(d_a1[i / 8], left_ds, right[0], right[1]);
        multiply_add<T>(d_a1[i / 8 + 1], left_ds, right[2], right[3]);
        if constexpr (kOfKeys) {
          right_fragments(right, tiles[stage][1], n, i);
          multiply_add<T>(d_a2[i / 8], left_p, right[0], right[1]);
          multiply_add<T>(d_a2[i / 8 + 1], left_p, right[2], right[3]);
        }
      }
    }
    wait_for_copies();
    __syncthreads();
  }

  if (!awake) return;
  const float scale = 1 / sqrtf(float(dim));
  const auto put = [&](Tile<T, kRows, kDim>& tile, const float(&sum)[kDim / 8][4], float factor, void* to,
                       int64_t stride) {
    put_strip(tile, strip, sum, {factor, factor});
    __syncwarp();
    T* const at = static_cast<T*>(to) + (a_row + strip) * stride + int64_t(blockIdx.y) * dim;
    store_strip(tile, strip, at, stride, pass.own - pass.first - strip, dim, wide);
  };
  put(tiles[0][0], d_a1, scale, pass.d_a1, pass.a1_stride);
  if constexpr (kOfKeys) put(tiles[0][1], d_a2, 1, pass.d_a2, pass.a2_stride);
}

// ---- float32: a warp takes a few own rows, a lane another row, then a few columns ---------------------------------

template <int kDim, bool kOfKeys>
__global__ void __launch_bounds__(Block<float, kDim>::kThreads) backward_float(AttentionBackwardArgs k, bool wide) {
  using Shape = Block<float, kDim>;
  constexpr int kOwn = Shape::kOwn, kRows = Shape::kRows, kThreads = Shape::kThreads;
  __shared__ Tile<float, kRows, kDim> a1, a2;
  __shared__ Tile<float, kLanes, kDim> b1, b2;
  const AttentionArgs& f = k.forward;
  const Pass pass = pass_of<kOfKeys>(k, kRows);
  if (pass.first >= pass.own) return;
  const int lane = threadIdx.x % kLanes, own = threadIdx.x / kLanes * kOwn, dim = f.dim;
  const int64_t a_row = pass.a1_first + pass.first, sums = int64_t(blockIdx.y) * f.queries;
  load_tile<kThreads>(a1, head_of<float>(pass.a1, pass.a1_stride, a_row, dim), pass.a1_stride, pass.own - pass.first,
                      dim, wide);
  load_tile<kThreads>(a2, head_of<float>(pass.a2, pass.a2_stride, a_row, dim), pass.a2_stride, pass.own - pass.first,
                      dim, wide);
  wait_for_copies();
  __syncthreads();
  float d_a1[kOwn][kDim / kLanes] = {}, d_a2[kOwn][kDim / kLanes] = {}, log_sum[kOwn] = {}, delta[kOwn] = {};
#pragma unroll
  for (int i = 0; i < kOwn && !kOfKeys; ++i) {
    if (pass.first + own + i >= pass.own) break;
    const int64_t query = a_row + own + i;
    const float* const out = head_of<float>(f.out, int64_t(f.heads) * dim, query, dim);
    float sum = 0;
    for (int d = lane; d < dim; d += kLanes) sum = fmaf(out[d], a2.at[own + i][d], sum);
    delta[i] = warp_sum(sum);
    log_sum[i] = f.log_sum[sums + query];
    if (lane == 0) k.workspace[sums + query] = delta[i];
  }
  const float sharpness = sharpness_of(dim);
  for (int first = 0; first < pass.others; first += kLanes) {
    load_tile<kThreads>(b1, head_of<float>(pass.b1, pass.b1_stride, pass.b1_first + first, dim), pass.b1_stride,
                        pass.others - first, dim, wide);
    load_tile<kThreads>(b2, head_of<float>(pass.b2, pass.b2_stride, pass.b1_first + first, dim), pass.b2_stride,
                        pass.others - first, dim, wide);
    wait_for_copies();
    __syncthreads();
    const bool there = first + lane < pass.others;
    if (kOfKeys && there) {
      const int64_t query = sums + pass.b1_first + first + lane;
      log_sum[0] = f.log_sum[query];
      delta[0] = k.workspace[query];
    }
    float p[kOwn] = {}, ds[kOwn] = {};  // s and dp at first
#pragma unroll 2
    for (int d = 0; d < kDim; d += 4) {
      float of_b1[4], of_b2[4];
      load<4>(&b1.at[lane][d], of_b1);
      load<4>(&b2.at[lane][d], of_b2);
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        float of_a1[4], of_a2[4];
        load<4>(&a1.at[own + i][d], of_a1);
        load<4>(&a2.at[own + i][d], of_a2);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          p[i] = fmaf(of_a1[j], of_b1[j], p[i]);
          ds[i] = fmaf(of_a2[j], of_b2[j], ds[i]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      p[i] = there ? exp2f(fmaf(p[i], sharpness, -log_sum[kOfKeys ? 0 : i])) : 0;
      ds[i] = there ? p[i] * (ds[i] - delta[kOfKeys ? 0 : i]) : 0;
    }
    for (int j = 0; j < kLanes; ++j) {
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        const float share = __shfl_sync(kAll, p[i], j), slope = __shfl_sync(kAll, ds[i], j);
#pragma unroll
        for (int d = 0; d < kDim / kLanes; ++d) {
          d_a1[i][d] = fmaf(slope, b1.at[j][lane + d * kLanes], d_a1[i][d]);
          if (kOfKeys) d_a2[i][d] = fmaf(share, b2.at[j][lane + d * kLanes], d_a2[i][d]);
        }
      }
    }
    __syncthreads();
  }
  const float scale = 1 / sqrtf(float(dim));
  for (int i = 0; i < kOwn; ++i) {
    if (pass.first + own + i >= pass.own) return;
    const int64_t row = a_row + own + i, column = int64_t(blockIdx.y) * dim;
#pragma unroll
    for (int d = 0; d < kDim / kLanes; ++d) {
      const int at = lane + d * kLanes;
      if (at >= dim) continue;
      static_cast<float*>(pass.d_a1)[row * pass.a1_stride + column + at] = d_a1[i][d] * scale;
      if (kOfKeys) static_cast<float*>(pass.d_a2)[row * pass.a2_stride + column + at] = d_a2[i][d];
    }
  }
}

// ---- Launches -----------------------------------------------------------------------------------------------------

template <class T, int kDim, bool kOfKeys>
udi_cuda_status run_pass(const AttentionBackwardArgs& k, Stream stream) {
  using Shape = Block<T, kDim>;
  const AttentionArgs& f = k.forward;
  const int64_t rows = kOfKeys ? f.keys : f.queries;
  if (rows == 0) return kDone;
  const dim3 blocks = blocks_of(rows, f, Shape::kRows);
  const bool wide = wide_rows(f, sizeof(T)) && aligned(k.d_out, k.d_query, k.d_key, k.d_value);
  if constexpr (sizeof(T) == 4) {
    return launch(backward_float<kDim, kOfKeys>, blocks, Shape::kThreads, stream, k, wide);
  } else {
    return launch(backward<T, kDim, kOfKeys>, blocks, Shape::kThreads, stream, k, wide);
  }
}

template <int kDim>
udi_cuda_status run(const AttentionBackwardArgs& k, Stream stream) {
  return for_type(k.forward.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const udi_cuda_status status = run_pass<T, kDim, false>(k, stream);
    return status.code != 0 ? status : run_pass<T, kDim, true>(k, stream);  // which wants the first one's deltas
  });
}

}  // namespace

udi_cuda_status launch_attention_backward(const AttentionBackwardArgs& args, Stream stream) {
  const AttentionArgs& forward = args.forward;
  if (const char* wrong = wrong_attention(forward)) return bad(wrong);
  if (forward.queries == 0 && forward.keys == 0) return kDone;
  if (!forward.query_begin || !forward.key_begin) return bad("attention: query_begin and key_begin must not be null");
  if (forward.queries > 0 &&
      (!forward.query || !forward.out || !forward.log_sum || !args.d_out || !args.d_query || !args.workspace))
    return bad("attention: query, out, log_sum, d_out, d_query and workspace must not be null");
  if (forward.keys > 0 && (!forward.key || !forward.value || !args.d_key || !args.d_value))
    return bad("attention: key, value, d_key and d_value must not be null");
  return forward.dim <= 64 ? run<64>(args, stream) : run<128>(args, stream);
}

}  // namespace udi::cuda
