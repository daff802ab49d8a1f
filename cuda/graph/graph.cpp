#include "graph.h"

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <string>

namespace udi::cuda {

struct Graph {
  c10::cuda::CUDAStream side, before;
  at::cuda::CUDAEvent reached;
  std::unique_ptr<at::cuda::CUDAGraph> captured;
  c10::MempoolId_t pool;  // its memory
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
    *out = new Graph{c10::cuda::getStreamFromPool(false, index), c10::cuda::getCurrentCUDAStream(index), {}, {}, {}};
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

// LibTorch 2.11 leaves its allocators recording where CUDA refuses a capture, and every later one fails, too.
template <class End, class Release>
void end_allocation(const End& end, const Release& release) {
  try {
    end();
    release();
  } catch (const std::exception&) {  // it was not recording
  }
}

void drop(Graph* graph) {
  const c10::DeviceIndex device = graph->side.device_index();
  at::HostAllocator* const host = at::getHostAllocator(at::kCUDA);
  end_allocation([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(device, graph->pool); },
                 [&] { c10::cuda::CUDACachingAllocator::releasePool(device, graph->pool); });
  end_allocation([&] { host->end_allocate_to_pool(graph->pool); }, [] {});
  graph->captured.reset();
}

// Other threads of the host go on to allocate meanwhile: the capture is this thread's alone. Memory that LibTorch keeps for
// later goes back first: within a capture it can neither use nor return it.
udi_cuda_status begin(Graph* graph) {
  const c10::cuda::CUDAGuard device(graph->side.device_index());
  const udi_cuda_status status = guard([&] {
    graph->captured.reset();
    c10::cuda::CUDACachingAllocator::emptyCache();
    graph->captured = std::make_unique<at::cuda::CUDAGraph>();
    graph->pool = at::cuda::graph_pool_handle();
    graph->captured->capture_begin(graph->pool, cudaStreamCaptureModeThreadLocal);
  });
  if (status.code != 0 && graph->captured) drop(graph);
  return status;
}

udi_cuda_status end(Graph* graph) {
  const c10::cuda::CUDAGuard device(graph->side.device_index());
  const udi_cuda_status status = guard([&] { graph->captured->capture_end(); });
  if (status.code != 0) drop(graph);
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
