// A test runner without dependencies, for machines that have CUDA and nothing else. A test is a function with a name;
// expectations that fail are printed and counted.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace udi::cuda::test {

struct Case {
  const char* name;
  void (*run)();
  bool gpu_only;  // too large to be emulated
};
std::vector<Case>& cases();
struct Register {
  Register(const char* name, void (*run)(), bool gpu_only) { cases().push_back({name, run, gpu_only}); }
};

// Of the test that runs.
void failure(const char* file, int line, const std::string& text);
bool failed();

}  // namespace udi::cuda::test

#define UDI_CASE(name, gpu_only)                                                   \
  static void name();                                                              \
  static const ::udi::cuda::test::Register register_##name(#name, name, gpu_only); \
  static void name()
#define CUDA_TEST(name) UDI_CASE(name, false)
#define CUDA_TEST_ON_GPU(name) UDI_CASE(name, true)
#define EXPECT(condition) \
  if (!(condition)) ::udi::cuda::test::failure(__FILE__, __LINE__, #condition)
