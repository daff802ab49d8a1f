// Before main: kernels, emulated, take tensors of the CPU.
#include "model/kernels.h"

namespace udi {
namespace {

[[maybe_unused]] const bool on = [] {
  kernels::use(at::kCPU, UDI_KERNELS);
  return true;
}();

}  // namespace
}  // namespace udi
