#include "model/narrow.h"

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "model/vectors.h"

namespace udi::gemm {

namespace {

#ifdef UDI_GEMM_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512vnni")
namespace vnni {

using namespace vectors512;
constexpr const char* kName = "AVX-512 VNNI";
constexpr int kTileRows = 14, kNumbers = 4;
constexpr bool kRanges = true;
using Sum = __m512i;
UDI_INLINE Sum no_sum() { return _mm512_setzero_si512(); }
UDI_INLINE __m512i whole(V v) { return _mm512_castps_si512(v); }
// By its intrinsic GCC 12 copies sums from register to register, which takes a fifth of the time.
UDI_INLINE Sum add_product(V row, V column, Sum sum) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(row), "v"(column));
  return sum;
}
UDI_INLINE V floats_of(Sum sum) { return _mm512_cvtepi32_ps(sum); }
UDI_INLINE void store_numbers(float* words, int64_t at, V v) {
  _mm_storeu_si128((__m128i*)((char*)words + at), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}
#include "model/narrow_kernel.h"

}  // namespace vnni
#pragma GCC pop_options

// Products of bytes by bytes with sums of 16 bits (vpmaddubsw) would overflow: 16 bits by 16 bits do not.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
namespace madd512 {

using namespace vectors512;
constexpr const char* kName = "AVX-512";
constexpr int kTileRows = 14, kNumbers = 2;
constexpr bool kRanges = true;
using Sum = __m512i;
UDI_INLINE Sum no_sum() { return _mm512_setzero_si512(); }
UDI_INLINE __m512i whole(V v) { return _mm512_castps_si512(v); }
UDI_INLINE Sum add_product(V row, V column, Sum sum) {
  return _mm512_add_epi32(sum, _mm512_madd_epi16(whole(row), whole(column)));
}
UDI_INLINE V floats_of(Sum sum) { return _mm512_cvtepi32_ps(sum); }
UDI_INLINE void store_numbers(float* words, int64_t at, V v) {
  _mm256_storeu_si256((__m256i*)((char*)words + 2 * at), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
}
#include "model/narrow_kernel.h"

}  // namespace madd512
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
namespace madd256 {

using namespace vectors256;
constexpr const char* kName = "AVX2";
constexpr int kTileRows = 6, kNumbers = 2;
constexpr bool kRanges = true;
using Sum = __m256i;
UDI_INLINE Sum no_sum() { return _mm256_setzero_si256(); }
UDI_INLINE __m256i whole(V v) { return _mm256_castps_si256(v); }
UDI_INLINE Sum add_product(V row, V column, Sum sum) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(whole(row), whole(column)));
}
UDI_INLINE V floats_of(Sum sum) { return _mm256_cvtepi32_ps(sum); }
UDI_INLINE void store_numbers(float* words, int64_t at, V v) {
  const __m256i n = _mm256_cvtps_epi32(v);
  const __m128i shorts = _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
  _mm_storeu_si128((__m128i*)((char*)words + 2 * at), shorts);
}
#include "model/narrow_kernel.h"

}  // namespace madd256
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512bf16")
namespace bf16 {

using namespace vectors512;
constexpr const char* kName = "AVX-512 BF16";
constexpr int kTileRows = 14, kNumbers = 2;
constexpr bool kRanges = false;
using Sum = V;
UDI_INLINE Sum no_sum() { return zero(); }
UDI_INLINE Sum add_product(V row, V column, Sum sum) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(row), (__m512bh)_mm512_castps_si512(column));
}
UDI_INLINE V floats_of(Sum sum) { return sum; }
UDI_INLINE void store_numbers(float* words, int64_t at, V v) {
  _mm256_storeu_si256((__m256i*)((char*)words + 2 * at), (__m256i)_mm512_cvtneps_pbh(v));
}
#include "model/narrow_kernel.h"

}  // namespace bf16
#pragma GCC pop_options

#endif

namespace plain {

using namespace vectors128;
constexpr const char* kName = "plain";
constexpr int kTileRows = 6, kNumbers = 2;
constexpr bool kRanges = true;
using Sum = Ints;
UDI_INLINE Sum no_sum() { return Sum{}; }
UDI_INLINE Sum add_product(V row, V column, Sum sum) {  // words of two numbers of 16 bits
  const Ints r = Ints(row), c = Ints(column);
  return sum + (r << 16 >> 16) * (c << 16 >> 16) + (r >> 16) * (c >> 16);
}
UDI_INLINE V floats_of(Sum sum) { return __builtin_convertvector(sum, V); }
UDI_INLINE void store_numbers(float* words, int64_t at, V v) {
  using Shorts = int16_t __attribute__((vector_size(8)));
  const V round = spread(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  const Shorts shorts = __builtin_convertvector((v + round) - round, Shorts);
  __builtin_memcpy((char*)words + 2 * at, &shorts, sizeof shorts);
}
#include "model/narrow_kernel.h"

}  // namespace plain

// The kernels whose panels are as wide.
const Kernels* with_panel(int64_t panel) {
  auto k = all_kernels();
  while ((*k)->panel != panel) ++k;
  return *k;
}

struct Found {
  Narrow kernels[5];
  const Narrow *bytes[5] = {}, *bf16s[2] = {};
  Found() {
    int count = 0, of_bytes = 0;
    const auto add = [&](Bits bits, const char* name, int64_t panel, int64_t numbers, auto rows, auto product) {
      kernels[count] = {name, bits, with_panel(panel), numbers, rows, product};
      (bits == Bits::kInt8 ? bytes[of_bytes++] : bf16s[0]) = &kernels[count];
      ++count;
    };
#define UDI_ADD(bits, k) add(Bits::bits, k::kName, k::kPanel, k::kNumbers, k::rows, k::product)
#ifdef UDI_GEMM_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) {
      if (__builtin_cpu_supports("avx512vnni")) UDI_ADD(kInt8, vnni);
      UDI_ADD(kInt8, madd512);
      if (__builtin_cpu_supports("avx512bf16")) UDI_ADD(kBf16, bf16);
    }
    if (__builtin_cpu_supports("x86-64-v3")) UDI_ADD(kInt8, madd256);
#endif
    UDI_ADD(kInt8, plain);
#undef UDI_ADD
  }
};

const Found& found() {
  static const Found all;
  return all;
}

constexpr Narrow kNone{};
std::atomic<const Narrow*> chosen[2] = {nullptr, nullptr};

}  // namespace

const Narrow* const* all_narrow(Bits bits) { return bits == Bits::kInt8 ? found().bytes : found().bf16s; }

const Narrow* narrow(Bits bits) {
  const Narrow* used = chosen[int(bits)].load(std::memory_order_relaxed);
  return used == &kNone ? nullptr : used ? used : *all_narrow(bits);
}

void use(const Narrow& kernels) { chosen[int(kernels.bits)].store(&kernels, std::memory_order_relaxed); }

void pretend_none(Bits bits) { chosen[int(bits)].store(&kNone, std::memory_order_relaxed); }

void use_best_narrow() {
  for (auto& one : chosen) one.store(nullptr, std::memory_order_relaxed);
}

}  // namespace udi::gemm
