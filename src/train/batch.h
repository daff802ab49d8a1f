// The images of a step, cut into chunks that are worked on one after the other.
#pragma once

#include <vector>

#include "data/views.h"
#include "objective/samples.h"

namespace udi {

struct Chunk {
  const Views* views = nullptr;
  int64_t begin = 0, images = 0;  // images [begin, begin + images) of the views
  int64_t position = 0;           // of the first of them in the step
  at::Tensor global, local;       // crops that were made on the device (render.h), uint8 [crops * images, C, S, S]
};

// UDI_E_SHAPE or UDI_E_INVALID where views are missing, misfit the model or differ from each other.
void check_views(const std::vector<const Views*>& views, const udi_model_config& model);

BatchTotals totals_of(const std::vector<const Views*>& views);

// At most `images` images a chunk, none across two views. position: of each views' first image in the step.
std::vector<Chunk> make_chunks(const std::vector<const Views*>& views, const std::vector<int64_t>& position,
                               int64_t images);

// A chunk's crops, [crops * images, C, S, S], uint8, or floats in `options`' dtype: crop 0 of all images, then the next
// crop of all images. On the CPU, perhaps in the views' own memory.
at::Tensor global_crops(const Chunk& chunk, const at::TensorOptions& options);
at::Tensor local_crops(const Chunk& chunk, const at::TensorOptions& options);

}  // namespace udi
