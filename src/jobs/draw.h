// Drawn pictures of ten classes, for demos and tests: rows of six shapes and four textures. Position, size, turn,
// colours, background and noise are drawn anew each time; a picture's mean colour does not depend on its class, so that
// only shape and texture tell the classes apart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/image.h"

namespace udi {

const std::vector<std::string>& drawn_classes();  // in bytewise order

// Picture `index` of a set: RGB of 48 to 128 pixels a side. Depends on the arguments alone.
Image draw_picture(uint64_t seed, int label, uint64_t index);

}  // namespace udi
