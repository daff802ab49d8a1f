// The work on some images of a step, from pixels to gradients. Strands run side by side, one a thread: each has its own
// gradients and working memory, all read the same weights.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/head.h"
#include "model/srs.h"
#include "model/vit.h"
#include "train/losses.h"

namespace udi {

// Over the chunks of a strand, where it works: nothing waits for it.
struct StrandResults {
  std::vector<ChunkLosses> losses;  // a chunk each
  at::Tensor centers;               // [levels, bottleneck]: sums for the centers
  at::Tensor feature, feature2;     // float64 [D]: sums of normalised cls tokens and of their squares
};

// The same for the host, over strands and ranks.
struct StrandSums : LossSums {
  CenterSums centers;
  at::Tensor feature, feature2;

  void add(const StrandSums& other);
};

class Strand {
 public:
  // Copies handles: the weights may be updated in place. gradients: of the student's layout.
  Strand(const udi_model_config& model, const udi_train_config& train, const Parameters& student,
         const Parameters& teacher, Parameters gradients);

  // A new step: gradients and results are zero.
  void begin();

  // Adds a chunk, whose tables lie where the weights do. ready, if given, is told from which element on the flat
  // gradients have all of this chunk, growing down to 0.
  using Ready = std::function<void(int64_t first_element)>;
  void learn(const ChunkTables& tables, const Prototypes& prototypes, const Ready& ready = {});

  Parameters grads;
  StrandResults results;

 private:
  TeacherRows teach(const ChunkTables& tables);
  bool packs_crops(const ChunkTables& tables) const;
  void learn_crops(const ChunkTables& tables, const at::Tensor& global_z, const at::Tensor& local_z,
                   const Prototypes& prototypes, const Ready& ready);
  at::Tensor class_rows(const VitOutput& seen) const;
  at::Tensor class_gradients(const at::Tensor& d_rows) const;
  at::Tensor global_rows(const VitOutput& seen, const Samples& samples);
  VitOutput global_gradients(const VitOutput& seen, const at::Tensor& d_rows, const Samples& samples);
  void vit_backward(const std::vector<VitOutput>& d_seen, const Ready& ready);

  udi_model_config model_config_;
  udi_train_config config_;
  UdiObjective objective_;
  Vit student_vit_, teacher_vit_;
  std::unique_ptr<Srs> student_srs_, teacher_srs_;  // null without patches
  Head student_head_, teacher_head_;
  PrototypeLoss loss_;
  int64_t behind_vit_ = 0;            // first element of SRS module and head in the flat gradients
  std::vector<int64_t> block_begin_;  // of each block
};

}  // namespace udi
