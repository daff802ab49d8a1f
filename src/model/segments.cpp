#include "model/segments.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace udi {

namespace {

at::Tensor view_of(const at::Tensor& rows, int64_t first, int64_t images, int64_t each) {
  return rows.narrow(0, first, images * each).unflatten(0, {images, each});
}

}  // namespace

void Packing::make(const std::vector<Segment>& segments, at::Device device) {
  if (segments == segments_ && row_offsets_.defined() && row_offsets_.device() == device) return;
  segments_ = segments;
  first_row_.clear();
  first_asking_.clear();
  rows_ = asking_ = longest_ = longest_asking_ = 0;
  std::vector<int32_t> row_offsets{0}, asking_offsets{0};
  for (const Segment& segment : segments) {
    first_row_.push_back(rows_);
    first_asking_.push_back(asking_);
    check(rows_ + segment.images * segment.tokens <= std::numeric_limits<int32_t>::max(), UDI_E_SHAPE,
          "the images have more than 2^31 tokens together");
    for (int64_t i = 0; i < segment.images; ++i) {
      row_offsets.push_back(int32_t(rows_ += segment.tokens));
      asking_offsets.push_back(int32_t(asking_ += segment.asking));
    }
    longest_ = std::max(longest_, segment.tokens);
    longest_asking_ = std::max(longest_asking_, segment.asking);
  }
  row_offsets_ = at::tensor(row_offsets, at::kInt).to(device);
  asking_offsets_ = at::tensor(asking_offsets, at::kInt).to(device);
}

at::Tensor Packing::tokens_of(size_t segment, const at::Tensor& rows) const {
  return view_of(rows, first_row_[segment], segments_[segment].images, segments_[segment].tokens);
}

at::Tensor Packing::asking_of(size_t segment, const at::Tensor& asking_rows) const {
  return view_of(asking_rows, first_asking_[segment], segments_[segment].images, segments_[segment].asking);
}

at::Tensor Packing::asking_tokens_of(size_t segment, const at::Tensor& rows) const {
  return tokens_of(segment, rows).narrow(1, 0, segments_[segment].asking);
}

void Packing::copy_asking(const at::Tensor& rows, const at::Tensor& asking_rows) const {
  for (size_t i = 0; i < segments_.size(); ++i) asking_of(i, asking_rows).copy_(asking_tokens_of(i, rows));
}

}  // namespace udi
