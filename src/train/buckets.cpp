#include "train/buckets.h"

#include <algorithm>

namespace udi {
namespace {

// 0 times a number is 0, and NaN for what is no number. One pass, in several sums at once.
bool all_finite(const at::Tensor& values) {
  if (values.scalar_type() != at::kFloat) return values.isfinite().all().item<bool>();
  constexpr int64_t kLanes = 16;
  const float* const v = values.const_data_ptr<float>();
  const int64_t size = values.numel(), whole = size / kLanes * kLanes;
  float sums[kLanes] = {};
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += 0 * v[i + lane];
  }
  for (int64_t i = whole; i < size; ++i) sums[0] += 0 * v[i];
  float sum = 0;
  for (const float lane : sums) sum += lane;
  return sum == 0;
}

}  // namespace

void GradientBuckets::begin(std::vector<at::Tensor> gradients) {
  gradients_ = std::move(gradients);
  sent_ = gradients_[0].numel();
  ready_.assign(gradients_.size(), sent_);
  finite_ = true;
  if (!gradients_[0].is_cpu()) finite_there_ = at::ones({}, gradients_[0].options().dtype(at::kBool));
}

void GradientBuckets::ready(size_t strand, int64_t first_element) {
  const std::lock_guard lock(mutex_);
  ready_[strand] = first_element;
  send_from(*std::max_element(ready_.begin(), ready_.end()));
}

// Pieces are counted from the end, so that all ranks cut alike. The strands' sum has one order, whoever comes last.
void GradientBuckets::send_from(int64_t first_element) {
  const int64_t elements = std::max<int64_t>(1, group_.bucket_bytes() / int64_t(gradients_[0].element_size()));
  while (sent_ > 0) {
    const int64_t begin = std::max<int64_t>(0, sent_ - elements);
    if (begin < first_element) return;
    at::Tensor piece = gradients_[0].narrow(0, begin, sent_ - begin);
    for (size_t strand = 1; strand < gradients_.size(); ++strand)
      piece.add_(gradients_[strand].narrow(0, begin, sent_ - begin));
    if (piece.is_cpu()) {
      finite_ = finite_ && all_finite(piece);
    } else {
      finite_there_.logical_and_(piece.isfinite().all());
    }
    sent_ = begin;
    group_.sum_later(piece);
  }
}

void GradientBuckets::finish() {
  const std::lock_guard lock(mutex_);
  send_from(0);
  group_.wait();
}

bool GradientBuckets::finite() const { return finite_ && (!finite_there_.defined() || finite_there_.item<bool>()); }

}  // namespace udi
