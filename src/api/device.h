// The device that a context asks for.
#pragma once

#include "model/aten.h"
#include "udi.h"

namespace udi {

// UDI_CUDA opens LibTorch's CUDA libraries if they are not open yet. UDI_E_DEVICE says which part is missing.
at::Device open_device(udi_device_type type, int32_t index);

}  // namespace udi
