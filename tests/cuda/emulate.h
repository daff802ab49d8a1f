// CUDA on the host, as far as cuda/*.cu need it: a block's threads are threads of the process, blocks run one after
// another, shared memory is static, exchanges within a warp and barriers are barriers of pthreads. So a kernel's logic
// can be tested against its twin without a GPU, its accesses by AddressSanitizer, and what it does between barriers by
// ThreadSanitizer. Stricter than CUDA: a thread that returns early never counts as arrived at a barrier.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "half.h"
#include "kernels.h"

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define __forceinline__ inline

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct __half {
  uint16_t bits;
};
struct __nv_bfloat16 {
  uint16_t bits;
};
inline float __half2float(__half x) { return udi::cuda::half_to_float(x.bits); }
inline __half __float2half_rn(float x) { return {udi::cuda::float_to_half(x)}; }
inline float __bfloat162float(__nv_bfloat16 x) { return udi::cuda::bfloat16_to_float(x.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return {udi::cuda::float_to_bfloat16(x)}; }

struct float2 {
  float x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }

namespace udi::cuda::emulate {

class Barrier {
 public:
  explicit Barrier(unsigned threads) { pthread_barrier_init(&barrier_, nullptr, threads); }
  ~Barrier() { pthread_barrier_destroy(&barrier_); }
  void wait() { pthread_barrier_wait(&barrier_); }

 private:
  pthread_barrier_t barrier_;
};

// What the lanes of a warp exchange; two sets in turn, so that one barrier an exchange is enough.
struct Warp {
  Barrier barrier{32};
  uint64_t slots[2][32];
};

struct Thread {
  dim3 thread, block, blocks, threads;
  Warp* warp;
  Barrier* all;
  unsigned turn = 0;
};
inline thread_local Thread self;

// What every lane of the warp brought.
template <class T>
const uint64_t* exchange(T mine) {
  uint64_t* const slots = self.warp->slots[self.turn++ % 2];
  uint64_t bits = 0;
  std::memcpy(&bits, &mine, sizeof mine);
  slots[self.thread.x % 32] = bits;
  self.warp->barrier.wait();
  return slots;
}

template <class T>
T of_lane(const uint64_t* slots, unsigned lane) {
  T value;
  std::memcpy(&value, &slots[lane % 32], sizeof value);
  return value;
}

}  // namespace udi::cuda::emulate

#define threadIdx udi::cuda::emulate::self.thread
#define blockIdx udi::cuda::emulate::self.block
#define blockDim udi::cuda::emulate::self.threads
#define gridDim udi::cuda::emulate::self.blocks

inline void __syncthreads() { udi::cuda::emulate::self.all->wait(); }
inline void __syncwarp() { udi::cuda::emulate::self.warp->barrier.wait(); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return udi::cuda::emulate::of_lane<T>(udi::cuda::emulate::exchange(value), threadIdx.x ^ unsigned(mask));
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return udi::cuda::emulate::of_lane<T>(udi::cuda::emulate::exchange(value), unsigned(lane));
}
inline unsigned __ballot_sync(unsigned, bool mine) {
  const uint64_t* const slots = udi::cuda::emulate::exchange(uint32_t(mine));
  unsigned all = 0;
  for (unsigned lane = 0; lane < 32; ++lane) all |= unsigned(slots[lane] != 0) << lane;
  return all;
}
inline int __ffs(unsigned x) { return __builtin_ffs(int(x)); }
inline int atomicOr(int* at, int bits) { return __atomic_fetch_or(at, bits, __ATOMIC_RELAXED); }
using std::isfinite;
using std::isnan;

namespace udi::cuda {

template <class... Parameters, class... Arguments>
udi_cuda_status launch(void (*kernel)(Parameters...), dim3 blocks, int threads, Stream, Arguments... arguments) {
  if (threads < 32 || threads > 1024 || threads % 32 != 0) return {2, "emulated: a block must be of whole warps"};
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return {2, "emulated: a grid must not be empty"};
  emulate::Barrier all{unsigned(threads)};
  std::vector<std::unique_ptr<emulate::Warp>> warps;
  for (int warp = 0; warp < threads / 32; ++warp) warps.push_back(std::make_unique<emulate::Warp>());
  const auto run = [&](unsigned thread) {
    emulate::self = {dim3(thread), {}, blocks, dim3(unsigned(threads)), warps[thread / 32].get(), &all, 0};
    dim3& block = emulate::self.block;
    for (block.z = 0; block.z < blocks.z; ++block.z)
      for (block.y = 0; block.y < blocks.y; ++block.y)
        for (block.x = 0; block.x < blocks.x; ++block.x) {
          kernel(arguments...);
          all.wait();
        }
  };
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) running.emplace_back(run, unsigned(thread));
  for (std::thread& thread : running) thread.join();
  return {0, "done"};
}

}  // namespace udi::cuda
