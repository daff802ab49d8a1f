#include "columns.h"
#include "norm.h"

namespace udi::cuda {

namespace {

// A warp takes a row. Short rows stay in registers: kPacks packs of kWidth numbers a lane; kPacks 0 reads them again.
constexpr int kWarps = 4, kWidth = 4, kThreads = kWarps * kLanes;
constexpr int kSpan = kLanes * kWidth;  // numbers that a warp loads at once
constexpr int kFewPacks = 3, kManyPacks = 8;

// ---- Forward -----------------------------------------------------------------------------------------------------

template <class T>
struct Branch {
  const T *rows, *bias;
  float scale;
};

template <class T>
__device__ Branch<T> branch_of(const NormForwardArgs& k, int64_t row) {
  return {static_cast<const T*>(k.branch) + row * k.dim, static_cast<const T*>(k.bias),
          k.scale ? k.scale[row / k.rows_per_image] : 1};
}

__device__ void put_statistics(const NormForwardArgs& k, int64_t row, int lane, float mean, float inverse) {
  if (lane != 0) return;
  k.statistics[2 * row] = mean;
  k.statistics[2 * row + 1] = inverse;
}

template <class T, class Out, int kPacks>
__global__ void __launch_bounds__(kThreads) forward_rows(NormForwardArgs k) {
  const int lane = threadIdx.x % kLanes;
  const int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (row >= k.rows) return;
  float x[kPacks][kWidth];
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int i = p * kSpan + lane * kWidth;
    if (i < k.dim) load<kWidth>(k.x + row * k.dim + i, x[p]);
  }
  if (k.branch) {
    const Branch<T> branch = branch_of<T>(k, row);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int i = p * kSpan + lane * kWidth;
      if (i >= k.dim) continue;
      float b[kWidth], bias[kWidth];
      load<kWidth>(branch.rows + i, b);
      load<kWidth>(branch.bias + i, bias);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) x[p][j] += branch.scale * (b[j] + bias[j]);
      store<kWidth>(k.x_out + row * k.dim + i, x[p]);
    }
  }
  if (!k.weight) return;
  float sum = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    if (p * kSpan + lane * kWidth >= k.dim) continue;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum += x[p][j];
  }
  const float mean = warp_sum(sum) / float(k.dim);
  float squares = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    if (p * kSpan + lane * kWidth >= k.dim) continue;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) squares += (x[p][j] - mean) * (x[p][j] - mean);
  }
  const float inverse = 1 / sqrtf(warp_sum(squares) / float(k.dim) + k.epsilon);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int i = p * kSpan + lane * kWidth;
    if (i >= k.dim) continue;
    float weight[kWidth], y[kWidth];
    load<kWidth>(k.weight + i, weight);
    load<kWidth>(k.shift + i, y);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) y[j] += (x[p][j] - mean) * inverse * weight[j];
    store<kWidth>(static_cast<Out*>(k.out) + row * k.dim + i, y);
  }
  put_statistics(k, row, lane, mean, inverse);
}

// Rows of any length.
template <class T, class Out>
__global__ void __launch_bounds__(kThreads) forward_any(NormForwardArgs k) {
  const int lane = threadIdx.x % kLanes;
  const int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (row >= k.rows) return;
  const float* x = k.x + row * k.dim;
  if (k.branch) {
    const Branch<T> branch = branch_of<T>(k, row);
    float* const x_out = k.x_out + row * k.dim;
    for (int i = lane; i < k.dim; i += kLanes)
      x_out[i] = x[i] + branch.scale * (to_float(branch.rows[i]) + to_float(branch.bias[i]));
    x = x_out;  // a lane reads what it wrote itself
  }
  if (!k.weight) return;
  float sum = 0, squares = 0;
  for (int i = lane; i < k.dim; i += kLanes) sum += x[i];
  const float mean = warp_sum(sum) / float(k.dim);
  for (int i = lane; i < k.dim; i += kLanes) squares += (x[i] - mean) * (x[i] - mean);
  const float inverse = 1 / sqrtf(warp_sum(squares) / float(k.dim) + k.epsilon);
  Out* const out = static_cast<Out*>(k.out) + row * k.dim;
  for (int i = lane; i < k.dim; i += kLanes)
    out[i] = from_float<Out>(k.shift[i] + (x[i] - mean) * inverse * k.weight[i]);
  put_statistics(k, row, lane, mean, inverse);
}

// ---- Backward ----------------------------------------------------------------------------------------------------

// parts[block] = sums over the block's rows of d_out hat, d_out and scale d_x. A warp's lanes own columns, so that
// these sums stay in registers until the block's end.
template <class T, class Rows, int kPacks>
__global__ void __launch_bounds__(kThreads) backward_rows(NormBackwardArgs k) {
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const int64_t begin = int64_t(blockIdx.x) * kNormRowsPerBlock;
  const int64_t end = begin + kNormRowsPerBlock < k.rows ? begin + kNormRowsPerBlock : k.rows;
  float sums[3][kPacks][kWidth] = {};
  for (int64_t row = begin + warp; row < end; row += kWarps) {
    float d_x[kPacks][kWidth];
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int i = p * kSpan + lane * kWidth;
      if (i < k.dim) load<kWidth>(k.d_x + row * k.dim + i, d_x[p]);
    }
    if (k.d_out) {
      const float mean = k.statistics[2 * row], inverse = k.statistics[2 * row + 1];
      float hat[kPacks][kWidth], g[kPacks][kWidth], sum = 0, product = 0;
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int i = p * kSpan + lane * kWidth;
        if (i >= k.dim) continue;
        float weight[kWidth];
        load<kWidth>(k.weight + i, weight);
        load<kWidth>(k.x + row * k.dim + i, hat[p]);
        load<kWidth>(static_cast<const T*>(k.d_out) + row * k.dim + i, g[p]);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) {
          hat[p][j] = (hat[p][j] - mean) * inverse;
          sums[0][p][j] += g[p][j] * hat[p][j];
          sums[1][p][j] += g[p][j];
          g[p][j] *= weight[j];
          sum += g[p][j];
          product += g[p][j] * hat[p][j];
        }
      }
      const float mean_g = warp_sum(sum) / float(k.dim), mean_product = warp_sum(product) / float(k.dim);
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int i = p * kSpan + lane * kWidth;
        if (i >= k.dim) continue;
#pragma unroll
        for (int j = 0; j < kWidth; ++j) d_x[p][j] += (g[p][j] - mean_g - hat[p][j] * mean_product) * inverse;
        store<kWidth>(k.d_x + row * k.dim + i, d_x[p]);
      }
    }
    if (!k.d_rows) continue;
    const float scale = k.scale ? k.scale[row / k.rows_per_image] : 1;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int i = p * kSpan + lane * kWidth;
      if (i >= k.dim) continue;
#pragma unroll
      for (int j = 0; j < kWidth; ++j) {
        d_x[p][j] *= scale;
        sums[2][p][j] += d_x[p][j];
      }
      store<kWidth>(static_cast<Rows*>(k.d_rows) + row * k.dim + i, d_x[p]);
    }
  }
  __shared__ float of_warp[kWarps][kPacks * kSpan];
  for (int which = 0; which < 3; ++which) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) of_warp[warp][p * kSpan + lane * kWidth + j] = sums[which][p][j];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < k.dim; i += kThreads) {
      float total = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) total += of_warp[w][i];
      k.workspace[(int64_t(blockIdx.x) * 3 + which) * k.dim + i] = total;
    }
    __syncthreads();
  }
}

// Rows of any length: the rows first, then the columns of what they left in memory.
template <class T, class Rows>
__global__ void __launch_bounds__(kThreads) backward_any(NormBackwardArgs k) {
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const int64_t begin = int64_t(blockIdx.x) * kNormRowsPerBlock;
  const int64_t end = begin + kNormRowsPerBlock < k.rows ? begin + kNormRowsPerBlock : k.rows;
  const T* const d_out = static_cast<const T*>(k.d_out);
  for (int64_t row = begin + warp; row < end && k.d_out; row += kWarps) {
    const float mean = k.statistics[2 * row], inverse = k.statistics[2 * row + 1];
    float sum = 0, product = 0;
    for (int i = lane; i < k.dim; i += kLanes) {
      const float g = to_float(d_out[row * k.dim + i]) * k.weight[i];
      sum += g;
      product += g * (k.x[row * k.dim + i] - mean) * inverse;
    }
    const float mean_g = warp_sum(sum) / float(k.dim), mean_product = warp_sum(product) / float(k.dim);
    for (int i = lane; i < k.dim; i += kLanes) {
      const float g = to_float(d_out[row * k.dim + i]) * k.weight[i];
      const float hat = (k.x[row * k.dim + i] - mean) * inverse;
      k.d_x[row * k.dim + i] += (g - mean_g - hat * mean_product) * inverse;
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < k.dim; i += kThreads) {
    float sums[3] = {};
    for (int64_t row = begin; row < end; ++row) {
      if (k.d_out) {
        const float d = to_float(d_out[row * k.dim + i]);
        sums[0] += d * (k.x[row * k.dim + i] - k.statistics[2 * row]) * k.statistics[2 * row + 1];
        sums[1] += d;
      }
      if (k.d_rows) {
        const float d = k.d_x[row * k.dim + i] * (k.scale ? k.scale[row / k.rows_per_image] : 1);
        static_cast<Rows*>(k.d_rows)[row * k.dim + i] = from_float<Rows>(d);
        sums[2] += d;
      }
    }
    for (int which = 0; which < 3; ++which) k.workspace[(int64_t(blockIdx.x) * 3 + which) * k.dim + i] = sums[which];
  }
}

// ---- Launches ----------------------------------------------------------------------------------------------------

const char* wrong_shape(int64_t rows, int32_t dim, const float* scale, int32_t rows_per_image) {
  if (rows < 0 || ceil_div(rows, kWarps) > kMaxBlocks) return "norm: rows must be from 0 to 8,589,934,588";
  if (dim < 1 || dim > 65536) return "norm: dim must be from 1 to 65536";
  if (scale && rows_per_image < 1) return "norm: rows_per_image must be at least 1 where there is a scale";
  return nullptr;
}

int packs_of(int32_t dim, bool is_aligned) {
  if (!is_aligned || dim % kWidth != 0) return 0;
  return dim <= kFewPacks * kSpan ? kFewPacks : dim <= kManyPacks * kSpan ? kManyPacks : 0;
}

template <class T, class Out>
udi_cuda_status forward(const NormForwardArgs& k, Stream stream) {
  const dim3 blocks(unsigned(ceil_div(k.rows, kWarps)));
  const bool is_aligned = aligned(k.x, k.branch, k.bias, k.x_out, k.weight, k.shift, k.out);
  switch (packs_of(k.dim, is_aligned)) {
    case kFewPacks:
      return launch(forward_rows<T, Out, kFewPacks>, blocks, kThreads, stream, k);
    case kManyPacks:
      return launch(forward_rows<T, Out, kManyPacks>, blocks, kThreads, stream, k);
    default:
      return launch(forward_any<T, Out>, blocks, kThreads, stream, k);
  }
}

template <class T, class Rows>
udi_cuda_status backward(const NormBackwardArgs& k, Stream stream) {
  const dim3 blocks(unsigned(ceil_div(k.rows, kNormRowsPerBlock)));
  switch (packs_of(k.dim, aligned(k.d_out, k.x, k.weight, k.d_x, k.d_rows))) {
    case kFewPacks:
      return launch(backward_rows<T, Rows, kFewPacks>, blocks, kThreads, stream, k);
    case kManyPacks:
      return launch(backward_rows<T, Rows, kManyPacks>, blocks, kThreads, stream, k);
    default:
      return launch(backward_any<T, Rows>, blocks, kThreads, stream, k);
  }
}

}  // namespace

udi_cuda_status launch_norm_forward(const NormForwardArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.dim, args.branch ? args.scale : nullptr, args.rows_per_image))
    return bad(wrong);
  if (args.rows == 0) return kDone;
  if (!args.x || (!args.branch && !args.weight)) return bad("norm: x, and branch or weight, must not be null");
  if (args.branch && (!args.bias || !args.x_out)) return bad("norm: with branch, bias and x_out must not be null");
  if (args.weight && (!args.shift || !args.out || !args.statistics))
    return bad("norm: with weight, shift, out and statistics must not be null");
  const Type type = args.branch ? args.branch_type : args.out_type;
  return for_type(type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (!args.weight || args.out_type == type) return forward<T, T>(args, stream);
    if (args.out_type == Type::kFloat) return forward<T, float>(args, stream);
    return bad("norm: out_type must be float32 or the branch's");
  });
}

udi_cuda_status launch_norm_backward(const NormBackwardArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.dim, args.d_rows ? args.scale : nullptr, args.rows_per_image))
    return bad(wrong);
  if (args.rows == 0) return kDone;
  if (!args.d_x || !args.workspace || (!args.d_out && !args.d_rows))
    return bad("norm: d_x, workspace, and d_out or d_rows, must not be null");
  if (args.d_out && (!args.x || !args.statistics || !args.weight))
    return bad("norm: with d_out, x, statistics and weight must not be null");
  const Type rows_type = args.d_rows ? args.rows_type : args.d_type;
  const Type d_type = args.d_out ? args.d_type : rows_type;
  const udi_cuda_status status = for_type(rows_type, [&](auto tag) {
    using Rows = typename decltype(tag)::type;
    if (d_type == rows_type) return backward<Rows, Rows>(args, stream);
    if (d_type == Type::kFloat) return backward<float, Rows>(args, stream);
    return bad("norm: d_type must be float32 or that of d_rows");
  });
  if (status.code != 0) return status;
  return launch_add_columns({args.workspace,
                             ceil_div(args.rows, kNormRowsPerBlock),
                             3,
                             args.dim,
                             {args.d_out ? args.d_weight : nullptr, args.d_out ? args.d_shift : nullptr,
                              args.d_rows ? args.d_bias : nullptr}},
                            stream);
}

}  // namespace udi::cuda
