#include "model/replay.h"

#include "base/error.h"

namespace udi {

Replay::Replay(at::Device device) : device_(device) {
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
  if (!kernels::graphs() || refused_) return body();
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
  refused_ = true;
  if (graph_) {
    // This thread may be another one than the bodies' before: what its products need is not to be made in the recording.
    const at::Tensor number = at::ones({1, 1}, at::TensorOptions(device_));
    at::mm(number, number);
    kernels::check_queued(kernels::graph_table().begin(graph_));
    try {
      body();
    } catch (...) {
      kernels::graph_table().end(graph_);
      throw;
    }
    kernels::check_queued(kernels::graph_table().end(graph_));
  }
  refused_ = false;
  body_ = body;
}

}  // namespace udi
