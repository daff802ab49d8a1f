// Where the crops of an image lie (official: RandomCropCoord and RandomHorizontalFlipCoord of udi_augmentation.py).
#pragma once

#include "base/random.h"
#include "image/resize.h"

namespace udi {

struct Crop : Box {
  bool mirror = false;  // left and right change places after cropping
};

// A box by the places of its first and last pixel, both inside it. As the official code keeps it, an end may stand
// before its beginning: a mirrored crop has left > right.
struct CropEnds {
  int top, left, bottom, right;
};
CropEnds ends_of(const Crop& crop);

// (i0, j0, i1, j1) of a crop's first and last pixel as shares of height - 1 and width - 1; the two j swapped when
// mirrored. An image of one row (column) has no height - 1 to divide by: its crops run from 0 to 1.
void crop_coords(const Crop& crop, int image_height, int image_width, float coords[4]);

// A crop whose area is a share of the image's, uniform in [scale_min, scale_max], and whose width / height is
// log-uniform in [3/4, 4/3], anywhere in the image; after ten misfits the largest centre crop of such a shape.
// Not mirrored.
Crop draw_crop(Random& random, int image_height, int image_width, double scale_min, double scale_max);

// draw_crop, then moved towards `reference` until they share half of the smaller side along each axis. overlap 0: as
// the official code does it, whose bounding box takes its left end from the crop's row, so that now and then the widths
// do not meet; 1: mended.
Crop draw_crop_near(Random& random, int image_height, int image_width, double scale_min, double scale_max,
                    CropEnds reference, int overlap);

// A crop of `outer`, with draw_crop's shares of outer's area (the paper's figure 1).
Crop draw_crop_inside(Random& random, const Crop& outer, double scale_min, double scale_max);

// What local crops are drawn near. mode 0: the official "_crop_intersection", the box from the smaller beginnings to
// the larger ends of crops whose mirroring is not undone; 1: the box that both crops show (where they do not meet, the
// gap).
CropEnds local_reference(const Crop& first, const Crop& second, int mode);

}  // namespace udi
