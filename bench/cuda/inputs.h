// What the cases are made of: memory of the device with something in it, never given back.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "cases.h"
#include "half.h"

namespace udi::cuda::bench {

inline char* bytes(int64_t size) {
  void* at = nullptr;
  check(cudaMalloc(&at, size_t(size)), "cudaMalloc");
  return static_cast<char*>(at);
}

// Random numbers around 0; a million of them again and again.
inline void* numbers(int64_t count, Type type, double scale = 1) {
  std::mt19937 engine(7);
  std::normal_distribution<float> normal(0, float(scale));
  const int64_t period = std::min<int64_t>(count, 1 << 20);
  const int64_t each = type == Type::kFloat ? 4 : type == Type::kByte ? 1 : 2;
  std::vector<char> host(size_t(period * each));
  for (int64_t i = 0; i < period; ++i) {
    const float x = normal(engine);
    const uint32_t bits = type == Type::kFloat  ? bits_of(x)
                          : type == Type::kHalf ? float_to_half(x)
                          : type == Type::kByte ? engine() & 255
                                                : float_to_bfloat16(x);
    std::memcpy(&host[size_t(i * each)], &bits, size_t(each));
  }
  char* const at = bytes(count * each);
  for (int64_t i = 0; i < count; i += period)
    check(cudaMemcpy(at + i * each, host.data(), size_t(std::min(period, count - i) * each), cudaMemcpyHostToDevice),
          "copy to the GPU");
  return at;
}

inline float* floats(int64_t count, double scale = 1) {
  return static_cast<float*>(numbers(count, Type::kFloat, scale));
}

template <class T>
T* items(const std::vector<T>& host) {
  char* const at = bytes(int64_t(host.size() * sizeof(T)));
  check(cudaMemcpy(at, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "copy to the GPU");
  return reinterpret_cast<T*>(at);
}

inline std::string shape_text(std::initializer_list<int64_t> extents) {
  std::string out;
  for (const int64_t extent : extents) out += (out.empty() ? "" : " x ") + std::to_string(extent);
  return out;
}

}  // namespace udi::cuda::bench
