// Work that is recorded once and replayed while what it reads keeps its shapes: on CUDA one graph, a single launch
// for the host; on the CPU, where tests prove that nothing of the work's own numbers is in what was recorded, run again.
#pragma once

#include <functional>

#include "model/kernels.h"

namespace udi {

class Replay {
 public:
  explicit Replay(at::Device device);
  ~Replay();
  Replay(const Replay&) = delete;

  // While it lives, what is queued goes to the graph's stream, on CUDA: a recording may not be of the default one.
  // What the body reads is moved there within it, too.
  class Scope {
   public:
    explicit Scope(const Replay& replay);
    ~Scope();
    Scope(const Scope&) = delete;

   private:
    const cuda::Graph* graph_;
  };

  // Within a scope. same: all that `body` reads lies where the last call's lay. The first kWarmUp bodies of a shape run
  // as they are, so that working memory has grown; the next is recorded, and from then on that one runs, whatever is
  // given. Without graphs (model/kernels.h) each body runs; so it does after a recording that failed.
  void run(bool same, const std::function<void()>& body);

  bool replays() const { return bool(body_); }  // what ran last was a recording

  static constexpr int kWarmUp = 2;

 private:
  void record(const std::function<void()>& body);

  const at::Device device_;
  cuda::Graph* graph_ = nullptr;  // on CUDA
  bool refused_ = false;          // a recording failed
  int seen_ = 0;                  // bodies in a row of one shape, at most kWarmUp
  std::function<void()> body_;    // recorded; empty: not yet
};

}  // namespace udi
