// AVX2: a box over 16-bit values. The sum wanted is x * inner + y * outer + 2^23 modulo 2^32, x the sum of the covered
// pixels and y that of the next two, and of it the upper byte. Weights are split as high * 2^16 + low, both signed. Low
// parts are multiplied in pairs (x, y) to 32 bits, of which the upper half is kept: what is below it does not reach the
// result. High parts count from 2^16 on, so 16 bits of them are enough.
#include "image/processor.h"

#if UDI_X86_KERNELS
#include <immintrin.h>

#include "base/simd.h"
#include "image/blur_boxes.h"

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")

namespace udi {
namespace {

UDI_INLINE __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
UDI_INLINE void store(void* at, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(at), v); }

void blur_values(const uint16_t* centre, ptrdiff_t step, ptrdiff_t count, const BoxFilter& box, uint16_t* out) {
  const int16_t inner_low = int16_t(box.inner), outer_low = int16_t(box.outer);
  const __m256i low = _mm256_set1_epi32(int32_t(uint32_t(uint16_t(inner_low)) | uint32_t(uint16_t(outer_low)) << 16));
  const __m256i inner_high = _mm256_set1_epi16(int16_t((int32_t(box.inner) - inner_low) >> 16));
  const __m256i outer_high = _mm256_set1_epi16(int16_t((int32_t(box.outer) - outer_low) >> 16));
  const __m256i half = _mm256_set1_epi16(1 << 7);
  const ptrdiff_t next = (box.whole + 1) * step;
  for (ptrdiff_t i = 0; i < count; i += 16) {
    const uint16_t* at = centre + i;
    __m256i x = load(at);
    for (ptrdiff_t covered = step; covered < next; covered += step) {
      x = _mm256_add_epi16(x, _mm256_add_epi16(load(at - covered), load(at + covered)));
    }
    const __m256i y = _mm256_add_epi16(load(at - next), load(at + next));
    const __m256i a = _mm256_srai_epi32(_mm256_madd_epi16(_mm256_unpacklo_epi16(x, y), low), 16);
    const __m256i b = _mm256_srai_epi32(_mm256_madd_epi16(_mm256_unpackhi_epi16(x, y), low), 16);
    const __m256i high = _mm256_add_epi16(_mm256_mullo_epi16(x, inner_high), _mm256_mullo_epi16(y, outer_high));
    const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(_mm256_packs_epi32(a, b), high), half);
    store(out + i, _mm256_srli_epi16(sum, 8));
  }
}

void widen(const uint8_t* in, ptrdiff_t count, uint16_t* out) {
  for (ptrdiff_t i = 0; i < count; i += 16) {
    store(out + i, _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  }
}

void narrow(const uint16_t* in, ptrdiff_t count, uint8_t* out) {
  for (ptrdiff_t i = 0; i < count; i += 32) {
    store(out + i, _mm256_permute4x64_epi64(_mm256_packus_epi16(load(in + i), load(in + i + 16)), 0xd8));
  }
}

}  // namespace

const BlurKernels kBlurAvx2{blur_values, widen, narrow};

}  // namespace udi

#pragma GCC pop_options
#endif
