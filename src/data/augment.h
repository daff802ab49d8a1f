// Images become views: crops, coordinates, masks and sample maps.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "base/random.h"
#include "data/plan.h"
#include "data/views.h"
#include "image/image.h"
#include "image/resize.h"

namespace udi {

class WorkerPool;

// Gives `views` the sizes of a batch. Every row is then to be filled by ViewMaker and the maps made by finish_views.
// planned, of UDI_U8 alone: the crops are made elsewhere (train/render.h), rows are to be filled by plan_row.
void shape_views(const udi_view_config& config, int64_t batch, int64_t channels, udi_dtype dtype, int64_t epoch,
                 Views& views, bool planned = false);
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

// ViewMaker::fill_row but for the crops: the row keeps the plan and the image, for which the caller gets the row's
// former one.
void plan_row(Image& image, uint64_t seed, int64_t sample, int64_t row, Views& views);

// The photometric part, in place (torchvision on Pillow images): steps_of, blur, solarisation. memory: what is kept
// from call to call.
void apply_colours(const Colours& colours, const udi_view_config& config, const Planes& planes,
                   Memory* memory = nullptr);

// Views of images in memory. samples: one a image, what its draws are keyed by. dtype is UDI_F32 if any image is.
// pool: threads to use; nullptr: the calling one. planned: as in shape_views; UDI_E_UNSUPPORTED if any image is
// UDI_F32.
void make_views(const std::vector<Image>& images, const udi_view_config& config, uint64_t seed, int64_t epoch,
                const std::vector<int64_t>& samples, Views& out, WorkerPool* pool = nullptr, bool planned = false);
constexpr const char* kFloatsNotPlanned =
    "images of float or 16-bit values are augmented on the CPU alone (augment_on cpu)";

}  // namespace udi
