// The sample maps of some images of a batch, as the SRS module asks and as the objective counts them. The teacher's
// crops come in reversed order (crop 1, then crop 0), so its row t * images + i faces crop t of the student.
#pragma once

#include <cstdint>
#include <vector>

#include "data/views.h"
#include "model/srs.h"

namespace udi {

// The samples that fall inside the other crop. Padded: all of them, so that their number follows from shapes alone;
// those that fall outside count for nothing.
struct Places {
  std::vector<int64_t> student,
      teacher;                  // in [2 images * samples_global] and [2 images * Q]: the same samples in order
  std::vector<int64_t> local;   // of the local crops, in [2 images * Q]
  std::vector<uint8_t> inside;  // parallel to teacher: 1, or 0 for one that falls outside
  // Row sums of the maps: 1 but for rounding, 0 in the corner case of data/views.h and outside. Parallel to the places.
  std::vector<float> global_sum, local_sum;
};

// Q = samples_global + local_crops * samples_local queries a teacher crop: those of the facing global crop, then those
// of each local crop.
struct Samples {
  int64_t images = 0, samples_global = 0, samples_local = 0, local_crops = 0;
  bool padded = false;
  Places places;

  // Tables, on the CPU until somebody moves them (train/stage.h).
  SrsQueries teacher;  // [2 images, Q, 4]
  SrsQueries student;  // [2 images, samples_global, 1]: weight 1, or 0 for a sample that falls outside the other crop
  at::Tensor student_place, teacher_place, local_place;  // Places as int64
  at::Tensor global_sum, local_sum;                      // in the weights' dtype, [P, 1]

  int64_t queries() const { return samples_global + local_crops * samples_local; }
  // Appends the tables' handles.
  void tables(std::vector<at::Tensor*>& all);
};

// Images [first, last) of the maps; weights in `dtype`.
Samples samples_of(const SampleMaps& maps, int64_t first, int64_t last, at::ScalarType dtype, bool padded = false);

// What the loss divides by: known for the whole batch before the first image is worked on.
struct BatchTotals {
  int64_t images = 0, local_crops = 0;  // set by the caller
  int64_t global_valid = 0;             // samples of global crops that fall inside the other crop
  int64_t samples = 0, valid = 0;       // of global and local crops

  void add(const SampleMaps& maps);  // counts its samples
};

}  // namespace udi
