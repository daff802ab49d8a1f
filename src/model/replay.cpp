#include "model/replay.h"

#include "base/error.h"

namespace udi {

Replay::Replay(at::Device device) {
  if (kernels::graphs() && device.is_cuda())
    kernels::check_queued(kernels::graph_table().create(device.index(), &graph_));
}

Replay::~Replay() {
  if (graph_) kernels::graph_table().free(graph_);
}

Replay::Scope::Scope(const Replay& replay) : graph_(replay.graph_) {
  if (graph_) kernels::check_queued(kernels::graph_table().enter(replay.graph_));
}

Replay::Scope::~Scope() {
  if (graph_) kernels::graph_table().leave(const_cast<cuda::Graph*>(graph_));
}

void Replay::run(bool same, const std::function<void()>& body) {
  if (!kernels::graphs()) return body();
  if (!same) {
    body_ = {};
    seen_ = 0;
  }
  if (!body_ && seen_ < kWarmUp) {
    ++seen_;
    return body();
  }
  if (!body_) record(body);
  if (graph_) return kernels::check_queued(kernels::graph_table().replay(graph_));
  body_();
}

// On CUDA nothing of the body happens yet.
void Replay::record(const std::function<void()>& body) {
  if (graph_) {
    kernels::check_queued(kernels::graph_table().begin(graph_));
    try {
      body();
    } catch (...) {
      kernels::graph_table().end(graph_);
      throw;
    }
    kernels::check_queued(kernels::graph_table().end(graph_));
  }
  body_ = body;
}

}  // namespace udi
