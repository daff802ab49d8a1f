#include "data/masks.h"

#include <algorithm>

namespace udi {

int64_t samples_of(int64_t grid, int64_t window) {
  const int64_t cells = grid / window;
  return cells * cells;
}

void draw_sample_mask(Random& random, int64_t grid, int64_t window, uint8_t* mask) {
  std::fill_n(mask, grid * grid, uint8_t(0));
  const int64_t cells = grid / window;
  const int64_t rest = grid - cells * window;
  int64_t top = 0, left = 0;
  if (rest > 0) {
    const uint64_t corner = random.below(4);
    top = corner & 2 ? rest : 0;
    left = corner & 1 ? rest : 0;
  }
  for (int64_t row = 0; row < cells; ++row) {
    for (int64_t column = 0; column < cells; ++column) {
      const int64_t place = int64_t(random.below(uint64_t(window * window)));
      const int64_t y = top + row * window + place / window;
      const int64_t x = left + column * window + place % window;
      mask[y * grid + x] = 1;
    }
  }
}

}  // namespace udi
