// Sums over ranks of what lies on their GPUs, by NCCL: on a stream of its own, beside the caller's. One GPU a rank.
//
// Nothing here waits for ever: what is begun is watched, and aborted once a rank is lost or time is up. Errors: Error
// (UDI_E_DEVICE) is this rank's own, with NCCL's words; any other exception says that another rank, or the way to it, is
// gone. After either the link is of no use, and the GPU no longer writes to a tensor that it was given.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dist/nccl_api.h"
#include "model/aten.h"

namespace udi {

class NcclLink {
 public:
  // What all ranks must know to meet: made by one.
  static std::string new_id();

  // All ranks at once. timeout: seconds, for any wait; lost: whether another rank may be gone; called often.
  NcclLink(at::Device device, int64_t rank, int64_t world, const std::string& id, double timeout,
           std::function<bool()> lost);
  ~NcclLink();

  at::Device device() const { return device_; }

  // In place, after what the caller's current stream has been given so far; returns without waiting for either.
  void sum_later(const at::Tensor& values);
  void wait();  // until the sums are there

  void abort();

 private:
  void begin(const char* call, nccl::Result result);
  void until(const char* call, double seconds, const std::function<bool()>& done);
  void until_queued(const char* call);
  template <class Body>
  void or_abort(Body&& body);

  const at::Device device_;
  const double timeout_;
  const std::function<bool()> lost_;
  nccl::Communicator* communicator_ = nullptr;
  std::optional<c10::Stream> side_;  // none on the CPU
  std::vector<at::Tensor> pending_;
};

}  // namespace udi
