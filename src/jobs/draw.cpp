#include "jobs/draw.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace udi {
namespace {

constexpr double kPi = 3.141592653589793;

using Color = std::array<double, 3>;  // 0..1

// Every picture's mean, up to its light and noise, and how far ground and paint lie apart in pictures of every class;
// which of them is the lighter is drawn. Few colours: a picture's own would tell it from all others, and a network in
// training would learn them instead of shapes.
constexpr double kMean = 0.51;
constexpr Color kContrasts[] = {{0.58, 0.48, 0.20}, {0.28, 0.55, 0.50}, {0.60, 0.36, 0.46}, {0.48, 0.50, 0.52}};

// Smooth random values between -1 and 1: a coarse grid, interpolated.
class Clouds {
 public:
  Clouds(Random& random, double cell) : cell_(cell) {
    for (double& value : values_) value = random.uniform(-1, 1);
  }
  double at(double y, double x) const {
    const double gy = y / cell_, gx = x / cell_;
    const int iy = int(std::floor(gy)), ix = int(std::floor(gx));
    const double fy = smooth(gy - iy), fx = smooth(gx - ix);
    const double top = value(iy, ix) * (1 - fx) + value(iy, ix + 1) * fx;
    const double bottom = value(iy + 1, ix) * (1 - fx) + value(iy + 1, ix + 1) * fx;
    return top * (1 - fy) + bottom * fy;
  }

 private:
  static constexpr int kCells = 16;
  static double smooth(double t) { return t * t * (3 - 2 * t); }
  double value(int iy, int ix) const { return values_[size_t((iy & 15) * kCells + (ix & 15))]; }

  double cell_;
  std::array<double, kCells * kCells> values_;
};

// What differs from picture to picture of one class, besides its colours.
struct Form {
  double period, phase_v, phase_u;  // of textures, in radii
  double inner;                     // of rings: the hole's radius; of crosses: half the bar's width
};

bool in_triangle(double v, double u) { return v < 0.75 && std::abs(u) * 1.7 < v + 0.95; }

bool in_star(double v, double u) {
  const double angle = std::atan2(u, -v), radius = std::hypot(v, u);
  const double fifth = std::abs(std::remainder(angle, 2 * kPi / 5));
  return radius < 0.38 / std::cos(kPi / 5 * 2 - fifth) * 1.0 || radius < 0.36;
}

double wave(double value) { return value - std::floor(value); }

// Whether a picture of this class is painted at a point. Textures fill the picture; shapes stand in cells from -1 to 1.
bool covers(int label, const Form& form, double v, double u) {
  const double radius = std::hypot(v, u);
  const double tv = v / form.period + form.phase_v, tu = u / form.period + form.phase_u;
  switch (label) {
    case 0:
      return (wave(tv / 2) < 0.5) != (wave(tu / 2) < 0.5);  // checkers
    case 1:
      return std::min(std::abs(v), std::abs(u)) < form.inner * 0.5 && std::max(std::abs(v), std::abs(u)) < 0.95;
    case 2:
      return radius < 0.9;  // disk
    case 3:
      return std::hypot(wave(tv) - 0.5, wave(tu) - 0.5) < 0.3;  // dots
    case 4:
      return radius < 0.95 && radius > 0.35 + 0.5 * form.inner;  // ring
    case 5:
      return std::max(std::abs(v), std::abs(u)) < 0.8;  // square
    case 6:
      return in_star(v, u);  // star
    case 7:
      return wave(tv) < 0.5;  // stripes_across
    case 8:
      return wave(tu) < 0.5;  // stripes_down
    default:
      return in_triangle(v, u);
  }
}

// A picture's plan: everything that is drawn at random but the noise of each pixel.
struct Scene {
  int height, width;
  Color contrast;  // of paint against ground
  double center_v, center_u, radius, turn, noise, mottle, slope_v, slope_u;
  Form form;
};

Scene draw_scene(Random& random) {
  Scene scene{};
  scene.height = 48 + int(random.below(81));
  scene.width = std::clamp(int(scene.height * std::exp(random.uniform(-0.29, 0.29))), 48, 128);
  scene.contrast = kContrasts[random.below(std::size(kContrasts))];
  const double sign = random.chance(0.5) ? 1 : -1;
  for (double& value : scene.contrast) value *= sign;
  const double side = std::min(scene.height, scene.width);
  scene.radius = side * random.uniform(0.13, 0.24);
  scene.center_v = random.uniform(0, scene.height);
  scene.center_u = random.uniform(0, scene.width);
  scene.turn = random.uniform(-0.3, 0.3);
  scene.noise = random.uniform(0.0, 0.06);
  scene.mottle = random.uniform(0.0, 0.16);
  scene.slope_v = random.uniform(-0.15, 0.15);
  scene.slope_u = random.uniform(-0.15, 0.15);
  scene.form = {random.uniform(0.6, 1.1), random.uniform(), random.uniform(), random.uniform(0.4, 0.8)};
  return scene;
}

bool is_texture(int label) { return label == 0 || label == 3 || label == 7 || label == 8; }

// Where a point lies in the cell of its nearest shape: shapes stand in rows, each row shifted by half a cell.
void into_cell(double* v, double* u) {
  constexpr double kCell = 2.3;
  const double row = std::round(*v / kCell);
  *v -= kCell * row;
  const double shift = std::fmod(std::abs(row), 2) * kCell / 2;
  *u -= kCell * std::round((*u - shift) / kCell) + shift;
}

// The share of a pixel that is painted, from four points in it.
double coverage(const Scene& scene, int label, int y, int x) {
  const double c = std::cos(scene.turn), s = std::sin(scene.turn);
  int hits = 0;
  for (int point = 0; point < 4; ++point) {
    const double dv = (y + 0.25 + 0.5 * (point / 2) - scene.center_v) / scene.radius;
    const double du = (x + 0.25 + 0.5 * (point % 2) - scene.center_u) / scene.radius;
    double v = c * dv - s * du, u = s * dv + c * du;
    if (!is_texture(label)) into_cell(&v, &u);
    hits += covers(label, scene.form, v, u);
  }
  return hits / 4.0;
}

}  // namespace

const std::vector<std::string>& drawn_classes() {
  static const std::vector<std::string> names = {"checkers", "cross", "disk",           "dots",         "ring",
                                                 "square",   "star",  "stripes_across", "stripes_down", "triangle"};
  return names;
}

Image draw_picture(uint64_t seed, int label, uint64_t index) {
  Random random(seed, Random::kDraw, uint64_t(label), index);
  const Scene scene = draw_scene(random);
  const Clouds mottle(random, scene.radius * random.uniform(0.3, 1.2));
  Image image;
  image.height = scene.height;
  image.width = scene.width;
  image.channels = 3;
  image.bytes.resize(size_t(scene.height) * size_t(scene.width) * 3);
  std::vector<double> shares;
  shares.reserve(size_t(scene.height) * size_t(scene.width));
  for (int y = 0; y < scene.height; ++y) {
    for (int x = 0; x < scene.width; ++x) shares.push_back(coverage(scene, label, y, x));
  }
  // Classes cover more or less of their ground: colours are taken so that the picture's mean says nothing about it.
  const double mean_share = std::accumulate(shares.begin(), shares.end(), 0.0) / double(shares.size());
  uint8_t* out = image.u8();
  for (int y = 0; y < scene.height; ++y) {
    for (int x = 0; x < scene.width; ++x) {
      const double share = shares[size_t(y) * size_t(scene.width) + size_t(x)] - mean_share;
      const double light = scene.mottle * mottle.at(y, x) + scene.slope_v * (double(y) / scene.height - 0.5) +
                           scene.slope_u * (double(x) / scene.width - 0.5);
      for (int c = 0; c < 3; ++c) {
        const double value = kMean + share * scene.contrast[size_t(c)] + light + scene.noise * random.normal();
        *out++ = uint8_t(std::lround(255 * std::clamp(value, 0.0, 1.0)));
      }
    }
  }
  return image;
}

}  // namespace udi
