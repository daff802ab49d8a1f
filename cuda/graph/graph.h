// What libudi_cuda_graph.so offers: CUDA graphs by LibTorch, whose allocator and products must know of a capture,
// behind one exported table. No header of CUDA or LibTorch is needed to include this. Unlike libudi_cuda.so it needs
// LibTorch's CUDA part in the process, of the minor version that it was built with.
#pragma once

#include "../kernels.h"

namespace udi::cuda {

struct Graph;  // the library's: a stream of its own, and what was captured on it

// One thread at a time. code 2: LibTorch or CUDA refused; `text` is valid until the thread's next call.
struct Graphs {
  int32_t version;  // kGraphVersion of the header that the library was built with; another one must not be used
  udi_cuda_status (*create)(int32_t device, Graph** out);
  // The graph's stream becomes LibTorch's current one, after what was queued on the one before; and back.
  udi_cuda_status (*enter)(Graph*);
  udi_cuda_status (*leave)(Graph*);
  // Entered: between them work is recorded instead of run. Memory that LibTorch's operators give out then belongs to
  // the graph. begin drops what was captured before; after a failure within, end leaves nothing captured.
  udi_cuda_status (*begin)(Graph*);
  udi_cuda_status (*end)(Graph*);
  udi_cuda_status (*replay)(Graph*);  // entered
  void (*free)(Graph*);               // ignores null
};

constexpr int32_t kGraphVersion = 1;

}  // namespace udi::cuda

// The one symbol that the library exports; never null.
extern "C" const udi::cuda::Graphs* udi_cuda_graphs(void);
