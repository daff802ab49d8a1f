// k-NN of the teacher while it learns, on labelled images.
#pragma once

#include <string>

#include "jobs/features.h"

namespace udi {

class KnnWatch {
 public:
  // Options knn_train, knn_test, knn_k of pretrain. UDI_E_INVALID: one of the two sets is missing.
  explicit KnnWatch(const JobConfig& config);

  bool on() const { return !train_.empty(); }

  // {"knn_cls_top1": ..., "knn_cls_top5": ..., "knn_cls_plus_top1": ..., ...}, in percent; also in words to the log.
  Json measure(const JobHost& host, const Model& model) const;

 private:
  const JobConfig& config_;
  std::string train_, test_;
};

}  // namespace udi
