#include "device.h"
#include "srs.h"

namespace udi::cuda {

namespace {

constexpr int kWarps = 4, kThreads = kWarps * kLanes, kWide = 8;

// A warp a query.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) gather(SrsGatherArgs k) {
  const int lane = threadIdx.x % kLanes;
  const int64_t query = int64_t(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (query >= k.images * k.queries) return;
  const int64_t* const index = k.index + query * k.taps;
  const float* const weight = k.weight + query * k.taps;
  const T* const x = static_cast<const T*>(k.x) + query / k.queries * k.tokens * k.dim;
  for (int i = lane * kWidth; i < k.dim; i += kLanes * kWidth) {
    float sum[kWidth] = {};
    for (int tap = 0; tap < k.taps; ++tap) {
      const int64_t token = index[tap];
      if (token < 0 || token >= k.tokens) continue;
      float value[kWidth];
      load<kWidth>(x + token * k.dim + i, value);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum[j] += weight[tap] * value[j];
    }
    store<kWidth>(static_cast<T*>(k.out) + query * k.dim + i, sum);
  }
  if (lane != 0 || !k.weight_sum) return;
  float total = 0;
  for (int tap = 0; tap < k.taps; ++tap) total += weight[tap];
  k.weight_sum[query] = total;
}

// A warp a token. 32 entries of the list are looked at together; those of this token are then added one by one.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) scatter(SrsScatterArgs k) {
  const int lane = threadIdx.x % kLanes;
  const int64_t place = int64_t(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (place >= k.images * k.tokens) return;
  const int64_t image = place / k.tokens, token = place % k.tokens, entries = int64_t(k.queries) * k.taps;
  const int64_t* const index = k.index + image * entries;
  const float* const weight = k.weight + image * entries;
  const T* const d_out = static_cast<const T*>(k.d_out) + image * k.queries * k.dim;
  for (int start = 0; start < k.dim; start += kLanes * kWidth) {
    const int i = start + lane * kWidth;
    float sum[kWidth] = {};
    bool any = false;
    for (int64_t first = 0; first < entries; first += kLanes) {
      unsigned mine = __ballot_sync(kAll, first + lane < entries && index[first + lane] == token);
      for (; mine != 0; mine &= mine - 1) {
        const int64_t entry = first + __ffs(mine) - 1;
        any = true;
        if (i >= k.dim) continue;
        float value[kWidth];
        load<kWidth>(d_out + entry / k.taps * k.dim + i, value);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] += weight[entry] * value[j];
      }
    }
    if (!any || i >= k.dim) continue;
    T* const d_x = static_cast<T*>(k.d_x) + place * k.dim + i;
    float before[kWidth];
    load<kWidth>(d_x, before);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[j] += before[j];
    store<kWidth>(d_x, sum);
  }
}

template <class Args>
const char* wrong_shape(const Args& k) {
  if (k.images < 0 || k.queries < 0) return "srs: images and queries must be at least 0";
  if (k.tokens < 1 || k.taps < 1) return "srs: tokens and taps must be at least 1";
  if (k.dim < 1 || k.dim > 65536) return "srs: dim must be from 1 to 65536";
  const int64_t most = k.tokens > k.queries ? k.tokens : k.queries;
  if (k.images > kMaxBlocks / most * kWarps) return "srs: more than 8,589,934,588 tokens or queries";
  return nullptr;
}

}  // namespace

udi_cuda_status launch_srs_gather(const SrsGatherArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args)) return bad(wrong);
  if (args.images == 0 || args.queries == 0) return kDone;
  if (!args.x || !args.index || !args.weight || !args.out) return bad("srs: x, index, weight and out must not be null");
  const dim3 blocks(unsigned(ceil_div(args.images * args.queries, kWarps)));
  return for_type(args.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool wide = args.dim % kWide == 0 && aligned(args.x, args.out);
    return launch(wide ? gather<T, kWide> : gather<T, 1>, blocks, kThreads, stream, args);
  });
}

udi_cuda_status launch_srs_scatter(const SrsScatterArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args)) return bad(wrong);
  if (args.images == 0 || args.queries == 0) return kDone;
  if (!args.d_out || !args.index || !args.weight || !args.d_x)
    return bad("srs: d_out, index, weight and d_x must not be null");
  const dim3 blocks(unsigned(ceil_div(args.images * args.tokens, kWarps)));
  return for_type(args.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool wide = args.dim % kWide == 0 && aligned(args.d_out, args.d_x);
    return launch(wide ? scatter<T, kWide> : scatter<T, 1>, blocks, kThreads, stream, args);
  });
}

}  // namespace udi::cuda
