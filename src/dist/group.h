// The ranks of a distributed run and what they exchange. Every rank makes the same calls in the same order; all but
// sum_later() return when this rank's part is done. Tensors are contiguous, of the same size everywhere, and on the CPU,
// but for sums after use_device().
//
// When a rank is gone, or does not come within the timeout, every call fails with UDI_E_IO and a message that names it,
// and so does every later one.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/host.h"
#include "dist/launcher.h"
#include "model/aten.h"

namespace udi {

class Group {
 public:
  // Waits until all ranks have come. A group of one connects to nothing. UDI_E_INVALID: settings, two processes of one
  // rank, or ranks that do not agree on their number; UDI_E_IO: who has not come; UDI_E_CANCELLED.
  Group(const GroupSettings& settings, const Host& host);
  explicit Group() : Group(alone(), Host()) {}
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int64_t rank() const { return rank_; }
  int64_t world() const { return world_; }
  bool first() const { return rank_ == 0; }
  int64_t bucket_bytes() const { return bucket_bytes_; }

  // Sums of tensors on this rank's own device go from one to the other: between GPUs by NCCL, which the first call sets
  // up; on the CPU there is nothing to set up. UDI_E_INVALID: the ranks are on devices of two kinds; UDI_E_DEVICE: no NCCL
  // that fits, or two ranks on one GPU.
  void use_device(at::Device device);

  // Runs body on every rank and waits for all. If one fails, all fail with its error, whose message and Error::rank say
  // which; each rank's words else, in the order of the ranks.
  using Words = std::array<int64_t, 8>;
  std::vector<Words> agree(const std::function<void(Words& mine)>& body);
  void agree_on(const std::function<void()>& body);  // without words

  void sum(const at::Tensor& values);  // in place
  // The same, going on beside the caller until wait(); from any thread, one at a time.
  void sum_later(const at::Tensor& values);
  void wait();

  void broadcast(const at::Tensor& values);                                            // rank 0's, to all
  std::vector<at::Tensor> gather(const at::Tensor& values, bool to_first_only = false);  // of each rank; else empty
  std::vector<std::string> gather_text(const std::string& mine);
  std::string broadcast_text(const std::string& of_first);

  // This rank leaves for a reason that the others cannot know: what they will say when they miss it.
  void leave(const std::string& why);

 private:
  struct Link;

  static GroupSettings alone();
  void meet(const Place& place, const Host& host);
  template <class Body>
  void exchange(Body&& body);
  [[noreturn]] void fail_lost(const std::string& reason);
  [[noreturn]] void fail_here(Error error);

  int64_t rank_ = 0, world_ = 1, bucket_bytes_ = 0;
  double timeout_ = 0;
  bool keeps_store_ = false;
  std::string lost_;  // not empty: nothing works any more, and why
  std::unique_ptr<Link> link_;  // null: a group of one
};

// body with a group, or alone. agree_with_first: rank 0's words.
inline void agree_on(Group* group, const std::function<void()>& body) { group ? group->agree_on(body) : body(); }
inline Group::Words agree_with_first(Group* group, const std::function<void(Group::Words& mine)>& body) {
  Group::Words own{};
  if (group) return group->agree(body)[0];
  body(own);
  return own;
}

}  // namespace udi
