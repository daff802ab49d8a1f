#include "dist/nccl_api.h"

#include <dlfcn.h>

#include <type_traits>

#include "base/error.h"

namespace udi::nccl {
namespace {

constexpr int kOldest = 21800, kTooNew = 30000;

c10::DeviceType taken = c10::kCUDA;
std::string file = "libnccl.so.2";

struct Opened {
  Api api;
  int version = 0;
};

Opened open() {
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays: it has threads of its own
  check(library, UDI_E_DEVICE, "ranks on GPUs need NCCL, which does not load (LibTorch for CUDA brings it along): ",
        library ? "" : dlerror());
  Opened opened;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
    check(function, UDI_E_DEVICE, file, " has no ", name, ": it is not NCCL, or one older than 2.18");
  };
  Api& api = opened.api;
  find(api.GetVersion, "ncclGetVersion");
  find(api.GetUniqueId, "ncclGetUniqueId");
  find(api.CommInitRankConfig, "ncclCommInitRankConfig");
  find(api.AllReduce, "ncclAllReduce");
  find(api.CommGetAsyncError, "ncclCommGetAsyncError");
  find(api.CommFinalize, "ncclCommFinalize");
  find(api.CommDestroy, "ncclCommDestroy");
  find(api.CommAbort, "ncclCommAbort");
  find(api.GetErrorString, "ncclGetErrorString");
  find(api.GetLastError, "ncclGetLastError");
  const Result result = api.GetVersion(&opened.version);
  check(result == Result::kSuccess, UDI_E_DEVICE, "ncclGetVersion: ", api.GetErrorString(result));
  const int v = opened.version;
  check(v >= kOldest && v < kTooNew, UDI_E_DEVICE, file, " is NCCL ", v / 10000, ".", v / 100 % 100, ".", v % 100,
        "; libudi works with 2.18 and later ones of NCCL 2");
  return opened;
}

// A failure is tried again at the next call.
const Opened& opened() {
  static const Opened once = open();
  return once;
}

}  // namespace

void use(c10::DeviceType device, const std::string& library) {
  taken = device;
  file = library;
}

bool takes(c10::Device device) { return device.type() == taken; }

const Api& api() { return opened().api; }
int version() { return opened().version; }

}  // namespace udi::nccl
