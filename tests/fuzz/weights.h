// What is done with tensors that a hostile file gave.
#pragma once

#include <cstdlib>

#include "base/error.h"
#include "fuzz/memory_file.h"
#include "weights/names.h"

namespace udi_test {

// Reads every byte, so that one outside of the file is seen.
inline void touch(const std::vector<udi::TensorView>& tensors) {
  for (const udi::TensorView& tensor : tensors) {
    if (uint64_t(tensor.elements()) * udi::dtype_size(tensor.dtype) != tensor.bytes) std::abort();
    const auto* bytes = static_cast<const volatile uint8_t*>(tensor.data);
    for (uint64_t i = 0; i < tensor.bytes; ++i) (void)bytes[i];
  }
}

// The whole way of other people's weights: names, and what the shapes tell.
inline void import(const uint8_t* data, size_t size, const udi::ImportOptions& options) {
  const MemoryFile file(data, size);
  try {
    const udi::ImportedWeights weights = udi::import_weights(file.path(), options);
    touch(weights.tensors);
    if (weights.center.data) touch({weights.center});
    (void)weights.model_config.dump();
    touch(udi::export_timm(weights.tensors, true).tensors);
  } catch (const udi::Error&) {
  }
}

}  // namespace udi_test
