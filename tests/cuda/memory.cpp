#include "memory.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "check.h"
#include "half.h"

#ifndef UDI_CUDA_EMULATE
#include <cuda_runtime_api.h>
#endif

namespace udi::cuda::test {

// ---- The device --------------------------------------------------------------------------------------------------

#ifdef UDI_CUDA_EMULATE

std::string missing_device() { return ""; }

Bytes::Bytes(size_t size, size_t offset) : size_(size) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 16, size + offset) != 0) std::abort();
  memory_.reset(memory, std::free);
  at_ = static_cast<char*>(memory) + offset;
  std::memset(memory, 0xff, size + offset);  // NaN in every type, as fresh memory may hold
}

void Bytes::put(const void* from) const {
  if (size_) std::memcpy(at_, from, size_);
}

void Bytes::get(void* to) const {
  if (size_) std::memcpy(to, at_, size_);
}

#else

namespace {

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  failure(what, 0, cudaGetErrorString(error));
}

}  // namespace

std::string missing_device() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return std::string("no GPU (") + cudaGetErrorString(error) + ")";
  return count > 0 ? "" : "no GPU";
}

Bytes::Bytes(size_t size, size_t offset) : size_(size) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, size + offset + 1), "cudaMalloc");
  memory_.reset(memory, [](void* p) { cudaFree(p); });
  at_ = static_cast<char*>(memory) + offset;
  check_cuda(cudaMemset(memory, 0xff, size + offset), "cudaMemset");
}

void Bytes::put(const void* from) const {
  check_cuda(cudaMemcpy(at_, from, size_, cudaMemcpyHostToDevice), "copy to the GPU");
}

void Bytes::get(void* to) const {
  check_cuda(cudaDeviceSynchronize(), "a kernel");
  check_cuda(cudaMemcpy(to, at_, size_, cudaMemcpyDeviceToHost), "copy from the GPU");
}

#endif

// ---- Numbers -----------------------------------------------------------------------------------------------------

namespace {

double kept(double number, Type type) {
  switch (type) {
    case Type::kFloat:
      return float(number);
    case Type::kHalf:
      return half_to_float(float_to_half(float(number)));
    case Type::kBFloat16:
      return bfloat16_to_float(float_to_bfloat16(float(number)));
    case Type::kByte:
      return uint8_t(number);
  }
  std::abort();
}

}  // namespace

size_t size_of(Type type) { return type == Type::kFloat ? 4 : type == Type::kByte ? 1 : 2; }

double epsilon_of(Type type) {
  return type == Type::kFloat ? 0x1p-24 : type == Type::kHalf ? 0x1p-11 : type == Type::kBFloat16 ? 0x1p-8 : 0;
}

const char* name_of(Type type) {
  return type == Type::kFloat      ? "float32"
         : type == Type::kHalf     ? "float16"
         : type == Type::kBFloat16 ? "bfloat16"
                                   : "uint8";
}

Numbers rounded(const Numbers& numbers, Type type) {
  Numbers out;
  for (const double number : numbers) out.push_back(kept(number, type));
  return out;
}

Array::Array(Type type, const Numbers& numbers, bool shifted)
    : type_(type), count_(numbers.size()), bytes_(numbers.size() * size_of(type), shifted ? size_of(type) : 0) {
  std::vector<char> raw(count_ * size_of(type));
  for (size_t i = 0; i < count_; ++i) {
    const float number = float(numbers[i]);
    const uint16_t bits = type == Type::kHalf ? float_to_half(number) : float_to_bfloat16(number);
    const uint8_t byte = type == Type::kByte ? uint8_t(numbers[i]) : 0;
    const void* const from = type == Type::kFloat  ? static_cast<const void*>(&number)
                             : type == Type::kByte ? static_cast<const void*>(&byte)
                                                   : static_cast<const void*>(&bits);
    std::memcpy(raw.data() + i * size_of(type), from, size_of(type));
  }
  bytes_.put(raw.data());
}

Numbers Array::get() const {
  std::vector<char> raw(count_ * size_of(type_));
  bytes_.get(raw.data());
  Numbers out(count_);
  for (size_t i = 0; i < count_; ++i) {
    float number = 0;
    uint16_t bits = 0;
    uint8_t byte = 0;
    void* const to = type_ == Type::kFloat  ? static_cast<void*>(&number)
                     : type_ == Type::kByte ? static_cast<void*>(&byte)
                                            : static_cast<void*>(&bits);
    std::memcpy(to, raw.data() + i * size_of(type_), size_of(type_));
    out[i] = type_ == Type::kFloat  ? number
             : type_ == Type::kByte ? byte
             : type_ == Type::kHalf ? half_to_float(bits)
                                    : bfloat16_to_float(bits);
  }
  return out;
}

Numbers Draw::normal(int64_t count, double scale) {
  std::normal_distribution<double> distribution(0, scale);
  Numbers out(static_cast<size_t>(count));
  for (double& number : out) number = distribution(engine_);
  return out;
}

const Kernels& kernels() { return *udi_cuda_kernels(); }

void expect_close(const char* file, int line, const char* what, const Numbers& got, const Numbers& want,
                  double relative, double absolute) {
  if (got.size() != want.size()) return failure(file, line, std::string(what) + " has another size");
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(want[i])) continue;
    if (got[i] == want[i] || std::fabs(got[i] - want[i]) <= relative * std::fabs(want[i]) + absolute) continue;
    char text[200];
    std::snprintf(text, sizeof text, "%s[%zu] is %.9g, must be %.9g (within %.2g of it plus %.2g)", what, i, got[i],
                  want[i], relative, absolute);
    return failure(file, line, text);
  }
}

void expect_done(const char* file, int line, const udi_cuda_status& status) {
  if (status.code != 0) failure(file, line, status.text);
}

}  // namespace udi::cuda::test
