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
  // Does nothing where these are its segments on this device already, so that a step that is replayed uploads nothing.
  void make(const std::vector<Segment>& segments, at::Device device);

  const std::vector<Segment>& segments() const { return segments_; }
  int64_t rows() const { return rows_; }      // tokens of all images
  int64_t asking() const { return asking_; }  // those that ask; rows of a matrix that holds these alone
  bool all_ask() const { return asking_ == rows_; }
  int64_t longest() const { return longest_; }  // tokens of an image, at most
  int64_t longest_asking() const { return longest_asking_; }
  // int32 on the device, [images + 1]: the row that each image begins at, and the row among those that ask.
  const at::Tensor& row_offsets() const { return row_offsets_; }
  const at::Tensor& asking_offsets() const { return asking_offsets_; }

  // Views of one segment: of [rows, D] as [images, tokens, D], of [asking rows, D] as [images, asking, D].
  at::Tensor tokens_of(size_t segment, const at::Tensor& rows) const;
  at::Tensor asking_of(size_t segment, const at::Tensor& asking_rows) const;
  // Of [rows, D] those that ask, [images, asking, D].
  at::Tensor asking_tokens_of(size_t segment, const at::Tensor& rows) const;
  // asking_rows[...] = rows[...] for all segments.
  void copy_asking(const at::Tensor& rows, const at::Tensor& asking_rows) const;

 private:
  std::vector<Segment> segments_;
  std::vector<int64_t> first_row_, first_asking_;  // of each segment
  int64_t rows_ = 0, asking_ = 0, longest_ = 0, longest_asking_ = 0;
  at::Tensor row_offsets_, asking_offsets_;
};

}  // namespace udi
