#include "device.h"
#include "weight_norm.h"

namespace udi::cuda {

namespace {

// A warp a row; what it reads twice is in the cache the second time.
constexpr int kWarps = 8, kThreads = kWarps * kLanes, kWide = 4;

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) forward(WeightNormArgs k) {
  const int lane = threadIdx.x % kLanes;
  const int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (row >= k.rows) return;
  const float* const v = k.v + row * k.dim;
  float square = 0;
  for (int i = lane * kWidth; i < k.dim; i += kLanes * kWidth) {
    float value[kWidth];
    load<kWidth>(v + i, value);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) square += value[j] * value[j];
  }
  const float scale = k.g[row] / sqrtf(warp_sum(square));
  for (int i = lane * kWidth; i < k.dim; i += kLanes * kWidth) {
    float value[kWidth];
    load<kWidth>(v + i, value);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) value[j] *= scale;
    store<kWidth>(static_cast<T*>(k.out) + row * k.dim + i, value);
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kThreads) backward(WeightNormBackwardArgs k) {
  const int lane = threadIdx.x % kLanes;
  const int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (row >= k.rows) return;
  const float* const v = k.v + row * k.dim;
  float* const d = k.d + row * k.dim;
  float square = 0, dot = 0;
  for (int i = lane * kWidth; i < k.dim; i += kLanes * kWidth) {
    float value[kWidth], d_w[kWidth];
    load<kWidth>(v + i, value);
    load<kWidth>(d + i, d_w);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      square += value[j] * value[j];
      dot += value[j] * d_w[j];
    }
  }
  const float length = sqrtf(warp_sum(square)), d_g = warp_sum(dot) / length;
  const float scale = k.g[row] / length, along = d_g * scale / length;
  for (int i = lane * kWidth; i < k.dim; i += kLanes * kWidth) {
    float value[kWidth], d_w[kWidth];
    load<kWidth>(v + i, value);
    load<kWidth>(d + i, d_w);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) d_w[j] = d_w[j] * scale - value[j] * along;
    store<kWidth>(d + i, d_w);
  }
  if (lane == 0) k.d_g[row] += d_g;
}

const char* wrong_shape(int64_t rows, int32_t dim) {
  if (rows < 0 || ceil_div(rows, kWarps) > kMaxBlocks) return "weight norm: rows must be from 0 to 17,179,869,176";
  if (dim < 1 || dim > 65536) return "weight norm: dim must be from 1 to 65536";
  return nullptr;
}

}  // namespace

udi_cuda_status launch_weight_norm(const WeightNormArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.dim)) return bad(wrong);
  if (args.rows == 0) return kDone;
  if (!args.v || !args.g || !args.out) return bad("weight norm: v, g and out must not be null");
  const dim3 blocks(unsigned(ceil_div(args.rows, kWarps)));
  return for_type(args.out_type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool wide = args.dim % kWide == 0 && aligned(args.v, args.out);
    return launch(wide ? forward<T, kWide> : forward<T, 1>, blocks, kThreads, stream, args);
  });
}

udi_cuda_status launch_weight_norm_backward(const WeightNormBackwardArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.dim)) return bad(wrong);
  if (args.rows == 0) return kDone;
  if (!args.v || !args.g || !args.d || !args.d_g) return bad("weight norm: v, g, d and d_g must not be null");
  const dim3 blocks(unsigned(ceil_div(args.rows, kWarps)));
  const bool wide = args.dim % kWide == 0 && aligned(args.v, args.d);
  return launch(wide ? backward<kWide> : backward<1>, blocks, kThreads, stream, args);
}

}  // namespace udi::cuda
