#include "api/device.h"

#include <dlfcn.h>

#include <climits>
#include <cstdlib>
#include <string>

#include "ATen/Context.h"
#include "base/error.h"
#include "dist/launcher.h"
#include "model/kernels.h"

namespace udi {

namespace {

// The folder that the LibTorch of this process was loaded from; links are followed to where its CUDA part lies.
std::string torch_folder() {
  Dl_info info;
  char path[PATH_MAX];
  const auto* in_torch = reinterpret_cast<const void*>(&at::globalContext);
  check(dladdr(in_torch, &info) != 0 && realpath(info.dli_fname, path) != nullptr, UDI_E_DEVICE,
        "cannot tell which folder LibTorch was loaded from");
  const std::string file = path;
  return file.substr(0, file.rfind('/'));
}

void open_library(const std::string& path, const char* what_it_means) {
  if (!dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL)) fail(UDI_E_DEVICE, what_it_means, ": ", dlerror());
}

// Kernels of our own wait for this word until they have run on a GPU (docs/performance.md).
std::string kernels_asked_for() {
  const char* const said = std::getenv("UDI_CUDA_KERNELS");
  const std::string value = said ? said : "off";
  check(value == "off" || value == "on" || value == "graph", UDI_E_INVALID, "UDI_CUDA_KERNELS in the environment is ",
        value, ", must be off, on or graph");
  return value;
}

}  // namespace

at::Device open_device(udi_device_type type, int32_t index) {
  check(type == UDI_CPU || type == UDI_CUDA, UDI_E_INVALID, "config.device_type is ", type,
        ", must be UDI_CPU (1) or UDI_CUDA (2)");
  if (type == UDI_CPU) {
    check(index == 0, UDI_E_INVALID, "config.device_index is ", index, ", must be 0 for UDI_CPU");
    return at::kCPU;
  }
  const std::string kernels = kernels_asked_for();
  open_library("libcuda.so.1", "no NVIDIA driver");
  // Before anything asks for CUDA: the first question fixes the answer for the life of the process.
  const std::string cuda = torch_folder() + "/libtorch_cuda.so";
  open_library(cuda, "LibTorch's CUDA part does not load (build libudi with -DUDI_TORCH_DIR of a torch that has it)");
  check(at::hasCUDA(), UDI_E_DEVICE, "LibTorch was asked for CUDA before libudi could open ", cuda);
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (index == -1) index = int32_t(local_rank());
  check(index >= 0 && index < count, UDI_E_DEVICE, "config.device_index is ", index, ", there are ", count, " GPUs");
  if (kernels != "off") kernels::use(at::kCUDA);
  if (kernels == "graph") kernels::use_graphs();
  return at::Device(at::kCUDA, c10::DeviceIndex(index));
}

}  // namespace udi
