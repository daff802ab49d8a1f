// Augmentation against Pillow's definitions, written plainly here: every byte.
#include <algorithm>
#include <cmath>

#include "augment.h"
#include "check.h"
#include "memory.h"

namespace udi::cuda::test {

namespace {

using Pixels = std::vector<uint8_t>;

uint8_t cut(double value) { return uint8_t(std::min(255.0, std::max(0.0, value))); }

// ---- Twin: planes [channels][height][width], one operation after the other ------------------------------------------

struct Plane {
  int height, width;
  Pixels at;
};
using Picture = std::vector<Plane>;

Plane turned(const Plane& in) {
  Plane out{in.width, in.height, Pixels(in.at.size())};
  for (int y = 0; y < in.height; ++y)
    for (int x = 0; x < in.width; ++x) out.at[size_t(x * in.height + y)] = in.at[size_t(y * in.width + x)];
  return out;
}

double cubic(double x) {
  x = std::fabs(x);
  if (x < 1) return ((1.5 * x - 2.5) * x) * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

Plane along_rows(const Plane& in, int width) {
  Plane out{in.height, width, Pixels(size_t(in.height) * size_t(width))};
  const double scale = double(in.width) / width, filter_scale = std::max(scale, 1.0), reach = 2 * filter_scale;
  for (int x = 0; x < width; ++x) {
    const double centre = (x + 0.5) * scale;
    const int first = std::max(0, int(centre - reach + 0.5)), end = std::min(in.width, int(centre + reach + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int i = first; i < end; ++i) {
      weights.push_back(cubic((i - centre + 0.5) * (1 / filter_scale)));
      sum += weights.back();
    }
    for (int y = 0; y < in.height; ++y) {
      int64_t total = 1 << 21;
      for (int i = first; i < end; ++i) {
        const double weight = weights[size_t(i - first)] / sum;
        total += int64_t(weight * (1 << 22) + (weight < 0 ? -0.5 : 0.5)) * in.at[size_t(y * in.width + i)];
      }
      out.at[size_t(y * width + x)] = cut(double(total >> 22));
    }
  }
  return out;
}

Plane resized(const Plane& in, int size) {
  if (size < in.height && in.height - size > 2 * (in.width - size))
    return along_rows(turned(along_rows(turned(in), size)), size);
  return turned(along_rows(turned(along_rows(in, size)), size));
}

int gray_at(const Picture& p, size_t i) {
  return (p[0].at[i] * 19595 + p[1].at[i] * 38470 + p[2].at[i] * 7471 + 32768) >> 16;
}

uint8_t blended(int from, int to, float factor) {
  const float product = float(to - from) * factor;
  return cut(double(float(from) + product));
}

void turn_hue(uint8_t& red, uint8_t& green, uint8_t& blue, int shift) {
  const int r = red, g = green, b = blue, most = std::max({r, g, b}), least = std::min({r, g, b});
  int hue = 0, saturation = 0;
  if (most != least) {
    const float range = float(most - least);
    const float to_red = float(most - r) / range, to_green = float(most - g) / range, to_blue = float(most - b) / range;
    const float sector = r == most   ? to_blue - to_green
                         : g == most ? float(2.0 + double(to_red) - double(to_blue))
                                     : float(4.0 + double(to_green) - double(to_red));
    hue = int(double(float(std::fmod(double(sector) / 6 + 1, 1))) * 255);
    saturation = int(double(range / float(most)) * 255);
  }
  const double place = ((hue + shift) & 255) * 6.0 / 255.0;
  const float share = float(saturation / 255.0), part = float(place - std::floor(place));
  const auto light = [&](double dark) { return cut(std::round(most * (1 - dark))); };
  const uint8_t v = uint8_t(most), p = light(share), q = light(double(share * part));
  const uint8_t t = light(double(share) * (1 - double(part)));
  const uint8_t wheel[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
  const uint8_t* const turned_to = wheel[int(place) % 6];
  red = turned_to[0];
  green = turned_to[1];
  blue = turned_to[2];
}

void colour(Picture& p, ColourOp op, float amount) {
  const size_t count = p[0].at.size();
  const bool rgb = p.size() == 3;
  double mean = 0;
  if (op == ColourOp::kContrast) {
    for (size_t i = 0; i < count; ++i)
      for (size_t c = 0; c < (rgb ? 1 : p.size()); ++c) mean += rgb ? gray_at(p, i) : p[c].at[i];
    mean = std::floor(mean / double(rgb ? count : count * p.size()) + 0.5);
  }
  for (size_t i = 0; i < count; ++i) {
    if (op == ColourOp::kBrightness || op == ColourOp::kContrast) {
      for (Plane& plane : p) plane.at[i] = blended(int(mean), plane.at[i], amount);
    } else if (rgb && op == ColourOp::kHue) {
      turn_hue(p[0].at[i], p[1].at[i], p[2].at[i], int(amount));
    } else if (rgb) {
      const int gray = gray_at(p, i);
      for (Plane& plane : p)
        plane.at[i] = op == ColourOp::kGrayscale ? uint8_t(gray) : blended(gray, plane.at[i], amount);
    }
  }
}

Plane boxed(const Plane& in, const AugmentCrop& crop) {
  Plane out = in;
  for (int y = 0; y < in.height; ++y)
    for (int x = 0; x < in.width; ++x) {
      uint64_t sum = 1 << 23;
      for (int i = -crop.blur_whole - 1; i <= crop.blur_whole + 1; ++i) {
        const int at = std::min(in.width - 1, std::max(0, x + i));
        sum += uint64_t(std::abs(i) > crop.blur_whole ? crop.blur_outer : crop.blur_inner) *
               in.at[size_t(y * in.width + at)];
      }
      out.at[size_t(y * in.width + x)] = uint8_t(sum >> 24);
    }
  return out;
}

struct Source {
  int height, width;
  int64_t at;  // in all images
};

Pixels twin(const Pixels& images, const Source& image, int channels, int size, const AugmentCrop& crop) {
  Picture p;
  for (int c = 0; c < channels; ++c) {
    Plane box{crop.height, crop.width, {}};
    for (int y = 0; y < crop.height; ++y)
      for (int x = 0; x < crop.width; ++x) {
        const int column = crop.left + (crop.mirrored ? crop.width - 1 - x : x);
        const int64_t pixel = int64_t(crop.top + y) * image.width + column;
        box.at.push_back(images[size_t(image.at + pixel * channels + c)]);
      }
    p.push_back(resized(box, size));
  }
  for (int i = 0; i < crop.ops; ++i) colour(p, crop.op[i], crop.amount[i]);
  Pixels all;
  for (Plane& plane : p) {
    if (crop.blur_whole >= 0) {
      for (int box = 0; box < 3; ++box) plane = boxed(plane, crop);
      plane = turned(plane);
      for (int box = 0; box < 3; ++box) plane = boxed(plane, crop);
      plane = turned(plane);
    }
    for (const uint8_t value : plane.at) all.push_back(crop.solarize && value >= 128 ? uint8_t(255 - value) : value);
  }
  return all;
}

// ---- Crops to try ---------------------------------------------------------------------------------------------------

void set_blur(AugmentCrop& crop, double radius) {
  crop.blur_whole = int(radius);
  crop.blur_inner = uint32_t(double(1 << 24) / (2 * radius + 1));
  crop.blur_outer = ((1u << 24) - uint32_t(2 * crop.blur_whole + 1) * crop.blur_inner) / 2;
}

AugmentCrop plain(const Source& image) {
  AugmentCrop crop{};
  crop.image = image.at;
  crop.image_width = image.width;
  crop.height = image.height;
  crop.width = image.width;
  crop.blur_whole = -1;
  return crop;
}

void add_colours(Draw& draw, AugmentCrop& crop) {
  std::vector<ColourOp> order = {ColourOp::kBrightness, ColourOp::kContrast, ColourOp::kSaturation, ColourOp::kHue};
  for (size_t i = 3; i > 0; --i) std::swap(order[i], order[size_t(draw.below(int64_t(i) + 1))]);
  order.resize(size_t(draw.below(5)));
  if (draw.below(3) == 0) order.push_back(ColourOp::kGrayscale);
  for (const ColourOp op : order) {
    const float factor = float(draw.uniform() * (draw.below(8) == 0 ? 11 : 2));
    crop.op[crop.ops] = op;
    crop.amount[crop.ops++] = op == ColourOp::kHue ? float(draw.below(255) - 127) : factor;
  }
}

AugmentCrop any_crop(Draw& draw, const Source& image) {
  AugmentCrop crop = plain(image);
  crop.height = int32_t(1 + draw.below(image.height));
  crop.width = int32_t(1 + draw.below(image.width));
  crop.top = int32_t(draw.below(image.height - crop.height + 1));
  crop.left = int32_t(draw.below(image.width - crop.width + 1));
  crop.mirrored = int32_t(draw.below(2));
  if (draw.below(3) > 0) add_colours(draw, crop);
  if (draw.below(2) == 0) set_blur(crop, draw.uniform() * (draw.below(4) == 0 ? 40 : 2));
  crop.solarize = int32_t(draw.below(2));
  return crop;
}

// An image of noise, or a smooth one, behind the others.
Source add_image(Draw& draw, int height, int width, int channels, Pixels& images) {
  const Source source{height, width, int64_t(images.size())};
  const bool noise = draw.below(2) == 0;
  const int64_t step = 1 + draw.below(5);
  for (int64_t i = 0; i < int64_t(height) * width * channels; ++i)
    images.push_back(uint8_t(noise ? draw.below(256) : (i / channels) * step + i % channels * 70));
  return source;
}

// Bytes that differ from the twin's, over all crops; -1: the kernels were refused. misplaced: the crops begin at an
// address that is no multiple of 16.
int64_t differences(const Pixels& images, const std::vector<Source>& of, std::vector<AugmentCrop> crops, int channels,
                    int size, bool misplaced = false) {
  int64_t taps = 0;
  for (AugmentCrop& crop : crops) {
    crop.taps[0] = taps;
    crop.taps[1] = crop.taps[0] + augment_workspace(crop.width, size);
    taps = crop.taps[1] + augment_workspace(crop.height, size);
  }
  const size_t values = size_t(channels) * size_t(size) * size_t(size);
  const Items<uint8_t> bytes(images);
  const Items<AugmentCrop> plans(crops);
  const Items<int32_t> workspace(std::vector<int32_t>(size_t(taps), -1));
  const Bytes out(values * crops.size(), misplaced ? 1 : 0);
  const AugmentArgs args{int64_t(crops.size()),          channels, size, bytes.at(), plans.at(), workspace.at(),
                         static_cast<uint8_t*>(out.at())};
  const udi_cuda_status status = kernels().augment(args, nullptr);
  EXPECT_DONE(status);
  if (status.code != 0) return -1;
  Pixels got(values * crops.size());
  out.get(got.data());
  int64_t wrong = 0;
  for (size_t i = 0; i < crops.size(); ++i) {
    const Pixels want = twin(images, of[i], channels, size, crops[i]);
    for (size_t j = 0; j < values; ++j) wrong += got[i * values + j] != want[j];
  }
  return wrong;
}

int64_t whole_image(Draw& draw, int height, int width, int channels, int size, bool mirrored = false) {
  Pixels images;
  const Source source = add_image(draw, height, width, channels, images);
  AugmentCrop crop = plain(source);
  crop.mirrored = mirrored;
  return differences(images, {source}, {crop}, channels, size);
}

}  // namespace

CUDA_TEST(augment_resizes_any_shape) {
  Draw draw(1);
  EXPECT(whole_image(draw, 1, 1, 3, 1) == 0);
  EXPECT(whole_image(draw, 1, 1, 3, 40) == 0);
  EXPECT(whole_image(draw, 1, 90, 3, 33) == 0);   // one row
  EXPECT(whole_image(draw, 90, 1, 3, 33) == 0);   // one column
  EXPECT(whole_image(draw, 60, 80, 3, 96) == 0);  // larger than the image
  EXPECT(whole_image(draw, 75, 100, 3, 32, true) == 0);
  EXPECT(whole_image(draw, 200, 70, 3, 64) == 0);  // columns first: higher, and wider by less than half of that
  EXPECT(whole_image(draw, 200, 70, 3, 64, true) == 0);
  EXPECT(whole_image(draw, 200, 132, 3, 64) == 0);  // just not: 136 rows fewer, 68 columns fewer
  EXPECT(whole_image(draw, 201, 132, 3, 64) == 0);  // just so
  EXPECT(whole_image(draw, 3, 3000, 1, 5) == 0);    // 2,400 inputs an output
  EXPECT(whole_image(draw, 3000, 3, 1, 5) == 0);
  EXPECT(whole_image(draw, 41, 43, 3, 41) == 0);  // one axis stays
}

CUDA_TEST(augment_takes_1_to_16_channels) {
  Draw draw(2);
  for (const int channels : {1, 2, 4, 5, 16}) {
    Pixels images;
    std::vector<Source> of;
    std::vector<AugmentCrop> crops;
    for (int i = 0; i < 3; ++i) {
      of.push_back(add_image(draw, 30 + 7 * i, 50, channels, images));
      crops.push_back(any_crop(draw, of.back()));
    }
    EXPECT(differences(images, of, crops, channels, 24) == 0);
  }
}

CUDA_TEST(augment_turns_colours) {
  Draw draw(3);
  Pixels images;
  const Source image = add_image(draw, 37, 41, 3, images);
  for (const ColourOp op :
       {ColourOp::kBrightness, ColourOp::kContrast, ColourOp::kSaturation, ColourOp::kHue, ColourOp::kGrayscale})
    for (const float amount : {0.f, 0.3f, 1.f, 1.7f, 11.f}) {
      AugmentCrop crop = plain(image);
      crop.ops = 1;
      crop.op[0] = op;
      crop.amount[0] = op == ColourOp::kHue ? std::floor(amount * 20) - 90 : amount;
      EXPECT(differences(images, {image}, {crop}, 3, 40) == 0);
    }
}

// Each a pixel of a picture that is not resized.
int64_t all_hues(int step, int size, int shift) {
  Pixels images;
  for (int red = 0; red < 256; red += step)
    for (int green = 0; green < 256; green += step)
      for (int blue = 0; blue < 256; blue += step)
        for (const int value : {red, green, blue}) images.push_back(uint8_t(value));
  const Source image{size, size, 0};
  images.resize(size_t(size) * size_t(size) * 3, 77);
  AugmentCrop crop = plain(image);
  crop.ops = 1;
  crop.op[0] = ColourOp::kHue;
  crop.amount[0] = float(shift);
  return differences(images, {image}, {crop}, 3, size);
}
CUDA_TEST(augment_turns_hue_of_many_colours) {
  for (const int shift : {0, 1, -25, 127}) EXPECT(all_hues(5, 375, shift) == 0);
}
CUDA_TEST_ON_GPU(augment_turns_hue_of_all_colours) {
  for (const int shift : {0, -51}) EXPECT(all_hues(1, 4096, shift) == 0);
}

CUDA_TEST(augment_blurs_and_solarizes) {
  Draw draw(4);
  for (const int size : {1, 5, 96, 257})
    for (const double radius : {0.0, 0.02, 0.9, 1.0, 2.4, 99.5}) {
      Pixels images;
      const Source image = add_image(draw, 40, 50, 1, images);
      AugmentCrop crop = plain(image);
      set_blur(crop, radius);
      crop.solarize = size % 2;
      EXPECT(differences(images, {image}, {crop}, 1, size) == 0);
    }
}

CUDA_TEST(augment_follows_any_plan) {
  Draw draw(5);
  for (int round = 0; round < 12; ++round) {
    const int size = int(round % 4 == 3 ? 1 + draw.below(70) : 16 * (1 + draw.below(4)));
    Pixels images;
    std::vector<Source> of;
    std::vector<AugmentCrop> crops;
    for (int image = 0; image < 3; ++image) {
      const int side = 1 + int(draw.below(150));
      const Source source = add_image(draw, side, 1 + int(draw.below(150)), 3, images);
      for (int i = 0; i < 4; ++i) {
        of.push_back(source);
        crops.push_back(any_crop(draw, source));
      }
    }
    EXPECT(differences(images, of, crops, 3, size, round % 3 == 2) == 0);
  }
}

CUDA_TEST_ON_GPU(augment_at_full_size) {
  Draw draw(6);
  Pixels images;
  std::vector<Source> of;
  std::vector<AugmentCrop> crops;
  for (int i = 0; i < 24; ++i) {
    of.push_back(add_image(draw, 375, 500, 3, images));
    crops.push_back(any_crop(draw, of.back()));
  }
  EXPECT(differences(images, of, crops, 3, 224) == 0);
}

CUDA_TEST(augment_says_what_is_wrong) {
  AugmentArgs args{};
  EXPECT(kernels().augment(args, nullptr).code == 1);
  args.channels = 3;
  args.size = 16384;
  EXPECT_DONE(kernels().augment(args, nullptr));  // no crops
  args.crops = 1;
  EXPECT(kernels().augment(args, nullptr).code == 1);  // null pointers
  args.crops = int64_t(1) << 31;
  EXPECT(kernels().augment(args, nullptr).code == 1);
  args.crops = 0;
  args.size = 16385;
  EXPECT(kernels().augment(args, nullptr).code == 1);
  args.size = 16;
  args.channels = 17;
  EXPECT(kernels().augment(args, nullptr).code == 1);
}

}  // namespace udi::cuda::test
