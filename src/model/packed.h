// Linear layers on the CPU in float32, by the kernels of gemm.h: weights packed once, products split over the threads
// of the calling one.
#pragma once

#include <functional>
#include <memory>

#include "model/aten.h"
#include "model/gemm.h"
#include "model/narrow_linear.h"

namespace udi {

// A layer's weights as the kernels read them, beside the weights themselves. What packs it first and what uses it then
// are told apart by Parameters.
struct PackedLinear {
  const gemm::Kernels* kernels = nullptr;
  at::Tensor memory;
  int64_t depth = 0;     // inputs
  bool current = false;  // whether it is what the weights are
  // Where products are in fewer bits; then nothing else is set.
  std::shared_ptr<const NarrowLinear> narrow = nullptr;

  // weight: [out, in], contiguous. Packs into the memory that it has, if any.
  void pack(const at::Tensor& weight);
  // The packed panels from this output on; null where none begins there, or it is not current.
  const float* from(int64_t output) const;
};

// This product, cut into parts for all threads that the caller may use: body(part, row, column) computes `part`, which
// begins at that row and column. Neither their number nor how they share it changes a bit.
using ProductPart = std::function<void(const gemm::Product& part, int64_t row, int64_t column)>;
void over_threads(const gemm::Kernels& kernels, const gemm::Product& product, const ProductPart& body);
void run_product(const gemm::Kernels& kernels, const gemm::Product& product);
// The same by another kernel for the panels and tiles of `kernels`.
void run_product(const gemm::Kernels& kernels, void (*kernel)(const gemm::Product&), const gemm::Product& product);

}  // namespace udi
