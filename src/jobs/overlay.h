// Attention as pictures: a map over patches laid on the image it belongs to.
#pragma once

#include <string>

#include "image/image.h"
#include "jobs/jobs.h"
#include "model/model.h"

namespace udi {

// image: 8-bit, 1 or 3 channels. map: float32 [rows, cols], at least 0; its largest value is the brightest colour. A
// cell covers image.height / rows x image.width / cols pixels (nearest neighbour). opacity: of the map, 0..1.
Image overlay(const Image& image, const at::Tensor& map, double opacity);

// Left to right with `gap` white pixels between; pictures of one height.
Image side_by_side(const std::vector<Image>& pictures, int gap);

// The shorter side becomes `side` (bicubic), then right and bottom are cut to multiples of patch_size, as the official
// attention script does.
Image fit_to_patches(const Image& image, int side, int patch_size);

// What attention() takes: [1, C, H, W], uint8, or normalised float32.
at::Tensor as_model_input(const Image& image, const udi_model_config& model);

// An 8-bit picture of an image of any dtype and number of channels: three channels as they are, else the first as gray.
Image as_picture(const Image& image);

}  // namespace udi
