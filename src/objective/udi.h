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

// What rows are to the loss. A part is the sum of `weight` * cross-entropy of its rows.
struct RowLabels {
  std::vector<Part> part;      // [R]
  std::vector<int32_t> image;  // [R]: the image of the chunk that it is of
  std::vector<double> weight;  // [R]
};

// Rows for PrototypeLoss; they follow from the samples alone.
struct LossRows {
  RowTable table;
  RowLabels labels;
};

// Each level compares one kind of token: cls, cls_plus, patches. Row j of the centers belongs to level j.
//   level = (2 CE_global + 2 L CE_local) / (2 + 2 L) for class tokens, CE_global for patches
//   loss  = mean of the levels (official) or their sum (paper): train.loss_reduction
class UdiObjective {
 public:
  UdiObjective(const udi_model_config& model, const udi_train_config& train);

  // The rows of a chunk whose student z is [cls 2b; cls_plus 2b; patches P] (rows d * b + i of crop d) ...
  LossRows global_rows(const Samples& samples, const BatchTotals& totals) const;
  // ... and of its local crops, [cls L b; cls_plus L b] (rows l * b + i). Not yet cut.
  LossRows local_rows(const Samples& samples, const BatchTotals& totals) const;
  // Their target rows [T, D].
  at::Tensor global_targets(const TeacherRows& teacher, const Targets& targets) const;
  at::Tensor local_targets(const TeacherRows& teacher, const Targets& targets) const;

  // Adds a chunk's rows to the sums for the centers, z [levels, D] (undefined: zeros), and what they weigh.
  void add_centers(const TeacherRows& teacher, const Targets& targets, const Samples& samples, at::Tensor& z) const;
  void add_center_weights(const Samples& samples, std::vector<double>& weight) const;

  // The share of a part in the loss; 0 for parts that the model or the batch has not.
  double share(Part part, const BatchTotals& totals) const;
  bool has(Part part, const BatchTotals& totals) const;

  // The weights of all rows of a step add up to at most this.
  double most_weight() const { return sum_levels_ ? double(levels()) : 1; }

  int64_t levels() const { return class_tokens_ + (patches_ ? 1 : 0); }

 private:
  struct Builder;
  bool plus_is_mixed() const { return class_tokens_ > 1 && patches_ && blend_probabilities_; }

  int32_t class_tokens_;
  bool patches_, blend_probabilities_, sum_levels_;
  double alpha_;
};

}  // namespace udi
