#include "model/kernels.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <atomic>

#include "base/error.h"

namespace udi::kernels {

namespace {

std::atomic<const cuda::Kernels*> opened{nullptr};
std::atomic<at::DeviceType> taken{at::kCUDA};
std::atomic<bool> recorded{false};
std::atomic<const cuda::Graphs*> opened_graphs{nullptr};

// The folder of the file that this code was loaded from.
std::string own_folder() {
  Dl_info info;
  check(dladdr(reinterpret_cast<const void*>(&use), &info) != 0, UDI_E_DEVICE, "cannot tell where libudi_core.so lies");
  const std::string file = info.dli_fname;
  return file.substr(0, file.rfind('/') + 1);
}

// The table that a library exports. It stays loaded: its work may still be queued.
template <class Table>
const Table* open_table(const std::string& path, const char* name, int32_t version, const char* what) {
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  check(handle, UDI_E_DEVICE, what, " (a build that found nvcc has them): ", handle ? "" : dlerror());
  const auto entry = reinterpret_cast<const Table* (*)()>(dlsym(handle, name));
  check(entry && entry()->version == version, UDI_E_DEVICE, path, " is of another version of libudi");
  return entry();
}

// library empty: the one beside this code.
const cuda::Kernels* open_kernels(const std::string& library) {
  const std::string path = library.empty() ? own_folder() + "libudi_cuda.so" : library;
  return open_table<cuda::Kernels>(path, "udi_cuda_kernels", cuda::kVersion, "libudi's kernels do not load");
}

}  // namespace

void use(at::DeviceType device, const std::string& library) {
  const cuda::Kernels* const table = open_kernels(library);
  taken = device;
  opened = table;
}

void leave() {
  opened = nullptr;
  recorded = false;
}

void use_graphs() {
  check(opened.load() != nullptr, UDI_E_INTERNAL, "graphs without kernels");
  if (taken.load() == at::kCUDA) {
    opened_graphs = open_table<cuda::Graphs>(own_folder() + "libudi_cuda_graph.so", "udi_cuda_graphs",
                                             cuda::kGraphVersion, "libudi's CUDA graphs do not load");
  }
  recorded = true;
}

bool graphs() { return recorded.load(std::memory_order_relaxed); }

const cuda::Graphs& graph_table() { return *opened_graphs.load(std::memory_order_acquire); }

bool take(const at::Tensor& weights) { return take_activations(weights) && weights.scalar_type() == at::kFloat; }

bool take_activations(const at::Tensor& rows) {
  const at::ScalarType type = rows.scalar_type();
  return opened.load(std::memory_order_relaxed) && rows.device().type() == taken.load(std::memory_order_relaxed) &&
         (type == at::kFloat || type == at::kHalf || type == at::kBFloat16);
}

const cuda::Kernels& augmentation(at::Device device) {
  const cuda::Kernels* const on = opened.load(std::memory_order_acquire);
  if (on && taken.load(std::memory_order_relaxed) == device.type()) return *on;
  check(device.is_cuda(), UDI_E_INVALID,
        "augmentation on the device needs a GPU, and the device is the CPU: choose a GPU (--device cuda), or augment "
        "on the CPU (--augment-on cpu)");
  static const cuda::Kernels& own = *open_kernels({});
  return own;
}

const cuda::Kernels& table() { return *opened.load(std::memory_order_acquire); }

DeviceStream::DeviceStream(at::Device device) {
  if (!device.is_cuda()) return;
  current_.reset_device(device);
  const c10::impl::VirtualGuardImpl devices(c10::kCUDA);
  stream_ = static_cast<cuda::Stream>(devices.getStream(device).native_handle());
}

cuda::Type type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return cuda::Type::kFloat;
    case at::kHalf:
      return cuda::Type::kHalf;
    case at::kBFloat16:
      return cuda::Type::kBFloat16;
    case at::kByte:
      return cuda::Type::kByte;
    default:
      fail(UDI_E_INTERNAL, "kernels do not know the type ", c10::toString(tensor.scalar_type()));
  }
}

void check_queued(const udi_cuda_status& status) {
  check(status.code == 0, status.code == 1 ? UDI_E_INTERNAL : UDI_E_DEVICE, status.text);
}

}  // namespace udi::kernels
