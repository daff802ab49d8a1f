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
  const auto found = std::find_if(layouts_.rbegin(), layouts_.rend(), [&](const Layout& layout) {
    return layout.segments == segments && layout.row_offsets.defined() && layout.row_offsets.device() == device;
  });
  if (found != layouts_.rend()) {
    std::rotate(found.base() - 1, found.base(), layouts_.end());
    return;
  }
  Layout made = layout_of(segments, device);
  if (layouts_.size() == kMostLayouts) layouts_.erase(layouts_.begin());
  layouts_.push_back(std::move(made));
}

Packing::Layout Packing::layout_of(const std::vector<Segment>& segments, at::Device device) {
  Layout layout;
  layout.segments = segments;
  std::vector<int32_t> row_offsets{0}, asking_offsets{0};
  for (const Segment& segment : segments) {
    layout.first_row.push_back(layout.rows);
    layout.first_asking.push_back(layout.asking);
    check(layout.rows + segment.images * segment.tokens <= std::numeric_limits<int32_t>::max(), UDI_E_SHAPE,
          "the images have more than 2^31 tokens together");
    for (int64_t i = 0; i < segment.images; ++i) {
      row_offsets.push_back(int32_t(layout.rows += segment.tokens));
      asking_offsets.push_back(int32_t(layout.asking += segment.asking));
    }
    layout.longest = std::max(layout.longest, segment.tokens);
    layout.longest_asking = std::max(layout.longest_asking, segment.asking);
  }
  layout.row_offsets = at::tensor(row_offsets, at::kInt).to(device);
  layout.asking_offsets = at::tensor(asking_offsets, at::kInt).to(device);
  return layout;
}

at::Tensor Packing::tokens_of(size_t segment, const at::Tensor& rows) const {
  return view_of(rows, now().first_row[segment], segments()[segment].images, segments()[segment].tokens);
}

at::Tensor Packing::asking_of(size_t segment, const at::Tensor& asking_rows) const {
  return view_of(asking_rows, now().first_asking[segment], segments()[segment].images, segments()[segment].asking);
}

at::Tensor Packing::asking_tokens_of(size_t segment, const at::Tensor& rows) const {
  return tokens_of(segment, rows).narrow(1, 0, segments()[segment].asking);
}

void Packing::copy_asking(const at::Tensor& rows, const at::Tensor& asking_rows) const {
  for (size_t i = 0; i < segments().size(); ++i) asking_of(i, asking_rows).copy_(asking_tokens_of(i, rows));
}

}  // namespace udi
