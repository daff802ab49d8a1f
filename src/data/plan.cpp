#include "data/plan.h"

#include <algorithm>

#include "data/config.h"
#include "data/masks.h"

namespace udi {
namespace {

// torchvision's ColorJitter: a random order, a factor from 1 +- amount (never negative) each, a hue shift from +-
// amount.
void draw_jitter(Random& random, const udi_view_config& config, Colours& colours) {
  colours.order = {Colours::kBrightness, Colours::kContrast, Colours::kSaturation, Colours::kHue};
  for (size_t i = 3; i > 0; --i) std::swap(colours.order[i], colours.order[random.below(i + 1)]);
  const auto factor = [&](float amount) {
    return float(random.uniform(std::max(0.0, 1.0 - double(amount)), 1.0 + double(amount)));
  };
  colours.brightness = factor(config.brightness);
  colours.contrast = factor(config.contrast);
  colours.saturation = factor(config.saturation);
  colours.hue = random.uniform(-double(config.hue), double(config.hue));
}

Colours draw_colours(Random& random, const udi_view_config& config) {
  Colours colours;
  colours.jitter = random.chance(config.jitter_probability);
  if (colours.jitter) draw_jitter(random, config, colours);
  colours.grayscale = random.chance(config.grayscale_probability);
  const bool branch_a = random.chance(0.5);
  colours.blur = random.chance(branch_a ? config.blur_probability_a : config.blur_probability_b);
  if (colours.blur) colours.blur_radius = float(random.uniform(config.blur_radius_min, config.blur_radius_max));
  if (!branch_a) colours.solarize = random.chance(config.solarize_probability_b);
  return colours;
}

void finish_crop(Random& random, const udi_view_config& config, Crop crop, ViewPlan& plan) {
  crop.mirror = random.chance(config.flip_probability);
  plan.crops.push_back(crop);
  plan.colours.push_back(draw_colours(random, config));
}

}  // namespace

ColourSteps steps_of(const Colours& colours, const udi_view_config& config, int64_t channels) {
  const bool rgb = channels == 3;
  ColourSteps steps;
  if (colours.jitter) {
    for (const Colours::Op op : colours.order) {
      if (op == Colours::kBrightness && config.brightness > 0) steps.add(ColourStep::kBrightness, colours.brightness);
      if (op == Colours::kContrast && config.contrast > 0) steps.add(ColourStep::kContrast, colours.contrast);
      if (op == Colours::kSaturation && rgb && config.saturation > 0)
        steps.add(ColourStep::kSaturation, colours.saturation);
      if (op == Colours::kHue && rgb && config.hue > 0) steps.add(ColourStep::kHue, colours.hue);
    }
  }
  if (colours.grayscale && rgb) steps.add(ColourStep::kGrayscale, 0);
  return steps;
}

void draw_plan(Random& random, const udi_view_config& config, int image_height, int image_width, ViewPlan& plan) {
  const double scale_min = config.global_scale_min, scale_max = config.global_scale_max;
  plan.crops.clear();
  plan.colours.clear();
  finish_crop(random, config, draw_crop(random, image_height, image_width, scale_min, scale_max), plan);
  finish_crop(random, config,
              config.crop_pairing == 1 ? draw_crop_inside(random, plan.crops[0], scale_min, scale_max)
                                       : draw_crop_near(random, image_height, image_width, scale_min, scale_max,
                                                        ends_of(plan.crops[0]), config.crop_overlap),
              plan);

  const int64_t global = grid_global(config), local = grid_local(config);
  plan.sample_global.resize(size_t(global * global));
  plan.sample_local.resize(size_t(local * local));
  draw_sample_mask(random, global, config.global_window, plan.sample_global.data());
  draw_sample_mask(random, local, config.local_window, plan.sample_local.data());

  const CropEnds reference = local_reference(plan.crops[0], plan.crops[1], config.local_reference);
  for (int i = 0; i < config.local_crops; ++i) {
    finish_crop(random, config,
                draw_crop_near(random, image_height, image_width, config.local_scale_min, config.local_scale_max,
                               reference, config.crop_overlap),
                plan);
  }
}

}  // namespace udi
