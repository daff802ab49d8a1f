// The safetensors reader on any bytes, and what becomes of its tensors as weights.
#include "fuzz/weights.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const udi::SafetensorsFile file("fuzz", data, size, {});
    udi_test::touch(file.tensors());
    for (const udi::TensorView& tensor : file.tensors()) {
      if (file.find(tensor.name) != &tensor) std::abort();
    }
  } catch (const udi::Error&) {
    return 0;
  }
  udi::ImportOptions options;
  options.heads = 1;
  options.srs_heads = 1;
  udi_test::import(data, size, options);
  return 0;
}
