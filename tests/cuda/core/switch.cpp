// Before any test: kernels, emulated, take tensors of the CPU.
#include <gtest/gtest.h>

#include "model/kernels.h"

namespace udi {
namespace {

class Switch : public testing::Environment {
  void SetUp() override { kernels::use(at::kCPU, UDI_KERNELS); }
  void TearDown() override { kernels::leave(); }
};
[[maybe_unused]] const auto* const added = testing::AddGlobalTestEnvironment(new Switch);

}  // namespace
}  // namespace udi
