// Colour operations on float32, 0..1.
#pragma once

#include <cstddef>

namespace udi {

void blend_from(float* values, size_t count, float from, float factor);
void blend_from_gray(float* r, float* g, float* b, size_t count, float factor);
double gray_sum_of(const float* r, const float* g, const float* b, size_t count);
void turn_hue(float* r, float* g, float* b, size_t count, float shift);

}  // namespace udi
