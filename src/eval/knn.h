// Weighted k-NN classification in feature space (official: eval_knn.py): cosine similarity, the k nearest of the
// training set vote, each with exp(similarity / temperature).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/aten.h"

namespace udi {

struct KnnScore {
  int64_t k = 0;
  double top1 = 0, top5 = 0;  // percent of the test rows
  int64_t right1 = 0, right5 = 0;  // the same as counts
};

constexpr int64_t kKnnTestChunk = 512;

struct KnnOptions {
  std::vector<int64_t> k = {20};  // a score each, in this order; one larger than the training set means all of it
  double temperature = 0.07;
  int64_t test_chunk = kKnnTestChunk, train_chunk = 8192;  // rows compared at once: bounds the memory, changes no result
  std::function<void(int64_t rows)> progress;    // so many test rows more; may throw to stop
};

// train: [N, D], test: [M, D], float32, not normalised; labels: any integers, N and M of them. Neighbours of equal
// similarity rank by their place in the training set, classes of equal votes by their nearest neighbour. Top-5 counts
// the first min(5, k) classes that got a vote at all (the official code fills up with classes that got none, in any
// order). UDI_E_SHAPE, UDI_E_INVALID for features that are not finite.
std::vector<KnnScore> knn_classify(const at::Tensor& train, const std::vector<int64_t>& train_labels,
                                   const at::Tensor& test, const std::vector<int64_t>& test_labels,
                                   const KnnOptions& options);

}  // namespace udi
