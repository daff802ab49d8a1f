// Cross-entropy of the student's prototype probabilities under the teacher's, forward and backward in one go. Logits
// exist for one block of rows at a time only; the last layer is linear, so everything before it is done on the
// L2-normalised bottleneck z (docs/design.md).
#pragma once

#include "model/buffer.h"
#include "objective/rows.h"

namespace udi {

struct Prototypes {
  // [K, D]: the last layer, magnitudes applied, like z; or float16 where kernels take z, and then logits are float16.
  at::Tensor student, teacher;
  at::Tensor centers;  // [levels, K]: subtracted from the teacher's logits before the softmax
  double student_temp, teacher_temp;
  // With float16 logits gradients of logits are multiplied by this before they are rounded: see gradient_scale().
  double scale = 1;
  at::Tensor temp;        // float32 [1]: teacher_temp where z is; kernels read it, if it is defined
  at::Tensor not_finite;  // int32 [1]: kernels make it 1 if a cross-entropy is not finite, if it is defined
};

// A power of two by which gradients of logits may be multiplied in float16: a column's sum over all rows, and a row's
// sum over all columns, stay below 2^15 where the rows' weights add up to at most `weights`.
double gradient_scale(double weights, double student_temp);

struct CrossEntropy {
  at::Tensor row;             // [R], not weighted
  at::Tensor target_entropy;  // [T], in nats
  at::Tensor d_z;             // [R, D]: gradient of sum_r weight[r] * row[r]
};

// The working memory: logits of one block, kept from call to call.
class PrototypeLoss {
 public:
  // z: the student's [R, D] and the targets' [T, D], float32 or float64. The table's blocks are cut for them and lie
  // where they lie. The target of softmaxed rows: softmax((W_teacher z - center[level]) / teacher temperature).
  // d_prototypes [K, D]: the gradient of the student's last layer is added to it. On the CPU in float32 by loops of our
  // own (softmax.h), by kernels where they are switched on (model/kernels.h), else by ATen: nothing is read back. No
  // rows are no loss.
  CrossEntropy run(const at::Tensor& z, const at::Tensor& target_z, const RowTable& table, const Prototypes& prototypes,
                   const at::Tensor& d_prototypes);

 private:
  at::Tensor logits(Buffer& memory, const at::Tensor& z, const at::Tensor& prototypes);
  // Each turns student_logits into the weighted gradient of the logits and fills in the losses and entropies of the
  // block.
  void loops(const RowBlock& block, const Prototypes& prototypes, const at::Tensor& student_logits,
             const at::Tensor& target_logits, CrossEntropy& out);
  void by_kernels(const RowBlock& block, const Prototypes& prototypes, const at::Tensor& student_logits,
                  const at::Tensor& target_logits, CrossEntropy& out);
  void aten(const RowBlock& block, const Prototypes& prototypes, const at::Tensor& student_logits,
            const at::Tensor& target_logits, CrossEntropy& out);

  Buffer student_logits_, target_logits_;
};

}  // namespace udi
