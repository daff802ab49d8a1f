#include "data/crops.h"

#include <algorithm>
#include <cmath>

namespace udi {
namespace {

constexpr double kRatioMin = 3.0 / 4.0, kRatioMax = 4.0 / 3.0;

// Python's round(): halves go to the even neighbour.
int round_half_even(double value) { return int(std::nearbyint(value)); }

Crop centre_crop(int height, int width) {
  Crop crop;
  const double ratio = double(width) / height;
  crop.width = ratio > kRatioMax ? round_half_even(height * kRatioMax) : width;
  crop.height = ratio < kRatioMin ? round_half_even(width / kRatioMin) : height;
  crop.top = (height - crop.height) / 2;
  crop.left = (width - crop.width) / 2;
  return crop;
}

// How far a crop [begin, begin + length) has to move along one axis so that it and the reference, first to last pixel,
// share half of the smaller one. box_begin: where the box around both begins.
int shift_towards(int begin, int length, int reference_begin, int reference_end, int box_begin) {
  const int end = begin + length - 1;
  const int reference_length = reference_end - reference_begin;  // official: without the + 1
  const int box = std::max(end, reference_end) - box_begin;
  const double half = 0.5 * std::min(reference_length, length);
  double shift = box > length + reference_length ? box - length - reference_length : 0;
  if (box >= length + reference_length - half) shift += half;
  const double distance = (reference_begin + reference_end) / 2.0 - (begin + end) / 2.0;
  return round_half_even(distance / (std::abs(distance) + 1e-5) * shift);
}

int into_image(int begin, int length, int image_length) { return std::max(0, std::min(begin, image_length - length)); }

}  // namespace

CropEnds ends_of(const Crop& crop) {
  CropEnds ends{crop.top, crop.left, crop.top + crop.height - 1, crop.left + crop.width - 1};
  if (crop.mirror) std::swap(ends.left, ends.right);
  return ends;
}

void crop_coords(const Crop& crop, int image_height, int image_width, float coords[4]) {
  const auto share = [](int place, int length, double alone) {
    return float(length > 1 ? double(place) / (length - 1) : alone);
  };
  coords[0] = share(crop.top, image_height, 0);
  coords[1] = share(crop.left, image_width, 0);
  coords[2] = share(crop.top + crop.height - 1, image_height, 1);
  coords[3] = share(crop.left + crop.width - 1, image_width, 1);
  if (crop.mirror) std::swap(coords[1], coords[3]);
}

Crop draw_crop(Random& random, int image_height, int image_width, double scale_min, double scale_max) {
  const double image_area = double(image_height) * image_width;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = random.uniform(scale_min, scale_max) * image_area;
    const double ratio = std::exp(random.uniform(std::log(kRatioMin), std::log(kRatioMax)));
    Crop crop;
    crop.width = round_half_even(std::sqrt(area * ratio));
    crop.height = round_half_even(std::sqrt(area / ratio));
    if (crop.width < 1 || crop.width > image_width || crop.height < 1 || crop.height > image_height) continue;
    crop.top = int(random.below(uint64_t(image_height - crop.height) + 1));
    crop.left = int(random.below(uint64_t(image_width - crop.width) + 1));
    return crop;
  }
  return centre_crop(image_height, image_width);
}

Crop draw_crop_near(Random& random, int image_height, int image_width, double scale_min, double scale_max,
                    CropEnds reference, int overlap) {
  if (reference.left > reference.right) std::swap(reference.left, reference.right);
  if (reference.top > reference.bottom) std::swap(reference.top, reference.bottom);
  Crop crop = draw_crop(random, image_height, image_width, scale_min, scale_max);
  const int row_begin = std::min(crop.top, reference.top);
  const int column_begin = std::min(overlap == 0 ? crop.top : crop.left, reference.left);
  const int down = shift_towards(crop.top, crop.height, reference.top, reference.bottom, row_begin);
  const int right = shift_towards(crop.left, crop.width, reference.left, reference.right, column_begin);
  crop.top = into_image(crop.top + down, crop.height, image_height);
  crop.left = into_image(crop.left + right, crop.width, image_width);
  return crop;
}

Crop draw_crop_inside(Random& random, const Crop& outer, double scale_min, double scale_max) {
  Crop crop = draw_crop(random, outer.height, outer.width, scale_min, scale_max);
  crop.top += outer.top;
  crop.left += outer.left;
  return crop;
}

CropEnds local_reference(const Crop& first, const Crop& second, int mode) {
  if (mode == 0) {
    const CropEnds a = ends_of(first), b = ends_of(second);
    return {std::min(a.top, b.top), std::min(a.left, b.left), std::max(a.bottom, b.bottom), std::max(a.right, b.right)};
  }
  Crop left = first, right = second;
  left.mirror = right.mirror = false;
  const CropEnds a = ends_of(left), b = ends_of(right);
  return {std::max(a.top, b.top), std::max(a.left, b.left), std::min(a.bottom, b.bottom), std::min(a.right, b.right)};
}

}  // namespace udi
