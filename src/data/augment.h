// Images become views: crops, coordinates, masks and sample maps.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "data/plan.h"
#include "data/views.h"
#include "image/image.h"
#include "image/memory.h"
#include "image/resize.h"

namespace udi {

class WorkerPool;

// Gives `views` the sizes of a batch. Every row is then to be filled by ViewMaker and the maps made by finish_views.
void shape_views(const udi_view_config& config, int64_t batch, int64_t channels, udi_dtype dtype, int64_t epoch,
                 Views& views);
void finish_views(const udi_view_config& config, Views& views);

// Fills rows of a batch. Keeps its memory from image to image; one a thread.
class ViewMaker {
 public:
  // The views of one image. What is drawn depends on (seed, views.epoch, sample) alone. image: of views' channels; its
  // dtype is views', or UDI_U8 where views are UDI_F32 (values / 255). UDI_E_SHAPE otherwise.
  void fill_row(const Image& image, const udi_view_config& config, uint64_t seed, int64_t sample, int64_t row,
                Views& views);

 private:
  ViewPlan plan_;
  Resizer resizer_;
  Image converted_;
  Memory memory_;
};

// The photometric part, in place (torchvision on Pillow images). Saturation, hue and grayscale want three channels and
// are left out for any other number; an operation whose amount is 0 in config is left out.
// memory: what is kept from call to call.
void apply_colours(const Colours& colours, const udi_view_config& config, const Planes& planes,
                   Memory* memory = nullptr);

// Views of images in memory. samples: one a image, what its draws are keyed by. dtype is UDI_F32 if any image is.
// pool: threads to use; nullptr: the calling one.
void make_views(const std::vector<Image>& images, const udi_view_config& config, uint64_t seed, int64_t epoch,
                const std::vector<int64_t>& samples, Views& out, WorkerPool* pool = nullptr);

}  // namespace udi
