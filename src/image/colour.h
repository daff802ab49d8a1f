// Colour operations, in place, as torchvision.transforms.functional computes them on Pillow images. RGB in planes 0,
// 1, 2. uint8 is equal to Pillow; float32 (0..1) has the same formulas without rounding, clamped to 0..1.
#pragma once

#include "image/image.h"

namespace udi {

// Any number of channels. factor >= 0; 1 changes nothing, 0 gives black, the mean gray, the gray picture.
void adjust_brightness(const Planes& planes, float factor);
void adjust_contrast(const Planes& planes, float factor);  // around the mean of gray; without 3 channels: of all values

// Three channels of uint8 or float32; UDI_E_SHAPE otherwise.
void adjust_saturation(const Planes& planes, float factor);
void to_grayscale(const Planes& planes);              // all three planes become the gray one
void adjust_hue(const Planes& planes, double shift);  // of the colour circle, -0.5 to 0.5; through 8-bit HSV, as Pillow

// Values of at least threshold are inverted; float32 takes threshold / 255. Any number of channels.
void solarize(const Planes& planes, int threshold = 128);

}  // namespace udi
