// What will be done to one image, drawn before any pixel is touched: crops, masks, colours.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/crops.h"
#include "udi.h"

namespace udi {

// The colours of one crop. The official augmentation has the same distribution for every crop.
struct Colours {
  enum Op : uint8_t { kBrightness, kContrast, kSaturation, kHue };

  bool jitter = false;
  std::array<Op, 4> order{};  // of the jitter's operations
  float brightness = 1, contrast = 1, saturation = 1;
  double hue = 0;
  bool grayscale = false;
  bool blur = false;
  float blur_radius = 0;
  bool solarize = false;
};

// What of them is done to a crop of `channels` channels, in order, before blur and solarisation. Saturation, hue and
// grayscale want three channels; an operation whose amount is 0 in config is left out.
struct ColourStep {
  enum Kind : uint8_t { kBrightness, kContrast, kSaturation, kHue, kGrayscale };
  Kind kind;
  double amount;  // a factor; of hue, a shift
};
struct ColourSteps {
  int count = 0;
  std::array<ColourStep, 5> steps{};

  void add(ColourStep::Kind kind, double amount) { steps[size_t(count++)] = {kind, amount}; }
  const ColourStep* begin() const { return steps.data(); }
  const ColourStep* end() const { return steps.data() + count; }
};
ColourSteps steps_of(const Colours& colours, const udi_view_config& config, int64_t channels);

struct ViewPlan {
  std::vector<Crop> crops;             // [2 + L]: two global crops, then the local ones
  std::vector<Colours> colours;        // [2 + L]
  std::vector<uint8_t> sample_global;  // [N] mask over tokens
  std::vector<uint8_t> sample_local;   // [n]
};

// Draws in the official order: first global crop, second one near it (or in it), the mask of the global crops, that of
// the local ones, then the local crops; a crop's colours follow its place. `plan` lends its memory.
void draw_plan(Random& random, const udi_view_config& config, int image_height, int image_width, ViewPlan& plan);

}  // namespace udi
