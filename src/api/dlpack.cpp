// DLPack 1 in and out: memory changes hands, nothing is copied.
#include "ATen/DLConvertor.h"
#include "ATen/dlpack.h"
#include "api/arrays.h"
#include "api/guard.h"
#include "api/structs.h"

using namespace udi;

namespace {

udi_dtype dtype_of(const DLDataType& type) {
  struct Known {
    uint8_t code, bits;
    udi_dtype dtype;
  };
  constexpr Known kKnown[] = {{kDLUInt, 8, UDI_U8},   {kDLUInt, 16, UDI_U16},   {kDLInt, 32, UDI_I32},
                              {kDLInt, 64, UDI_I64},  {kDLFloat, 16, UDI_F16},  {kDLBfloat, 16, UDI_BF16},
                              {kDLFloat, 32, UDI_F32}, {kDLFloat, 64, UDI_F64}};
  for (const Known& known : kKnown) {
    if (type.lanes == 1 && type.code == known.code && type.bits == known.bits) return known.dtype;
  }
  fail(UDI_E_UNSUPPORTED, "managed.dl_tensor.dtype is of code ", int(type.code), ", ", int(type.bits), " bits and ",
       type.lanes, " lanes, must be one of udi_dtype, of 1 lane");
}

udi_array array_of(const DLTensor& tensor) {
  udi_array a{};
  a.struct_size = sizeof a;
  a.dtype = dtype_of(tensor.dtype);
  const int type = tensor.device.device_type;
  check(type == kDLCPU || type == kDLCUDA, UDI_E_DEVICE, "managed.dl_tensor.device is of type ", type,
        ", must be kDLCPU (1) or kDLCUDA (2)");
  a.device_type = type == kDLCPU ? UDI_CPU : UDI_CUDA;
  a.device_index = type == kDLCPU ? 0 : tensor.device.device_id;
  a.ndim = tensor.ndim;
  a.shape = tensor.shape;
  a.strides = tensor.strides;
  a.data = tensor.data ? static_cast<char*>(tensor.data) + tensor.byte_offset : nullptr;
  return a;
}

}  // namespace

udi_status udi_tensor_to_dlpack(const udi_tensor* tensor, DLManagedTensorVersioned** out, udi_error* error) {
  return guard(context_of(tensor), error, [&] {
    require(tensor, "tensor");
    require(out, "out");
    *out = at::toDLPackVersioned(tensor->tensor);
  });
}

udi_status udi_tensor_from_dlpack(udi_context* context, DLManagedTensorVersioned* managed, udi_tensor** out,
                                  udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(managed, "managed");
    require(out, "out");
    check(managed->version.major == 1, UDI_E_VERSION, "managed.version is ", managed->version.major, ".",
          managed->version.minor, ", libudi reads DLPack 1");
    const udi_array array = array_of(managed->dl_tensor);
    *out = own(context->context, array, "managed.dl_tensor", [managed] {
      if (managed->deleter) managed->deleter(managed);
    });
  });
}
