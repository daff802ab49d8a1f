// The UDI objective (official: UDILoss): which student row is to predict which mixture of teacher rows, and what each
// weighs. Other objectives are sisters of this file: they make rows, and prototypes.h does the arithmetic.
#pragma once

#include <array>
#include <vector>

#include "objective/center.h"
#include "objective/prototypes.h"
#include "objective/targets.h"
#include "udi.h"

namespace udi {

enum Part { kGlobalCls, kGlobalClsPlus, kGlobalPatch, kLocalCls, kLocalClsPlus, kParts };
const char* part_name(int part);  // "global_cls", ...

// Rows for PrototypeLoss, without the student's z, and the part of the loss each belongs to.
struct LossRows {
  TargetRows targets;
  StudentRows students;
  std::vector<Part> part;           // [R]
  std::vector<int32_t> image;       // [R]: the image of the chunk that it is of
  std::vector<double> part_weight;  // [R]: a part is the sum of part_weight * cross-entropy of its rows
};

// Each level compares one kind of token: cls, cls_plus, patches. Row j of the centers belongs to level j.
//   level = (2 CE_global + 2 L CE_local) / (2 + 2 L) for class tokens, CE_global for patches
//   loss  = mean of the levels (official) or their sum (paper): train.loss_reduction
class UdiObjective {
 public:
  UdiObjective(const udi_model_config& model, const udi_train_config& train);

  // The rows of a chunk whose student z is [cls 2b; cls_plus 2b; patches P] (rows d * b + i of crop d) ...
  LossRows global_rows(const TeacherRows& teacher, const Targets& targets, const Samples& samples,
                       const BatchTotals& totals) const;
  // ... and of its local crops, [cls L b; cls_plus L b] (rows l * b + i).
  LossRows local_rows(const TeacherRows& teacher, const Targets& targets, const Samples& samples,
                      const BatchTotals& totals) const;

  // Adds a chunk's rows to the sums for the centers.
  void add_centers(const TeacherRows& teacher, const Targets& targets, const Samples& samples, CenterSums& sums) const;

  // The share of a part in the loss; 0 for parts that the model or the batch has not.
  double share(Part part, const BatchTotals& totals) const;
  bool has(Part part, const BatchTotals& totals) const;

  int64_t levels() const { return class_tokens_ + (patches_ ? 1 : 0); }

 private:
  struct Builder;

  int32_t class_tokens_;
  bool patches_, blend_probabilities_, sum_levels_;
  double alpha_;
};

}  // namespace udi
