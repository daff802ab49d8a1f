// AVX-512: as blur_avx2.cpp, twice as wide.
#include "image/processor.h"

#if UDI_X86_KERNELS
// GCC 12's own header sets off its warning (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "base/simd.h"
#include "image/blur_boxes.h"

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")

namespace udi {
namespace {

UDI_INLINE __m512i load(const void* at) { return _mm512_loadu_si512(at); }
UDI_INLINE void store(void* at, __m512i v) { _mm512_storeu_si512(at, v); }

void blur_values(const uint16_t* centre, ptrdiff_t step, ptrdiff_t count, const BoxFilter& box, uint16_t* out) {
  const int16_t inner_low = int16_t(box.inner), outer_low = int16_t(box.outer);
  const __m512i low = _mm512_set1_epi32(int32_t(uint32_t(uint16_t(inner_low)) | uint32_t(uint16_t(outer_low)) << 16));
  const __m512i inner_high = _mm512_set1_epi16(int16_t((int32_t(box.inner) - inner_low) >> 16));
  const __m512i outer_high = _mm512_set1_epi16(int16_t((int32_t(box.outer) - outer_low) >> 16));
  const __m512i half = _mm512_set1_epi16(1 << 7);
  const ptrdiff_t next = (box.whole + 1) * step;
  for (ptrdiff_t i = 0; i < count; i += 32) {
    const uint16_t* at = centre + i;
    __m512i x = load(at);
    for (ptrdiff_t covered = step; covered < next; covered += step) {
      x = _mm512_add_epi16(x, _mm512_add_epi16(load(at - covered), load(at + covered)));
    }
    const __m512i y = _mm512_add_epi16(load(at - next), load(at + next));
    const __m512i a = _mm512_srai_epi32(_mm512_madd_epi16(_mm512_unpacklo_epi16(x, y), low), 16);
    const __m512i b = _mm512_srai_epi32(_mm512_madd_epi16(_mm512_unpackhi_epi16(x, y), low), 16);
    const __m512i high = _mm512_add_epi16(_mm512_mullo_epi16(x, inner_high), _mm512_mullo_epi16(y, outer_high));
    const __m512i sum = _mm512_add_epi16(_mm512_add_epi16(_mm512_packs_epi32(a, b), high), half);
    store(out + i, _mm512_srli_epi16(sum, 8));
  }
}

void widen(const uint8_t* in, ptrdiff_t count, uint16_t* out) {
  for (ptrdiff_t i = 0; i < count; i += 32) {
    store(out + i, _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i))));
  }
}

void narrow(const uint16_t* in, ptrdiff_t count, uint8_t* out) {
  for (ptrdiff_t i = 0; i < count; i += 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm512_cvtepi16_epi8(load(in + i)));
  }
}

}  // namespace

const BlurKernels kBlurVnni{blur_values, widen, narrow};

}  // namespace udi

#pragma GCC pop_options
#endif
