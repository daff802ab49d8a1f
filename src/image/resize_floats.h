// The two passes over float32: double sums in Pillow's order, rounded to float between.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image/resize.h"

namespace udi {

constexpr int kFloatsAtOnce = 16;  // values that a column needs room for beyond its last

// columns[c][x][y] from pixels [y][x][c]; pitch: values from one column to the next.
void to_columns(const Image& image, size_t pitch, float* columns);

// One plane, whose box begins at `columns`.
void resize_floats(const float* columns, size_t pitch, const Box& box, const ResizeTaps& across, const ResizeTaps& down,
                   bool columns_first, Memory& between, Memory& rows, Memory& turned, float* out);

}  // namespace udi
