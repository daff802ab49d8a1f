// Before main: kernels, emulated, take tensors of the CPU; with UDI_STEPS=replayed steps of equal shapes are recorded, too.
#include <cstdlib>
#include <cstring>

#include "model/kernels.h"

namespace udi {
namespace {

[[maybe_unused]] const bool on = [] {
  kernels::use(at::kCPU, UDI_KERNELS);
  const char* const steps = std::getenv("UDI_STEPS");
  if (steps && std::strcmp(steps, "replayed") == 0) kernels::use_graphs();
  return true;
}();

}  // namespace
}  // namespace udi
