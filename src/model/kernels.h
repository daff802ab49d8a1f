// The kernels of libudi_cuda.so (cuda/), opened when they are switched on. Until then, and on the CPU always, the same
// passes run over ATen. The switch is the process's, not a context's: who measures or tests turns it.
#pragma once

#include <c10/core/DeviceGuard.h>

#include <string>

#include "../../cuda/graph/graph.h"
#include "../../cuda/kernels.h"
#include "model/aten.h"

namespace udi::kernels {

// From now on kernels take what lies on `device` (at::kCUDA; at::kCPU in tests, with a library whose kernels are
// emulated). library: its file; empty: libudi_cuda.so beside the library or program that this function is in.
// UDI_E_DEVICE: it is not there, or of another version.
void use(at::DeviceType device, const std::string& library = "");
// Back to ATen, and to steps without graphs.
void leave();

// Whether steps and extractions of equal shapes are recorded once and replayed (model/replay.h): off until asked for.
// On CUDA by libudi_cuda_graph.so beside libudi_cuda.so; on the CPU, for tests, what was recorded is run again.
// UDI_E_DEVICE, as use(), which comes first.
void use_graphs();
bool graphs();
const cuda::Graphs& graph_table();  // after use_graphs() on CUDA

// Whether kernels take a model whose weights are like this tensor: on their device, float32.
bool take(const at::Tensor& weights);
// Whether they take activations: on their device, float32 or 16 bits.
bool take_activations(const at::Tensor& rows);

// The table for augmentation on `device`, whatever else kernels take there. UDI_E_INVALID: the device is the CPU and
// kernels are not emulated; UDI_E_DEVICE as for use().
const cuda::Kernels& augmentation(at::Device device);

// LibTorch's current stream of a device. A launch goes to the thread's current device, whatever its stream: that is this
// one's as long as this lives, which as an argument is until the launch has returned.
class DeviceStream {
 public:
  explicit DeviceStream(at::Device device);
  operator cuda::Stream() const { return stream_; }

 private:
  c10::OptionalDeviceGuard current_;
  cuda::Stream stream_ = nullptr;
};

// After take(): the table, the stream of the tensor's device, and names of types.
const cuda::Kernels& table();
inline DeviceStream stream_of(const at::Tensor& tensor) { return DeviceStream(tensor.device()); }
cuda::Type type_of(const at::Tensor& tensor);

// UDI_E_INTERNAL where arguments are wrong, UDI_E_DEVICE where CUDA refuses.
void check_queued(const udi_cuda_status& status);

}  // namespace udi::kernels
