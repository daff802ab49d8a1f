// The work on some images of a step, from pixels to gradients. Strands run side by side, one a thread: each has its own
// gradients and working memory, all read the same weights.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "model/head.h"
#include "model/srs.h"
#include "model/vit.h"
#include "objective/udi.h"
#include "train/batch.h"

namespace udi {

// Over the chunks of a strand.
struct StrandSums {
  std::array<double, kParts> parts{};
  double entropy = 0;  // of the targets of cls
  CenterSums centers;
  at::Tensor feature, feature2;  // [D]: of normalised cls tokens and their squares

  void add(const StrandSums& other);
};

class Strand {
 public:
  // Copies handles: the weights may be updated in place. gradients: of the student's layout.
  Strand(const udi_model_config& model, const udi_train_config& train, const Parameters& student,
         const Parameters& teacher, Parameters gradients);

  // A new step: gradients and sums are zero.
  void begin();

  // Adds a chunk. step: of the draws of stochastic depth, and for messages. UDI_E_NONFINITE. ready, if given, is told
  // from which element on the flat gradients have all of this chunk, growing down to 0.
  using Ready = std::function<void(int64_t first_element)>;
  void learn(const Chunk& chunk, const BatchTotals& totals, const Prototypes& prototypes, int64_t step,
             const Ready& ready = {});

  Parameters grads;
  StrandSums sums;

 private:
  TeacherRows teach(const Chunk& chunk, const Samples& samples);
  void learn_global(const Chunk& chunk, const Samples& samples, LossRows rows, const Prototypes& prototypes,
                    const Ready& ready);
  void learn_local(const Chunk& chunk, LossRows rows, const Prototypes& prototypes, const Ready& ready);
  void vit_backward(const at::Tensor& d_tokens, const at::Tensor& d_cls, const Ready& ready);
  CrossEntropy compare(const Chunk& chunk, const LossRows& rows, const Prototypes& prototypes);
  at::Tensor drop_path(const Chunk& chunk, int64_t first_crop, int64_t crops) const;

  udi_model_config model_config_;
  udi_train_config config_;
  at::TensorOptions options_;  // of the weights
  int64_t step_ = 0;
  UdiObjective objective_;
  Vit student_vit_, teacher_vit_;
  std::unique_ptr<Srs> student_srs_, teacher_srs_;  // null without patches
  Head student_head_, teacher_head_;
  PrototypeLoss loss_;
  int64_t behind_vit_ = 0;             // first element of SRS module and head in the flat gradients
  std::vector<int64_t> block_begin_;  // of each block
};

}  // namespace udi
