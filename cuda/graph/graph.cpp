#include "graph.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <string>

namespace udi::cuda {

struct Graph {
  c10::cuda::CUDAStream side, before;
  at::cuda::CUDAEvent reached;
  std::unique_ptr<at::cuda::CUDAGraph> captured;
};

namespace {

template <class Body>
udi_cuda_status guard(const Body& body) {
  thread_local std::string words;
  try {
    body();
    return {0, "done"};
  } catch (const std::exception& error) {
    words = error.what();
  } catch (...) {
    words = "something that is no exception was thrown";
  }
  return {2, words.c_str()};
}

// `after` waits for what is queued on `first`.
void order(at::cuda::CUDAEvent& event, c10::cuda::CUDAStream first, c10::cuda::CUDAStream after) {
  event.record(first);
  event.block(after);
}

udi_cuda_status create(int32_t device, Graph** out) {
  return guard([&] {
    const auto index = c10::DeviceIndex(device);
    *out = new Graph{c10::cuda::getStreamFromPool(false, index), c10::cuda::getCurrentCUDAStream(index), {}, {}};
  });
}

udi_cuda_status enter(Graph* graph) {
  return guard([&] {
    graph->before = c10::cuda::getCurrentCUDAStream(graph->side.device_index());
    order(graph->reached, graph->before, graph->side);
    c10::cuda::setCurrentCUDAStream(graph->side);
  });
}

udi_cuda_status leave(Graph* graph) {
  return guard([&] {
    c10::cuda::setCurrentCUDAStream(graph->before);
    order(graph->reached, graph->side, graph->before);
  });
}

// Other threads of the host go on to allocate meanwhile: the capture is this thread's alone.
udi_cuda_status begin(Graph* graph) {
  return guard([&] {
    graph->captured = std::make_unique<at::cuda::CUDAGraph>();
    graph->captured->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  });
}

udi_cuda_status end(Graph* graph) {
  const udi_cuda_status status = guard([&] { graph->captured->capture_end(); });
  if (status.code != 0) graph->captured.reset();
  return status;
}

udi_cuda_status replay(Graph* graph) {
  return guard([&] { graph->captured->replay(); });
}

void free_graph(Graph* graph) { delete graph; }

}  // namespace

}  // namespace udi::cuda

extern "C" __attribute__((visibility("default"))) const udi::cuda::Graphs* udi_cuda_graphs(void) {
  using namespace udi::cuda;
  static const Graphs table = {kGraphVersion, create, enter, leave, begin, end, replay, free_graph};
  return &table;
}
