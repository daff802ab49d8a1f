// The storages of torch's tensors by the names that pickles have for them.
#pragma once

#include "base/safetensors.h"

namespace udi {

struct StorageType {
  const char* name;  // "module name"
  udi_dtype dtype;
};

constexpr StorageType kStorageTypes[] = {{"torch FloatStorage", UDI_F32},     {"torch HalfStorage", UDI_F16},
                                         {"torch BFloat16Storage", UDI_BF16}, {"torch DoubleStorage", UDI_F64},
                                         {"torch LongStorage", UDI_I64},      {"torch IntStorage", UDI_I32},
                                         {"torch ShortStorage", kI16},        {"torch CharStorage", kI8},
                                         {"torch ByteStorage", UDI_U8},       {"torch BoolStorage", kBool}};

}  // namespace udi
