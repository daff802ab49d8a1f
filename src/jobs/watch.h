// k-NN of the teacher while it learns, on labelled images.
#pragma once

#include <optional>

#include "jobs/features.h"

namespace udi {

constexpr int32_t kKnnWatchBatch = 64;  // of images through the model

class KnnWatch {
 public:
  // Options knn_train, knn_test, knn_k of pretrain. UDI_E_INVALID: one of the two sets is missing or has no labels;
  // UDI_E_NOT_FOUND.
  KnnWatch(const JobConfig& config, const Host& host);

  bool on() const { return test_.has_value(); }
  const ImageSource& train_images() const { return train_->source; }
  const ImageSource& test_images() const { return test_->source; }

  // {"knn_cls_top1": ..., "knn_cls_top5": ..., "knn_cls_plus_top1": ..., ...}, in percent; also in words to the log.
  Json measure(const JobHost& host, const Model& model) const;

 private:
  const JobConfig& config_;
  std::optional<LabelledSet> train_, test_;
};

}  // namespace udi
