// Memory of the device, or plain memory where kernels are emulated: exactly as large as asked for, so that
// compute-sanitizer and AddressSanitizer see what goes beyond. Numbers go in and come out as double.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels.h"

namespace udi::cuda::test {

#ifdef UDI_CUDA_EMULATE
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

// Why no test can run; empty: they can.
std::string missing_device();

// Bytes on the device, at an address that is a multiple of 16 plus `offset`.
class Bytes {
 public:
  explicit Bytes(size_t size, size_t offset = 0);
  void* at() const { return at_; }
  void put(const void* from) const;
  void get(void* to) const;  // after all work that is queued; a failure of it is a failure of the test

 private:
  std::shared_ptr<void> memory_;
  char* at_;
  size_t size_;
};

using Numbers = std::vector<double>;

size_t size_of(Type type);
// What remains of numbers that were kept in `type`.
Numbers rounded(const Numbers& numbers, Type type);
// The largest relative error of rounding to `type`.
double epsilon_of(Type type);
const char* name_of(Type type);

// An array of numbers on the device. shifted: its address is no multiple of 16, so that the slow path is taken.
class Array {
 public:
  Array(Type type, const Numbers& numbers, bool shifted = false);
  template <class T = void>
  T* at() const {
    return static_cast<T*>(bytes_.at());
  }
  Numbers get() const;

 private:
  Type type_;
  size_t count_;
  Bytes bytes_;
};

// An array of integers and structs, as they are.
template <class T>
class Items {
 public:
  explicit Items(const std::vector<T>& items) : count_(items.size()), bytes_(items.size() * sizeof(T)) {
    bytes_.put(items.data());
  }
  T* at() const { return static_cast<T*>(bytes_.at()); }
  std::vector<T> get() const {
    std::vector<T> items(count_);
    bytes_.get(items.data());
    return items;
  }

 private:
  size_t count_;
  Bytes bytes_;
};

// Random numbers of a test: normal, times `scale`.
class Draw {
 public:
  explicit Draw(uint64_t seed) : engine_(seed) {}
  Numbers normal(int64_t count, double scale = 1);
  int64_t below(int64_t limit) { return std::uniform_int_distribution<int64_t>(0, limit - 1)(engine_); }
  double uniform() { return std::uniform_real_distribution<double>(0, 1)(engine_); }

 private:
  std::mt19937_64 engine_;
};

// The kernels under test.
const Kernels& kernels();

// |got - want| <= relative |want| + absolute for every number, NaN equal to NaN; says where it is not.
void expect_close(const char* file, int line, const char* what, const Numbers& got, const Numbers& want,
                  double relative, double absolute);
void expect_done(const char* file, int line, const udi_cuda_status& status);

}  // namespace udi::cuda::test

#define EXPECT_CLOSE(got, want, relative, absolute) \
  ::udi::cuda::test::expect_close(__FILE__, __LINE__, #got, got, want, relative, absolute)
#define EXPECT_DONE(status) ::udi::cuda::test::expect_done(__FILE__, __LINE__, status)
