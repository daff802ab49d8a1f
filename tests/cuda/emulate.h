// CUDA on the host, as far as cuda/*.cu need it: blocks run one after another, shared memory is static, exchanges
// within a warp and barriers wait for all. A block's threads are coroutines of one thread, which is quick, or, with
// UDI_EMULATE_THREADS, threads of the process, whose accesses ThreadSanitizer and AddressSanitizer see as they are.
// Stricter than CUDA: a thread that returns early never counts as arrived at a barrier.
#pragma once

#include <pthread.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
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

// Each operation rounded by itself: compiled with -ffp-contract=off.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }

struct float2 {
  float x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }

namespace udi::cuda::emulate {

#ifdef UDI_EMULATE_THREADS

class Barrier {
 public:
  explicit Barrier(unsigned threads) { pthread_barrier_init(&barrier_, nullptr, threads); }
  ~Barrier() { pthread_barrier_destroy(&barrier_); }
  void wait() { pthread_barrier_wait(&barrier_); }

 private:
  pthread_barrier_t barrier_;
};

#else

void yield();  // to the block's next thread

class Barrier {
 public:
  explicit Barrier(unsigned threads) : threads_(threads) {}
  void wait() {
    const unsigned turn = turn_;
    if (++arrived_ < threads_) {
      while (turn_ == turn) yield();
    } else {
      arrived_ = 0;
      ++turn_;
    }
  }

 private:
  unsigned threads_, arrived_ = 0, turn_ = 0;
};

#endif

// What the lanes of a warp exchange; two sets in turn, so that one barrier an exchange is enough.
struct alignas(16) Slot {
  unsigned char bytes[48];
};
struct Warp {
  Barrier barrier{32};
  Slot slots[2][32];
};

// A copy that goes on beside the thread (emulate_mma.h).
struct Copy {
  void* to;
  const void* from;
  int bytes;
};

struct Thread {
  dim3 thread, block, blocks, threads;
  Warp* warp;
  Barrier* all;
  unsigned turn = 0;
  std::vector<Copy> copies = {};

  void finish_copies() {
    for (const Copy& copy : copies) {
      std::memset(copy.to, 0, 16);
      std::memcpy(copy.to, copy.from, size_t(copy.bytes));
    }
    copies.clear();
  }
};
#ifdef UDI_EMULATE_THREADS
inline thread_local Thread* self;
#else
inline Thread* self;
#endif

// What every lane of the warp brought.
template <class T>
const Slot* exchange(T mine) {
  static_assert(sizeof(T) <= sizeof(Slot));
  Slot* const slots = self->warp->slots[self->turn++ % 2];
  std::memcpy(&slots[self->thread.x % 32], &mine, sizeof mine);
  self->warp->barrier.wait();
  return slots;
}

template <class T>
T of_lane(const Slot* slots, unsigned lane) {
  T value;
  std::memcpy(&value, &slots[lane % 32], sizeof value);
  return value;
}

// body() by every thread of `crew`, to its end.
#ifdef UDI_EMULATE_THREADS

template <class Body>
void run_all(std::vector<Thread>& crew, const Body& body) {
  std::vector<std::thread> running;
  for (Thread& thread : crew)
    running.emplace_back([&] {
      self = &thread;
      body();
    });
  for (std::thread& thread : running) thread.join();
}

#else

// Where a coroutine is to go on. An exchange of a warp is 32 changes from one to another, so they must cost little.
#ifdef __x86_64__

using Place = void*;  // its stack pointer, with what a call must keep pushed there

__attribute__((naked, noinline)) inline void change(Place*, Place) {
  asm volatile(
      "pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15;"
      "movq %rsp, (%rdi); movq %rsi, %rsp;"
      "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}
inline void begin(Place* place, char* stack, size_t size, void (*entry)()) {
  auto* const top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack) + size) & ~uintptr_t(15));
  std::fill(top - 8, top, nullptr);
  top[-2] = reinterpret_cast<void*>(entry);  // what change() returns to, aligned as a call would have it
  *place = top - 8;
}

#else

using Place = ucontext_t;

inline void change(Place* from, const Place& to) { swapcontext(from, &to); }
inline void begin(Place* place, char* stack, size_t size, void (*entry)()) {
  getcontext(place);
  place->uc_stack.ss_sp = stack;
  place->uc_stack.ss_size = size;
  place->uc_link = nullptr;
  makecontext(place, entry, 0);
}

#endif

struct Coroutine {
  static constexpr size_t kStack = 1 << 16;
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStack);
  Place at;
  bool done;
};

struct Coroutines {
  std::vector<Thread>* crew;
  std::vector<Coroutine> all;
  std::function<void()> body;
  size_t running = 0, left = 0;
  Place back;

  size_t next() const {
    size_t at = running;
    do at = at + 1 == crew->size() ? 0 : at + 1;
    while (all[at].done && at != running);
    return at;
  }
  void become(size_t index, Place* from) {
    running = index;
    self = &(*crew)[index];
    change(from, all[index].at);
  }
};
inline Coroutines coroutines;

inline void yield() {
  const size_t to = coroutines.next();
  if (to == coroutines.running) {
    std::fprintf(stderr, "emulated: not all threads of a block come to a barrier\n");
    std::abort();
  }
  coroutines.become(to, &coroutines.all[coroutines.running].at);
}

inline void coroutine() {
  coroutines.body();
  Coroutine& ended = coroutines.all[coroutines.running];
  ended.done = true;
  if (--coroutines.left == 0) change(&ended.at, coroutines.back);
  coroutines.become(coroutines.next(), &ended.at);
}

template <class Body>
void run_all(std::vector<Thread>& crew, const Body& body) {
  Coroutines& all = coroutines;
  all.crew = &crew;
  if (all.all.size() < crew.size()) all.all.resize(crew.size());
  all.body = body;
  all.left = crew.size();
  for (size_t i = 0; i < crew.size(); ++i) {
    all.all[i].done = false;
    begin(&all.all[i].at, all.all[i].stack.get(), Coroutine::kStack, coroutine);
  }
  all.become(0, &all.back);
}

#endif

}  // namespace udi::cuda::emulate

#define threadIdx udi::cuda::emulate::self->thread
#define blockIdx udi::cuda::emulate::self->block
#define blockDim udi::cuda::emulate::self->threads
#define gridDim udi::cuda::emulate::self->blocks

inline void __syncthreads() { udi::cuda::emulate::self->all->wait(); }
inline void __syncwarp() { udi::cuda::emulate::self->warp->barrier.wait(); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return udi::cuda::emulate::of_lane<T>(udi::cuda::emulate::exchange(value), threadIdx.x ^ unsigned(mask));
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return udi::cuda::emulate::of_lane<T>(udi::cuda::emulate::exchange(value), unsigned(lane));
}
inline unsigned __ballot_sync(unsigned, bool mine) {
  const udi::cuda::emulate::Slot* const slots = udi::cuda::emulate::exchange(uint32_t(mine));
  unsigned all = 0;
  for (unsigned lane = 0; lane < 32; ++lane) all |= udi::cuda::emulate::of_lane<uint32_t>(slots, lane) << lane;
  return all;
}
inline int __ffs(unsigned x) { return __builtin_ffs(int(x)); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int atomicOr(int* at, int bits) { return __atomic_fetch_or(at, bits, __ATOMIC_RELAXED); }
using std::isfinite;
using std::isnan;

namespace udi::cuda {

inline std::mutex one_launch;  // shared memory is static: one kernel at a time

template <class... Parameters, class... Arguments>
udi_cuda_status launch(void (*kernel)(Parameters...), dim3 blocks, int threads, Stream, Arguments... arguments) {
  if (threads < 32 || threads > 1024 || threads % 32 != 0) return {2, "emulated: a block must be of whole warps"};
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return {2, "emulated: a grid must not be empty"};
  const std::lock_guard<std::mutex> lock(one_launch);
  emulate::Barrier all{unsigned(threads)};
  std::vector<std::unique_ptr<emulate::Warp>> warps;
  for (int warp = 0; warp < threads / 32; ++warp) warps.push_back(std::make_unique<emulate::Warp>());
  std::vector<emulate::Thread> crew;
  for (int thread = 0; thread < threads; ++thread)
    crew.push_back(
        {dim3(unsigned(thread)), {}, blocks, dim3(unsigned(threads)), warps[size_t(thread / 32)].get(), &all, 0, {}});
  emulate::run_all(crew, [&] {
    dim3& block = emulate::self->block;
    for (block.z = 0; block.z < blocks.z; ++block.z)
      for (block.y = 0; block.y < blocks.y; ++block.y)
        for (block.x = 0; block.x < blocks.x; ++block.x) {
          kernel(arguments...);
          if (!emulate::self->copies.empty()) std::abort();  // nobody waited for a copy
          all.wait();
        }
  });
  return {0, "done"};
}

}  // namespace udi::cuda
