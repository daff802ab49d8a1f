// The views of a batch: two global and L local crops an image, and the sample maps that say which token of one crop shows
// the same place as which point of the other (official: udi_augmentation.py, _project, _create_map, _sampling_mask).
// Maps are kept as token index and four taps a sample instead of the official dense [s, N] matrices: the same numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "data/plan.h"
#include "image/image.h"
#include "udi.h"

namespace udi {

// All index arrays are padded to `samples` (s for globals, n for locals) rows; only the first `count` rows of an image are
// valid, in raster order of the source token. A valid row's weights sum to 1, or to 0 in the official code's corner case
// (a projected point that rounds onto the last grid line): such a row counts for the student and is zero for the teacher.
struct SampleMaps {
  int64_t batch = 0, samples_global = 0, samples_local = 0, local_crops = 0;
  int64_t tokens_global = 0, tokens_local = 0;  // patch tokens of a global and of a local crop

  // Direction d = 0: crop 0 (student) -> crop 1 (teacher); d = 1: crop 1 -> crop 0.
  std::vector<int32_t> global_count;   // [2, B]
  std::vector<int32_t> global_source;  // [2, B, s]: token of the student's crop
  std::vector<int32_t> global_index;   // [2, B, s, 4]: tokens of the teacher's crop
  std::vector<float> global_weight;    // [2, B, s, 4]

  // View v = 0: the local crop -> crop 1; v = 1: -> crop 0 (official order).
  std::vector<int32_t> local_count;   // [L, 2, B]
  std::vector<int32_t> local_source;  // [L, 2, B, n]: token of the local crop (no loss reads it; the tests do)
  std::vector<int32_t> local_index;   // [L, 2, B, n, 4]: tokens of the teacher's crop
  std::vector<float> local_weight;    // [L, 2, B, n, 4]
};

struct Views {
  int64_t batch = 0, local_crops = 0;
  int64_t channels = 0, global_size = 0, local_size = 0, patch_size = 0;
  udi_dtype dtype = UDI_U8;                   // of the crops: UDI_U8, or UDI_F32 (0..1), before normalisation
  std::vector<uint8_t> global;                // [2, B, C, G, G]
  std::vector<uint8_t> local;                 // [L, B, C, l, l]
  std::vector<float> coords;                  // [2 + L, B, 4]: i0, j0, i1, j1; the two j swapped when mirrored
  std::vector<uint8_t> sample_global;         // [B, N] masks over tokens
  std::vector<uint8_t> sample_local;          // [B, n]
  SampleMaps maps;
  std::vector<int64_t> sample;                // [B]: which image of the set each row is
  int64_t epoch = 0;

  // Crops that are yet to be made: of these images, after these plans. global and local are empty then.
  std::vector<Image> images;    // [B], uint8; empty: the crops are made
  std::vector<ViewPlan> plans;  // [B]
  udi_view_config config{};     // of the plans
  bool planned() const { return !images.empty(); }
};

// Maps from coordinates and masks, in float32 and in the official order of operations. A mask must have the same number of
// samples in every row (UDI_E_SHAPE otherwise).
SampleMaps make_sample_maps(int64_t batch, int64_t local_crops, int64_t grid_global, int64_t grid_local,
                            const float* coords, const uint8_t* sample_global, const uint8_t* sample_local);

}  // namespace udi
