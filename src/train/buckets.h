// The gradients of a step summed over strands and ranks, piece by piece while the backward pass goes on: a piece is sent
// as soon as every strand has added its last to it.
#pragma once

#include <mutex>
#include <vector>

#include "dist/group.h"

namespace udi {

class GradientBuckets {
 public:
  // group outlives this.
  explicit GradientBuckets(Group& group) : group_(group) {}

  // A new step. gradients: of each strand, flat, of one size; the first gets the sum.
  void begin(std::vector<at::Tensor> gradients);

  // The strand's gradients are complete from this element on; from any thread.
  void ready(size_t strand, int64_t first_element);

  // Sends what is left, whether it is complete or not, and waits: every rank has sent the same then, so that a rank that
  // failed holds nobody up. UDI_E_IO.
  void finish();

  bool finite() const;  // of this rank's own gradients; waits for the device

 private:
  void send_from(int64_t first_element);

  Group& group_;
  std::mutex mutex_;  // guards what follows
  std::vector<at::Tensor> gradients_;
  std::vector<int64_t> ready_;  // of each strand
  int64_t sent_ = 0;            // elements from here on are on their way
  bool finite_ = true;
  at::Tensor finite_there_;     // on a GPU: asked for at the end, since asking waits
};

}  // namespace udi
