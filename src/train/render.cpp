#include "train/render.h"

#include <ATen/Parallel.h>

#include <cstring>

#include "../../cuda/augment.h"
#include "base/error.h"
#include "image/blur_boxes.h"
#include "model/kernels.h"

namespace udi {
namespace {

// What is sent to the device is written into memory that it can fetch by itself.
at::Tensor staging(int64_t bytes, at::Device device) {
  return at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(device.is_cuda()));
}
at::Tensor sent(const at::Tensor& staged, at::Device device) {
  return staged.to(at::TensorOptions(device), /*non_blocking=*/true);
}

// A chunk's images on the device, [rows, columns, channels] each, one behind the other.
struct Images {
  at::Tensor bytes;
  std::vector<int64_t> begin;
};
Images send_images(const Chunk& chunk, at::Device device) {
  const Image* const images = chunk.views->images.data() + chunk.begin;
  Images out;
  int64_t total = 0;
  for (int64_t i = 0; i < chunk.images; ++i) {
    out.begin.push_back(total);
    total += int64_t(images[i].bytes.size());
  }
  const at::Tensor staged = staging(total, device);
  uint8_t* const to = staged.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, chunk.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(to + out.begin[size_t(i)], images[i].u8(), images[i].bytes.size());
  });
  out.bytes = sent(staged, device);
  return out;
}

void set_box(const Image& image, const Crop& box, cuda::AugmentCrop& crop) {
  check(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 && box.height <= image.height - box.top &&
            box.width <= image.width - box.left,
        UDI_E_INVALID, "a crop of ", box.height, " x ", box.width, " pixels at row ", box.top, ", column ", box.left,
        " leaves the image of ", image.height, " x ", image.width);
  crop.image_width = image.width;
  crop.top = box.top;
  crop.left = box.left;
  crop.height = box.height;
  crop.width = box.width;
  crop.mirrored = box.mirror;
}

cuda::ColourOp op_of(ColourStep::Kind kind) {
  switch (kind) {
    case ColourStep::kBrightness:
      return cuda::ColourOp::kBrightness;
    case ColourStep::kContrast:
      return cuda::ColourOp::kContrast;
    case ColourStep::kSaturation:
      return cuda::ColourOp::kSaturation;
    case ColourStep::kHue:
      return cuda::ColourOp::kHue;
    default:
      return cuda::ColourOp::kGrayscale;
  }
}

void set_colours(const Colours& colours, const Views& views, cuda::AugmentCrop& crop) {
  crop.ops = 0;
  for (const ColourStep& step : steps_of(colours, views.config, views.channels)) {
    const bool hue = step.kind == ColourStep::kHue;
    crop.op[crop.ops] = op_of(step.kind);
    crop.amount[crop.ops++] = hue ? float(int(step.amount * 255)) : float(step.amount);
  }
  crop.blur_whole = -1;
  if (colours.blur && colours.blur_radius > 0) {
    const BoxFilter box = box_filter(colours.blur_radius);
    crop.blur_whole = box.whole;
    crop.blur_inner = box.inner;
    crop.blur_outer = box.outer;
  }
  crop.solarize = colours.solarize;
}

// Views [first, first + count) of the chunk's images.
at::Tensor make_crops(const Chunk& chunk, const Images& images, int64_t first, int64_t count, int64_t size,
                      at::Device device) {
  const Views& views = *chunk.views;
  const int64_t crops = count * chunk.images;
  const at::Tensor staged = staging(crops * int64_t(sizeof(cuda::AugmentCrop)), device);
  cuda::AugmentCrop* crop = static_cast<cuda::AugmentCrop*>(staged.mutable_data_ptr());
  int64_t taps = 0;
  for (int64_t view = first; view < first + count; ++view) {
    for (int64_t i = 0; i < chunk.images; ++i, ++crop) {
      const size_t row = size_t(chunk.begin + i);
      const ViewPlan& plan = views.plans[row];
      *crop = {};
      crop->image = images.begin[size_t(i)];
      set_box(views.images[row], plan.crops[size_t(view)], *crop);
      set_colours(plan.colours[size_t(view)], views, *crop);
      for (const int side : {0, 1}) {
        crop->taps[side] = taps;
        taps += cuda::augment_workspace(side == 0 ? crop->width : crop->height, size);
      }
    }
  }
  const at::Tensor plans = sent(staged, device);
  const at::Tensor workspace = at::empty({taps}, at::TensorOptions(device).dtype(at::kInt));
  const at::Tensor out = at::empty({crops, views.channels, size, size}, at::TensorOptions(device).dtype(at::kByte));
  cuda::AugmentArgs args{};
  args.crops = crops;
  args.channels = int32_t(views.channels);
  args.size = int32_t(size);
  args.images = images.bytes.const_data_ptr<uint8_t>();
  args.crop = static_cast<const cuda::AugmentCrop*>(plans.const_data_ptr());
  args.workspace = workspace.mutable_data_ptr<int32_t>();
  args.out = out.mutable_data_ptr<uint8_t>();
  kernels::check_queued(kernels::augmentation(device).augment(args, kernels::stream_of(out)));
  return out;
}

}  // namespace

Chunk rendered(Chunk chunk, at::Device device) {
  const Views& views = *chunk.views;
  if (!views.planned()) return chunk;
  kernels::augmentation(device);  // or words, before anything is sent
  const Images images = send_images(chunk, device);
  chunk.global = make_crops(chunk, images, 0, 2, views.global_size, device);
  if (views.local_crops > 0) {
    chunk.local = make_crops(chunk, images, 2, views.local_crops, views.local_size, device);
  }
  return chunk;
}

}  // namespace udi
