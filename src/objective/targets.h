// What the student is to predict, made of what the teacher sees (official: UDILoss.prep_teacher and its blend of cls
// and patches), in the bottleneck: all of it is linear and commutes with the prototypes.
#pragma once

#include "objective/samples.h"

namespace udi {

// The teacher's L2-normalised rows of some images.
struct TeacherRows {
  at::Tensor cls;    // [2 images, D]: row t * images + i faces crop t of the student
  at::Tensor patch;  // [P, D]: Places::teacher; undefined without patches
  at::Tensor local;  // [P', D]: Places::local; undefined without patches
};

struct Targets {
  at::Tensor plus_global;  // [2 images, D]: cls_plus of global crops; undefined with one class token
  at::Tensor plus_local;   // [2 images, local_crops, D]: cls_plus of local crops, one for each teacher crop
};

// Means of the SRS samples, weighted by the row sums of their maps and divided by (sum of these + 1e-5), as official:
// global [2 images, D], local [2 images, local_crops, D]. Without a sample the mean is zero.
struct SampleMeans {
  at::Tensor global, local;
};
SampleMeans sample_means(const TeacherRows& rows, const Samples& samples);

// alpha * mean of the patches + (1 - alpha) * cls. Without patches (undefined in rows) the target is cls itself.
Targets blend_targets(const TeacherRows& rows, const Samples& samples, double alpha);

// [D]: sum over all samples, global and local, weighted by the row sums of their maps: for the center of the patches.
at::Tensor sample_sum(const TeacherRows& rows, const Samples& samples);

}  // namespace udi
