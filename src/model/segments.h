// Images of several sizes as rows of one matrix: an image's tokens behind one another, image behind image, segment
// behind segment. What works on rows alone is then one call for all of them.
#pragma once

#include <vector>

#include "model/aten.h"

namespace udi {

// Images of one size.
struct Segment {
  int64_t images, tokens;  // tokens: of an image
  int64_t asking;          // so many of them, the first ones, are queries of an attention
  bool operator==(const Segment& other) const {
    return images == other.images && tokens == other.tokens && asking == other.asking;
  }
};

class Packing {
 public:
  // Does nothing where it had these segments on this device lately: a step that is replayed uploads nothing, also with chunks
  // of several shapes.
  void make(const std::vector<Segment>& segments, at::Device device);

  const std::vector<Segment>& segments() const { return now().segments; }
  int64_t rows() const { return now().rows; }      // tokens of all images
  int64_t asking() const { return now().asking; }  // those that ask; rows of a matrix that holds these alone
  bool all_ask() const { return asking() == rows(); }
  int64_t longest() const { return now().longest; }  // tokens of an image, at most
  int64_t longest_asking() const { return now().longest_asking; }
  // int32 on the device, [images + 1]: the row that each image begins at, and the row among those that ask.
  const at::Tensor& row_offsets() const { return now().row_offsets; }
  const at::Tensor& asking_offsets() const { return now().asking_offsets; }

  // Views of one segment: of [rows, D] as [images, tokens, D], of [asking rows, D] as [images, asking, D].
  at::Tensor tokens_of(size_t segment, const at::Tensor& rows) const;
  at::Tensor asking_of(size_t segment, const at::Tensor& asking_rows) const;
  // Of [rows, D] those that ask, [images, asking, D].
  at::Tensor asking_tokens_of(size_t segment, const at::Tensor& rows) const;
  // asking_rows[...] = rows[...] for all segments.
  void copy_asking(const at::Tensor& rows, const at::Tensor& asking_rows) const;

 private:
  struct Layout {
    std::vector<Segment> segments;
    std::vector<int64_t> first_row, first_asking;  // of each segment
    int64_t rows = 0, asking = 0, longest = 0, longest_asking = 0;
    at::Tensor row_offsets, asking_offsets;
  };
  static Layout layout_of(const std::vector<Segment>& segments, at::Device device);
  const Layout& now() const { return layouts_.back(); }

  static constexpr size_t kMostLayouts = 64;
  std::vector<Layout> layouts_ = std::vector<Layout>(1);  // the one at hand comes last
};

}  // namespace udi
