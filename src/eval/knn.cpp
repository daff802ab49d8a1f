#include "eval/knn.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace udi {
namespace {

struct Neighbour {
  float similarity;
  int64_t index;
};

// Nearer first; of equals the one that stands earlier in the training set.
bool nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity > b.similarity || (a.similarity == b.similarity && a.index < b.index);
}

// The k nearest so far: a heap whose top is the farthest.
void offer(std::vector<Neighbour>* nearest, size_t k, const float* similarity, int64_t first, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const Neighbour candidate{similarity[i], first + i};
    if (nearest->size() < k) {
      nearest->push_back(candidate);
      std::push_heap(nearest->begin(), nearest->end(), nearer);
    } else if (nearer(candidate, nearest->front())) {
      std::pop_heap(nearest->begin(), nearest->end(), nearer);
      nearest->back() = candidate;
      std::push_heap(nearest->begin(), nearest->end(), nearer);
    }
  }
}

struct Vote {
  int64_t label;
  double weight;
};

// The classes of the first k neighbours, most votes first.
std::vector<Vote> count_votes(const std::vector<Neighbour>& sorted, size_t k, const std::vector<int64_t>& labels,
                              double temperature) {
  std::vector<Vote> votes;
  for (size_t i = 0; i < std::min(k, sorted.size()); ++i) {
    const int64_t label = labels[size_t(sorted[i].index)];
    const double weight =
        std::exp((double(sorted[i].similarity) - 1.0) / temperature);  // the largest is 1: no overflow
    const auto same = std::find_if(votes.begin(), votes.end(), [&](const Vote& vote) { return vote.label == label; });
    if (same == votes.end()) {
      votes.push_back({label, weight});
    } else {
      same->weight += weight;
    }
  }
  std::stable_sort(votes.begin(), votes.end(), [](const Vote& a, const Vote& b) { return a.weight > b.weight; });
  return votes;
}

at::Tensor normalized(const at::Tensor& rows, const char* which) {
  check(rows.dim() == 2 && rows.scalar_type() == at::kFloat, UDI_E_SHAPE, which, ": features must be float32 [rows, ",
        "width]");
  check(rows.isfinite().all().item<bool>(), UDI_E_INVALID, which, ": features that are not finite");
  return rows / rows.norm(2, 1, true).clamp_min(1e-12);
}

}  // namespace

std::vector<KnnScore> knn_classify(const at::Tensor& train, const std::vector<int64_t>& train_labels,
                                   const at::Tensor& test, const std::vector<int64_t>& test_labels,
                                   const KnnOptions& options) {
  const at::Tensor train_rows = normalized(train, "train"), test_rows = normalized(test, "test");
  const int64_t n = train_rows.size(0), m = test_rows.size(0);
  check(train_rows.size(1) == test_rows.size(1), UDI_E_SHAPE, "train has features of width ", train_rows.size(1),
        ", test of ", test_rows.size(1));
  check(int64_t(train_labels.size()) == n && int64_t(test_labels.size()) == m, UDI_E_SHAPE, n, " and ", m,
        " features need as many labels, there are ", train_labels.size(), " and ", test_labels.size());
  check(n > 0 && m > 0, UDI_E_INVALID, "k-NN needs at least one training and one test row");
  check(!options.k.empty(), UDI_E_INVALID, "k-NN needs a k");
  size_t largest = 1;
  for (const int64_t k : options.k) {
    check(k >= 1, UDI_E_INVALID, "k: ", k, " is below the minimum of 1");
    largest = std::max(largest, size_t(std::min(k, n)));
  }

  std::vector<int64_t> top1(options.k.size()), top5(options.k.size());
  for (int64_t begin = 0; begin < m; begin += options.test_chunk) {
    const int64_t count = std::min(options.test_chunk, m - begin);
    const at::Tensor queries = test_rows.narrow(0, begin, count);
    std::vector<std::vector<Neighbour>> nearest(static_cast<size_t>(count));
    for (int64_t first = 0; first < n; first += options.train_chunk) {
      const int64_t keys = std::min(options.train_chunk, n - first);
      const at::Tensor similarity = at::mm(queries, train_rows.narrow(0, first, keys).t()).cpu().contiguous();
      const float* values = similarity.const_data_ptr<float>();
      at::parallel_for(0, count, 16, [&](int64_t from, int64_t to) {
        for (int64_t row = from; row < to; ++row)
          offer(&nearest[size_t(row)], largest, values + row * keys, first, keys);
      });
    }
    for (int64_t row = 0; row < count; ++row) {
      auto& sorted = nearest[size_t(row)];
      std::sort(sorted.begin(), sorted.end(), nearer);
      const int64_t truth = test_labels[size_t(begin + row)];
      for (size_t i = 0; i < options.k.size(); ++i) {
        const auto votes = count_votes(sorted, size_t(options.k[i]), train_labels, options.temperature);
        const size_t first_five = std::min({size_t(5), size_t(options.k[i]), votes.size()});
        top1[i] += votes[0].label == truth;
        for (size_t place = 0; place < first_five; ++place) top5[i] += votes[place].label == truth;
      }
    }
    if (options.progress) options.progress(count);
  }

  std::vector<KnnScore> scores;
  for (size_t i = 0; i < options.k.size(); ++i) {
    scores.push_back({options.k[i], 100.0 * double(top1[i]) / double(m), 100.0 * double(top5[i]) / double(m), top1[i],
                      top5[i]});
  }
  return scores;
}

}  // namespace udi
