#include "device.h"
#include "prototypes.h"

namespace udi::cuda {

namespace {

constexpr float kLog2e = 1.44269504f, kLn2 = 0.69314718f;
constexpr int kWide = 8;

// A softmax in the making, base 2: the largest exponent so far, the sum of 2^(u - most), the dot of something with u,
// and the sum of that something.
struct Online {
  float most = -INFINITY, total = 0, dot = 0, mass = 0;
};

// Factor that takes sums from one largest exponent to a larger one; nothing was summed at -infinity.
__device__ float rescale(float from, float to) { return from == to ? 1 : exp2f(from - to); }

template <int kWidth>
__device__ void add_exponents(Online& sums, const float (&u)[kWidth]) {
  float most = sums.most;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) most = fmaxf(most, u[i]);
  sums.total *= rescale(sums.most, most);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) sums.total += exp2f(u[i] - most);
  sums.most = most;
}

// Over all threads of the block, in all of them. scaled_dot: dot is of the exponentials and goes with their scale.
__device__ Online over_block(Online mine, bool scaled_dot) {
  __shared__ float of_warp[4][kLanes];
  const auto merge = [scaled_dot](Online a, const Online& b) {
    const float most = fmaxf(a.most, b.most), fa = rescale(a.most, most), fb = rescale(b.most, most);
    a.total = a.total * fa + b.total * fb;
    a.dot = scaled_dot ? a.dot * fa + b.dot * fb : a.dot + b.dot;
    a.mass += b.mass;
    a.most = most;
    return a;
  };
  const auto over_warp = [merge](Online a) {
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) {
      Online b;
      b.most = __shfl_xor_sync(kAll, a.most, offset);
      b.total = __shfl_xor_sync(kAll, a.total, offset);
      b.dot = __shfl_xor_sync(kAll, a.dot, offset);
      b.mass = __shfl_xor_sync(kAll, a.mass, offset);
      // Both lanes of a pair merge in the same order, so that all end with the same bits.
      a = threadIdx.x & offset ? merge(b, a) : merge(a, b);
    }
    return a;
  };
  mine = over_warp(mine);
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  if (lane == 0) {
    of_warp[0][warp] = mine.most;
    of_warp[1][warp] = mine.total;
    of_warp[2][warp] = mine.dot;
    of_warp[3][warp] = mine.mass;
  }
  __syncthreads();
  const bool there = lane < int(blockDim.x) / kLanes;
  return over_warp(there ? Online{of_warp[0][lane], of_warp[1][lane], of_warp[2][lane], of_warp[3][lane]} : Online());
}

// ---- Teacher -----------------------------------------------------------------------------------------------------

// u[i] = (logit - center) * sharpness for kWidth neighbours.
template <int kWidth, class T>
__device__ void exponents(const T* logits, const float* center, float sharpness, float (&u)[kWidth]) {
  float c[kWidth];
  load<kWidth>(logits, u);
  load<kWidth>(center, c);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) u[i] = (u[i] - c[i]) * sharpness;
}

template <class T, int kWidth>
__global__ void __launch_bounds__(1024) targets(TargetsArgs k) {
  const int64_t row = blockIdx.x, size = k.prototypes;
  const T* const logits = static_cast<const T*>(k.logits) + row * size;
  const int level = k.level[row];
  const float* const center = k.centers + level * size;
  const float sharpness = kLog2e / *k.temp;
  Online sums;
  for (int64_t i = int64_t(threadIdx.x) * kWidth; i < size; i += int64_t(blockDim.x) * kWidth) {
    float u[kWidth];
    exponents<kWidth>(logits + i, center + i, sharpness, u);
    const float before = sums.most;
    add_exponents(sums, u);
    sums.dot *= rescale(before, sums.most);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sums.dot += exp2f(u[j] - sums.most) * u[j];
  }
  sums = over_block(sums, true);
  if (threadIdx.x != 0) return;
  const float offset = sums.most + log2f(sums.total);
  k.target[row] = {offset, level};
  if (k.entropy) k.entropy[row] = kLn2 * (offset - sums.dot / sums.total);
}

// ---- Student -----------------------------------------------------------------------------------------------------

// mix[i] = sum over the row's targets of share p, for kWidth neighbours from `at`.
template <class T, int kWidth>
__device__ void mix_targets(const CrossEntropyArgs& k, int begin, int end, float sharpness, int64_t at,
                            float (&mix)[kWidth]) {
  const int64_t size = k.prototypes;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) mix[i] = 0;
  for (int t = begin; t < end; ++t) {
    const TargetShare part = k.shares[t];
    const Target target = k.target[part.row];
    float u[kWidth];
    exponents<kWidth>(static_cast<const T*>(k.target_logits) + part.row * size + at,
                      k.centers + target.level * size + at, sharpness, u);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) mix[i] += part.share * exp2f(u[i] - target.offset);
  }
}

// Twice over the row: once for its sums, once for its gradient. What the second pass reads is still in the L2 cache.
template <class T, int kWidth>
__global__ void __launch_bounds__(1024) cross_entropy(CrossEntropyArgs k) {
  const int64_t row = blockIdx.x, size = k.prototypes;
  T* const logits = static_cast<T*>(k.logits) + row * size;
  const int begin = k.begin[row], end = k.begin[row + 1];
  const float sharpness = kLog2e / k.student_temp, teacher_sharpness = kLog2e / *k.teacher_temp;
  // Softmax knows differences alone. Taken from any of the logits they are small, and the loss, a difference of two
  // sums, keeps its digits; the targets' own sum, with the rounding that its parts have, keeps it so.
  const float base = to_float(logits[0]);
  Online sums;
  for (int64_t i = int64_t(threadIdx.x) * kWidth; i < size; i += int64_t(blockDim.x) * kWidth) {
    float u[kWidth], mix[kWidth];
    load<kWidth>(logits + i, u);
    mix_targets<T, kWidth>(k, begin, end, teacher_sharpness, i, mix);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      u[j] = (u[j] - base) * sharpness;
      sums.dot += mix[j] * u[j];
      sums.mass += mix[j];
    }
    add_exponents(sums, u);
  }
  sums = over_block(sums, false);
  float whole = 0;  // of the target: 1 for a distribution
  for (int t = begin; t < end; ++t) whole += k.shares[t].share;
  const float offset = sums.most + log2f(sums.total);
  if (threadIdx.x == 0) {
    const float loss = kLn2 * (sums.mass * offset - sums.dot);
    k.loss[row] = loss;
    if (k.not_finite && !isfinite(loss)) atomicOr(k.not_finite, 1);
  }
  const float weight = k.weight[row] / k.student_temp;
  for (int64_t i = int64_t(threadIdx.x) * kWidth; i < size; i += int64_t(blockDim.x) * kWidth) {
    float u[kWidth], mix[kWidth];
    load<kWidth>(logits + i, u);
    mix_targets<T, kWidth>(k, begin, end, teacher_sharpness, i, mix);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) u[j] = weight * (whole * exp2f((u[j] - base) * sharpness - offset) - mix[j]);
    store<kWidth>(logits + i, u);
  }
}

// ---- Launches ----------------------------------------------------------------------------------------------------

const char* wrong_shape(int64_t rows, int32_t prototypes) {
  if (rows < 0 || rows > kMaxBlocks) return "prototypes: rows must be from 0 to 2,147,483,647";
  if (prototypes < 1 || prototypes > 1 << 24) return "prototypes: there must be 1 to 16,777,216 prototypes";
  return nullptr;
}

// Long rows need many loads in flight, short ones few idle threads.
int threads_of(int32_t prototypes) { return prototypes >= 32768 ? 1024 : prototypes >= 4096 ? 256 : 64; }

}  // namespace

udi_cuda_status launch_targets(const TargetsArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.prototypes)) return bad(wrong);
  if (args.rows == 0) return kDone;
  if (!args.logits || !args.centers || !args.level || !args.temp || !args.target)
    return bad("prototypes: logits, centers, level, temp and target must not be null");
  const dim3 blocks(unsigned(args.rows));
  const bool wide = args.prototypes % kWide == 0 && aligned(args.logits, args.centers);
  return for_type(args.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    return launch(wide ? targets<T, kWide> : targets<T, 1>, blocks, threads_of(args.prototypes), stream, args);
  });
}

udi_cuda_status launch_cross_entropy(const CrossEntropyArgs& args, Stream stream) {
  if (const char* wrong = wrong_shape(args.rows, args.prototypes)) return bad(wrong);
  if (!(args.student_temp > 0)) return bad("prototypes: student_temp must be greater than 0");
  if (args.rows == 0) return kDone;
  if (!args.logits || !args.begin || !args.shares || !args.target || !args.target_logits || !args.centers ||
      !args.teacher_temp || !args.weight || !args.loss)
    return bad(
        "prototypes: logits, begin, shares, target, target_logits, centers, teacher_temp, weight and loss must not "
        "be null");
  const dim3 blocks(unsigned(args.rows));
  const bool wide = args.prototypes % kWide == 0 && aligned(args.logits, args.target_logits, args.centers);
  return for_type(args.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    return launch(wide ? cross_entropy<T, kWide> : cross_entropy<T, 1>, blocks, threads_of(args.prototypes), stream,
                  args);
  });
}

}  // namespace udi::cuda
