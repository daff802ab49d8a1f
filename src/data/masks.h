// Which tokens of a crop are sampled (official: _sampling_mask).
#pragma once

#include <cstdint>

#include "base/random.h"

namespace udi {

// Samples of a mask: (grid / window) squared; 0 where the window is larger than the grid.
int64_t samples_of(int64_t grid, int64_t window);

// mask [grid * grid] gets a 1 at one place, drawn uniformly, of each window x window cell, else 0. Cells that do not
// fill the grid are laid into one of its four corners, drawn too.
void draw_sample_mask(Random& random, int64_t grid, int64_t window, uint8_t* mask);

}  // namespace udi
