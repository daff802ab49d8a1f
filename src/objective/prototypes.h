// Cross-entropy of the student's prototype probabilities under the teacher's, forward and backward in one go. Logits
// exist for one block of rows at a time only; the last layer is linear, so everything before it is done on the
// L2-normalised bottleneck z (docs/design.md).
#pragma once

#include <cstdint>
#include <vector>

#include "model/aten.h"
#include "model/buffer.h"

namespace udi {

// Softmaxed rows: softmax((W_teacher z - center[level]) / teacher temperature).
struct TargetRows {
  at::Tensor z;                // [T, D], float32 or float64
  std::vector<int32_t> level;  // [T]: row of the centers
};

// Rows to be predicted. The target of row r is the sum of share[i] * target row target[i], i from begin[r] to begin[r +
// 1]. Rows with common targets should be neighbours: a target is computed once for each block that uses it.
struct StudentRows {
  at::Tensor z;                // [R, D], as TargetRows::z
  std::vector<double> weight;  // [R]: of the row's cross-entropy in the loss
  std::vector<int32_t> begin = {0};
  std::vector<int32_t> target;
  std::vector<double> share;

  // A row is appended by add_target for each of its targets, then end_row.
  void add_target(int32_t row, double part) {
    target.push_back(row);
    share.push_back(part);
  }
  void end_row(double row_weight) {
    weight.push_back(row_weight);
    begin.push_back(int32_t(target.size()));
  }
  int64_t rows() const { return int64_t(weight.size()); }
};

struct Prototypes {
  at::Tensor student, teacher;  // [K, D]: the last layer, magnitudes applied
  at::Tensor centers;           // [levels, K]
  double student_temp, teacher_temp;
};

struct CrossEntropy {
  std::vector<double> row;             // [R], not weighted
  std::vector<double> target_entropy;  // [T], in nats
  at::Tensor d_z;                      // [R, D]: gradient of sum_r weight[r] * row[r]
};

// The working memory: logits of one block, kept from call to call.
class PrototypeLoss {
 public:
  // d_prototypes [K, D]: the gradient of the student's last layer is added to it. On the CPU in float32 by loops of our
  // own (softmax.h), by kernels where they are switched on (model/kernels.h), else by ATen. No rows are no loss.
  CrossEntropy run(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes,
                   const at::Tensor& d_prototypes);

  // Student rows, and target rows, whose logits exist at a time.
  static int64_t rows_at_once(int64_t prototypes, at::Device device);

 private:
  struct Block;
  Block next_block(const StudentRows& student, int64_t first, int64_t limit) const;
  at::Tensor logits(Buffer& memory, const at::Tensor& z, const at::Tensor& prototypes);
  // Each turns student_logits into the weighted gradient of the logits and fills in the losses and entropies of the
  // block.
  void loops(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes, const Block& block,
             const at::Tensor& student_logits, const at::Tensor& target_logits, CrossEntropy& out);
  void by_kernels(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes,
                  const Block& block, const at::Tensor& student_logits, const at::Tensor& target_logits,
                  CrossEntropy& out);
  void aten(const StudentRows& student, const TargetRows& targets, const Prototypes& prototypes, const Block& block,
            const at::Tensor& student_logits, const at::Tensor& target_logits, CrossEntropy& out);

  Buffer student_logits_, target_logits_;
};

}  // namespace udi
