#include "data/augment.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "data/config.h"
#include "data/pool.h"
#include "image/blur.h"
#include "image/colour.h"

namespace udi {
namespace {

size_t element_size(udi_dtype dtype) { return dtype == UDI_F32 ? sizeof(float) : 1; }

void bytes_to_float(const Image& image, Image& out) {
  out.height = image.height;
  out.width = image.width;
  out.channels = image.channels;
  out.dtype = UDI_F32;
  out.bytes.resize(image.bytes.size() * sizeof(float));
  float* to = out.f32();
  for (size_t i = 0; i < image.bytes.size(); ++i) to[i] = float(image.bytes[i]) / 255.0f;
}

// Where crop `view` of image `row` goes.
Planes crop_planes(Views& views, int64_t view, int64_t row) {
  const bool global = view < 2;
  const int64_t size = global ? views.global_size : views.local_size;
  const int64_t index = (global ? view : view - 2) * views.batch + row;
  Planes planes;
  planes.channels = int(views.channels);
  planes.height = planes.width = int(size);
  planes.dtype = views.dtype;
  planes.data = (global ? views.global : views.local).data() + size_t(index) * planes.bytes();
  return planes;
}

// The plan of an image and what follows from it: coordinates, masks.
void draw_row(const Image& image, const udi_view_config& config, uint64_t seed, int64_t sample, int64_t row,
              ViewPlan& plan, Views& views) {
  check(image.channels == views.channels, UDI_E_SHAPE, "the image has ", image.channels, " channels, not ",
        views.channels);
  check(image.dtype == views.dtype || image.dtype == UDI_U8, UDI_E_SHAPE,
        "the image holds float or 16-bit values in a set of 8-bit images");
  Random random(seed, Random::kView, uint64_t(views.epoch), uint64_t(sample));
  draw_plan(random, config, image.height, image.width, plan);
  for (size_t view = 0; view < plan.crops.size(); ++view) {
    float* const coords = views.coords.data() + (int64_t(view) * views.batch + row) * 4;
    crop_coords(plan.crops[view], image.height, image.width, coords);
  }
  const auto copy_row = [&](const std::vector<uint8_t>& mask, std::vector<uint8_t>& to) {
    std::copy(mask.begin(), mask.end(), to.begin() + row * int64_t(mask.size()));
  };
  copy_row(plan.sample_global, views.sample_global);
  copy_row(plan.sample_local, views.sample_local);
  views.sample[size_t(row)] = sample;
}

struct ImagesTask : WorkerPool::Task {
  const std::vector<Image>& images;
  const udi_view_config& config;
  const uint64_t seed;
  Views& views;
  std::vector<ViewMaker> makers;

  ImagesTask(const std::vector<Image>& images, const udi_view_config& config, uint64_t seed, Views& views, int workers)
      : images(images), config(config), seed(seed), views(views), makers(size_t(workers)) {}
  int64_t items() const override { return int64_t(images.size()); }
  void run(int64_t item, int worker) override {
    const size_t i = size_t(item);
    if (!views.planned()) return makers[size_t(worker)].fill_row(images[i], config, seed, views.sample[i], item, views);
    Image image = images[i];
    plan_row(image, seed, views.sample[i], item, views);
  }
};

}  // namespace

void shape_views(const udi_view_config& config, int64_t batch, int64_t channels, udi_dtype dtype, int64_t epoch,
                 Views& views, bool planned) {
  views.batch = batch;
  views.local_crops = config.local_crops;
  views.channels = channels;
  views.global_size = config.global_size;
  views.local_size = config.local_crops > 0 ? config.local_size : 0;
  views.patch_size = config.patch_size;
  views.dtype = dtype;
  views.epoch = epoch;
  const size_t images = planned ? 0 : size_t(batch) * size_t(channels) * element_size(dtype);
  const int64_t global = grid_global(config), local = grid_local(config);
  views.global.resize(2 * images * size_t(views.global_size * views.global_size));
  views.local.resize(size_t(config.local_crops) * images * size_t(views.local_size * views.local_size));
  views.coords.resize(size_t((2 + config.local_crops) * batch * 4));
  views.sample_global.resize(size_t(batch * global * global));
  views.sample_local.resize(size_t(batch * local * local));
  views.sample.resize(size_t(batch));
  views.images.resize(planned ? size_t(batch) : 0);
  views.plans.resize(planned ? size_t(batch) : 0);
  views.config = config;
}

void finish_views(const udi_view_config& config, Views& views) {
  views.maps = make_sample_maps(views.batch, views.local_crops, grid_global(config), grid_local(config),
                                views.coords.data(), views.sample_global.data(), views.sample_local.data());
}

void apply_colours(const Colours& colours, const udi_view_config& config, const Planes& planes, Memory* memory) {
  for (const ColourStep& step : steps_of(colours, config, planes.channels)) {
    if (step.kind == ColourStep::kBrightness) adjust_brightness(planes, float(step.amount));
    if (step.kind == ColourStep::kContrast) adjust_contrast(planes, float(step.amount));
    if (step.kind == ColourStep::kSaturation) adjust_saturation(planes, float(step.amount));
    if (step.kind == ColourStep::kHue) adjust_hue(planes, step.amount);
    if (step.kind == ColourStep::kGrayscale) to_grayscale(planes);
  }
  if (colours.blur) gaussian_blur(planes, colours.blur_radius, memory);
  if (colours.solarize) solarize(planes);
}

void ViewMaker::fill_row(const Image& image, const udi_view_config& config, uint64_t seed, int64_t sample, int64_t row,
                         Views& views) {
  draw_row(image, config, seed, sample, row, plan_, views);
  const bool convert = image.dtype != views.dtype;
  if (convert) bytes_to_float(image, converted_);
  resizer_.set_image(convert ? converted_ : image);
  for (size_t view = 0; view < plan_.crops.size(); ++view) {
    const Crop& crop = plan_.crops[view];
    const Planes planes = crop_planes(views, int64_t(view), row);
    resizer_.crop(crop, crop.mirror, planes);
    apply_colours(plan_.colours[view], config, planes, &memory_);
  }
}

void plan_row(Image& image, uint64_t seed, int64_t sample, int64_t row, Views& views) {
  draw_row(image, views.config, seed, sample, row, views.plans[size_t(row)], views);
  std::swap(image, views.images[size_t(row)]);
}

void make_views(const std::vector<Image>& images, const udi_view_config& config, uint64_t seed, int64_t epoch,
                const std::vector<int64_t>& samples, Views& out, WorkerPool* pool, bool planned) {
  check_view_config(config);
  check(!images.empty(), UDI_E_INVALID, "no image to make views of");
  check(images.size() == samples.size(), UDI_E_INVALID, images.size(), " images but ", samples.size(),
        " sample numbers");
  const bool any_float = std::any_of(images.begin(), images.end(), [](const Image& i) { return i.dtype == UDI_F32; });
  check(!planned || !any_float, UDI_E_UNSUPPORTED, kFloatsNotPlanned);
  shape_views(config, int64_t(images.size()), images[0].channels, any_float ? UDI_F32 : UDI_U8, epoch, out, planned);
  out.sample = samples;
  const auto task = std::make_shared<ImagesTask>(images, config, seed, out, pool ? pool->workers() : 1);
  if (pool) {
    pool->push(task);
    pool->wait(*task, nullptr);
  } else {
    for (int64_t item = 0; item < task->items(); ++item) task->run(item, 0);
  }
  finish_views(config, out);
}

}  // namespace udi
