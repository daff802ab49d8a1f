#include "device.h"
#include "update.h"

namespace udi::cuda {

namespace {

constexpr int kThreads = 256, kWarps = kThreads / kLanes, kWidth = 4;

// ---- One: squares of the gradients, a sum a slice ------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads) slice_squares(UpdateArgs k) {
  const Slice slice = k.slice[blockIdx.x];
  const float* const gradient = k.gradient + slice.begin;
  double sum = 0;
  const int whole = slice.size / kWidth * kWidth;
  for (int i = threadIdx.x * kWidth; i < whole; i += kThreads * kWidth) {
    float g[kWidth];
    load<kWidth>(gradient + i, g);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum += double(g[j]) * g[j];
  }
  if (int(threadIdx.x) < slice.size - whole) {
    const double g = gradient[whole + threadIdx.x];
    sum += g * g;
  }
  __shared__ double of_warp[kWarps];
  sum = warp_sum(sum);
  if (threadIdx.x % kLanes == 0) of_warp[threadIdx.x / kLanes] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double total = 0;
  for (int warp = 0; warp < kWarps; ++warp) total += of_warp[warp];
  k.workspace[blockIdx.x] = total;
}

// ---- Two: a step a tensor; one block, so that all know whether anything is not finite before a count goes up
// -----------

__global__ void __launch_bounds__(kThreads) tensor_steps(UpdateArgs k) {
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const Schedule now = *k.schedule;
  __shared__ double largest[kWarps], sums[kWarps];
  __shared__ int stop;
  if (threadIdx.x == 0) stop = *k.not_finite;
  __syncthreads();
  double most = 0, total = 0;
  for (int tensor = warp; tensor < k.tensors; tensor += kWarps) {
    double square = 0;
    for (int s = k.first_slice[tensor] + lane; s < k.first_slice[tensor + 1]; s += kLanes) square += k.workspace[s];
    const double norm = sqrt(warp_sum(square)) / k.gradient_scale;
    const TensorInfo info = k.info[tensor];
    if (lane != 0) continue;
    if (info.trainable) {
      most = norm > most || isnan(norm) ? norm : most;
      total += norm;
      if (!isfinite(norm)) atomicOr(&stop, 1);
    }
    TensorStep step;
    step.moves = info.trainable && !(info.last_layer && now.freeze_last_layer);
    const double clip = k.clip_grad / (norm + 1e-6);
    step.clip = float((k.clip_grad > 0 && clip < 1 ? clip : 1) / k.gradient_scale);
    step.decay = float(1 - now.lr * (info.decayed ? now.weight_decay : 0));
    const double updates = double(k.updates[tensor] + 1);
    step.size = float(now.lr / (1 - pow(k.beta1, updates)));
    step.root = float(sqrt(1 - pow(k.beta2, updates)));
    k.step[tensor] = step;
  }
  if (lane == 0) {
    largest[warp] = most;
    sums[warp] = total;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    most = total = 0;
    for (int w = 0; w < kWarps; ++w) {
      most = largest[w] > most || isnan(largest[w]) ? largest[w] : most;
      total += sums[w];
    }
    k.norms[0] = most;
    k.norms[1] = total;
    if (stop) *k.not_finite = 1;
  }
  for (int tensor = threadIdx.x; tensor < k.tensors && !stop; tensor += kThreads)
    if (k.step[tensor].moves) ++k.updates[tensor];
}

// ---- Three: weights, moments, teacher, copies ----------------------------------------------------------------------

struct Rates {
  TensorStep step;
  float move, beta2, add, epsilon, keep, take;
};

template <class T, int kCount>
__device__ void update_pack(const UpdateArgs& k, const Rates& r, int64_t at) {
  float w[kCount], teacher[kCount];
  load<kCount>(k.weight + at, w);
  load<kCount>(k.teacher + at, teacher);
  if (r.step.moves) {
    float g[kCount], m[kCount], v[kCount];
    load<kCount>(k.gradient + at, g);
    load<kCount>(k.first + at, m);
    load<kCount>(k.second + at, v);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      g[i] *= r.step.clip;
      m[i] += (g[i] - m[i]) * r.move;
      v[i] = v[i] * r.beta2 + g[i] * g[i] * r.add;
      w[i] = w[i] * r.step.decay - r.step.size * (m[i] / (sqrtf(v[i]) / r.step.root + r.epsilon));
    }
    store<kCount>(k.first + at, m);
    store<kCount>(k.second + at, v);
    store<kCount>(k.weight + at, w);
    if (k.weight16) store<kCount>(static_cast<T*>(k.weight16) + at, w);
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) teacher[i] = r.keep * teacher[i] + r.take * w[i];
  store<kCount>(k.teacher + at, teacher);
  if (k.teacher16) store<kCount>(static_cast<T*>(k.teacher16) + at, teacher);
}

template <class T>
__global__ void __launch_bounds__(kThreads) update_slices(UpdateArgs k) {
  if (*k.not_finite) return;
  const Slice slice = k.slice[blockIdx.x];
  const double momentum = k.schedule->momentum_teacher;
  const Rates rates = {k.step[slice.tensor], float(1 - k.beta1), float(k.beta2), float(1 - k.beta2), k.epsilon,
                       float(momentum),      float(1 - momentum)};
  const int whole = slice.size / kWidth * kWidth;
  for (int i = threadIdx.x * kWidth; i < whole; i += kThreads * kWidth)
    update_pack<T, kWidth>(k, rates, slice.begin + i);
  if (int(threadIdx.x) < slice.size - whole) update_pack<T, 1>(k, rates, slice.begin + whole + threadIdx.x);
}

}  // namespace

udi_cuda_status launch_update(const UpdateArgs& k, Stream stream) {
  if (k.slices < 0 || k.slices > kMaxBlocks) return bad("update: slices must be from 0 to 2,147,483,647");
  if (k.tensors < 1 || k.tensors > 65536) return bad("update: tensors must be from 1 to 65536");
  if (k.clip_grad < 0 || !(k.gradient_scale > 0))
    return bad("update: clip_grad must be at least 0, gradient_scale above");
  if (!(k.beta1 >= 0 && k.beta1 < 1 && k.beta2 >= 0 && k.beta2 < 1)) return bad("update: betas must be in [0, 1)");
  if (k.copy_type != Type::kHalf && k.copy_type != Type::kBFloat16 && (k.weight16 || k.teacher16))
    return bad("update: copy_type must be float16 or bfloat16");
  if (k.slices == 0) return kDone;
  if (!k.slice || !k.first_slice || !k.info || !k.schedule || !k.gradient || !k.weight || !k.first || !k.second ||
      !k.teacher || !k.updates || !k.norms || !k.not_finite || !k.workspace || !k.step)
    return bad("update: only weight16 and teacher16 may be null");
  if (!aligned(k.gradient, k.weight, k.first, k.second, k.teacher, k.weight16, k.teacher16))
    return bad("update: flat memory must begin at a multiple of 16 bytes");
  const dim3 blocks(unsigned(k.slices));
  udi_cuda_status status = launch(slice_squares, blocks, kThreads, stream, k);
  if (status.code == 0) status = launch(tensor_steps, dim3(1), kThreads, stream, k);
  if (status.code != 0) return status;
  return k.copy_type == Type::kHalf ? launch(update_slices<__half>, blocks, kThreads, stream, k)
                                    : launch(update_slices<__nv_bfloat16>, blocks, kThreads, stream, k);
}

}  // namespace udi::cuda
