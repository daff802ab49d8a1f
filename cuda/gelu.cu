#include "columns.h"
#include "gelu.h"

namespace udi::cuda {

namespace {

// A block: a strip of kLanes * kWidth columns by kGeluRowsPerBlock rows. A lane keeps its columns and goes down the
// rows.
constexpr int kWarps = 8, kThreads = kWarps * kLanes, kWide = 8;

__device__ float normal_distribution(float x) { return 0.5f * (1 + erff(x * 0.70710678f)); }
__device__ float normal_density(float x) { return 0.39894228f * expf(-0.5f * x * x); }

struct Place {
  int column;
  int64_t begin, end;  // rows of this warp, every kWarps-th
};

template <int kWidth>
__device__ Place place_of(int64_t rows) {
  const int64_t first = int64_t(blockIdx.x) * kGeluRowsPerBlock;
  const int64_t end = first + kGeluRowsPerBlock < rows ? first + kGeluRowsPerBlock : rows;
  return {int(blockIdx.y * kLanes + threadIdx.x % kLanes) * kWidth, first + threadIdx.x / kLanes, end};
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) forward(GeluForwardArgs k) {
  const Place at = place_of<kWidth>(k.rows);
  if (at.column >= k.dim) return;
  T* const in = static_cast<T*>(k.in) + at.column;
  T* const out = static_cast<T*>(k.out) + at.column;
  float bias[kWidth];
  load<kWidth>(static_cast<const T*>(k.bias) + at.column, bias);
#pragma unroll 4
  for (int64_t row = at.begin; row < at.end; row += kWarps) {
    float x[kWidth];
    load<kWidth>(in + row * k.dim, x);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) x[i] += bias[i];
    if (k.keep) store<kWidth>(in + row * k.dim, x);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) x[i] *= normal_distribution(x[i]);
    store<kWidth>(out + row * k.dim, x);
  }
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) backward(GeluBackwardArgs k) {
  const Place at = place_of<kWidth>(k.rows);
  float sums[kWidth] = {};
  if (at.column < k.dim) {
    T* const in = static_cast<T*>(k.in) + at.column;
    T* const d = static_cast<T*>(k.d) + at.column;
    for (int64_t row = at.begin; row < at.end; row += kWarps) {
      float x[kWidth], d_x[kWidth];
      load<kWidth>(in + row * k.dim, x);
      load<kWidth>(d + row * k.dim, d_x);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const float distribution = normal_distribution(x[i]);
        d_x[i] *= distribution + x[i] * normal_density(x[i]);
        sums[i] += d_x[i];
        x[i] *= distribution;
      }
      store<kWidth>(in + row * k.dim, x);
      store<kWidth>(d + row * k.dim, d_x);
    }
  }
  __shared__ float of_warp[kWarps][kLanes * kWidth];
  for (int i = 0; i < kWidth; ++i) of_warp[threadIdx.x / kLanes][threadIdx.x % kLanes * kWidth + i] = sums[i];
  __syncthreads();
  for (int i = threadIdx.x; i < kLanes * kWidth; i += kThreads) {
    const int column = blockIdx.y * kLanes * kWidth + i;
    float total = 0;
    for (int warp = 0; warp < kWarps; ++warp) total += of_warp[warp][i];
    if (column < k.dim) k.workspace[int64_t(blockIdx.x) * k.dim + column] = total;
  }
}

const char* wrong_shape(int64_t rows, int32_t dim) {
  if (rows < 0 || ceil_div(rows, kGeluRowsPerBlock) > kMaxBlocks) return "gelu: rows must be from 0 to 137,438,953,408";
  if (dim < 1 || dim > 1 << 20) return "gelu: dim must be from 1 to 1,048,576";
  return nullptr;
}

dim3 blocks_of(int64_t rows, int32_t dim, int width) {
  return dim3(unsigned(ceil_div(rows, kGeluRowsPerBlock)), unsigned(ceil_div(dim, kLanes * width)));
}

}  // namespace

udi_cuda_status launch_gelu_forward(const GeluForwardArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.dim)) return bad(wrong);
  if (args.rows == 0) return kDone;
  if (!args.in || !args.bias || !args.out) return bad("gelu: in, bias and out must not be null");
  if (args.keep && args.in == args.out) return bad("gelu: out may be in only where nothing is kept");
  return for_type(args.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (args.dim % kWide == 0 && aligned(args.in, args.bias, args.out))
      return launch(forward<T, kWide>, blocks_of(args.rows, args.dim, kWide), kThreads, stream, args);
    return launch(forward<T, 1>, blocks_of(args.rows, args.dim, 1), kThreads, stream, args);
  });
}

udi_cuda_status launch_gelu_backward(const GeluBackwardArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.dim)) return bad(wrong);
  if (args.rows == 0) return kDone;
  if (!args.in || !args.d || !args.d_bias || !args.workspace)
    return bad("gelu: in, d, d_bias and workspace must not be null");
  const udi_cuda_status status = for_type(args.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (args.dim % kWide == 0 && aligned(args.in, args.d))
      return launch(backward<T, kWide>, blocks_of(args.rows, args.dim, kWide), kThreads, stream, args);
    return launch(backward<T, 1>, blocks_of(args.rows, args.dim, 1), kThreads, stream, args);
  });
  if (status.code != 0) return status;
  return launch_add_columns(
      {args.workspace, ceil_div(args.rows, kGeluRowsPerBlock), 1, args.dim, {args.d_bias, nullptr, nullptr}}, stream);
}

}  // namespace udi::cuda
