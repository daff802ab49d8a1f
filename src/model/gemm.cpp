#include "model/gemm.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <utility>

#include "model/vectors.h"

namespace udi::gemm {

namespace {

#ifdef UDI_GEMM_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
namespace avx512 {

using namespace vectors512;
constexpr const char* kName = "AVX-512";
constexpr int kTileRows = 14;
constexpr bool kRanges = false;
using Sum = V;
UDI_INLINE Sum no_sum() { return zero(); }
UDI_INLINE Sum add_product(V row, V column, Sum sum) { return fma(row, column, sum); }
UDI_INLINE V floats_of(Sum sum) { return sum; }
#include "model/gemm_kernel.h"

}  // namespace avx512
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
namespace avx2 {

using namespace vectors256;
constexpr const char* kName = "AVX2";
constexpr int kTileRows = 6;
constexpr bool kRanges = false;
using Sum = V;
UDI_INLINE Sum no_sum() { return zero(); }
UDI_INLINE Sum add_product(V row, V column, Sum sum) { return fma(row, column, sum); }
UDI_INLINE V floats_of(Sum sum) { return sum; }
#include "model/gemm_kernel.h"

}  // namespace avx2
#pragma GCC pop_options
#endif

namespace plain {

using namespace vectors128;
constexpr const char* kName = "plain";
constexpr int kTileRows = 6;
constexpr bool kRanges = false;
using Sum = V;
UDI_INLINE Sum no_sum() { return zero(); }
UDI_INLINE Sum add_product(V row, V column, Sum sum) { return fma(row, column, sum); }
UDI_INLINE V floats_of(Sum sum) { return sum; }
#include "model/gemm_kernel.h"

}  // namespace plain

struct Found {
  const Kernels* all[4] = {};
  Found() {
    int count = 0;
#ifdef UDI_GEMM_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) all[count++] = &avx512::kKernels;
    if (__builtin_cpu_supports("x86-64-v3")) all[count++] = &avx2::kKernels;
#endif
    all[count] = &plain::kKernels;
  }
};

std::atomic<const Kernels*> chosen{nullptr};

}  // namespace

int64_t block_words() {
  static const int64_t words = [] {
    int64_t bytes = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return (bytes > 0 ? bytes : 1 << 19) / 8;
  }();
  return words;
}

const Kernels* const* all_kernels() {
  static const Found found;
  return found.all;
}

const Kernels& kernels() {
  const Kernels* used = chosen.load(std::memory_order_relaxed);
  return used ? *used : *all_kernels()[0];
}

void use(const Kernels* kernels) { chosen.store(kernels, std::memory_order_relaxed); }

}  // namespace udi::gemm
