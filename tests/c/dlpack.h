/* DLPack 1 as its specification has it; libudi's header needs none of it. */
#ifndef DLPACK_H
#define DLPACK_H

#include "support.h"

typedef struct {
  void* data;
  struct {
    int32_t device_type, device_id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} dl_tensor;

struct DLManagedTensorVersioned {
  struct {
    uint32_t major, minor;
  } version;
  void* manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned* self);
  uint64_t flags;
  dl_tensor dl_tensor;
};
typedef struct DLManagedTensorVersioned managed_tensor;

enum { INT = 0, UINT = 1, FLOAT = 2, BFLOAT = 4, COMPLEX = 5 };

/* Somebody else's memory, row by row. */
static inline managed_tensor managed_of(void* data, int code, int bits, int64_t* shape, int ndim,
                                        void (*deleter)(managed_tensor*), void* user) {
  managed_tensor managed;
  memset(&managed, 0, sizeof managed);
  managed.version.major = 1;
  managed.manager_ctx = user;
  managed.deleter = deleter;
  managed.dl_tensor.data = data;
  managed.dl_tensor.device.device_type = 1;
  managed.dl_tensor.ndim = ndim;
  managed.dl_tensor.dtype.code = (uint8_t)code;
  managed.dl_tensor.dtype.bits = (uint8_t)bits;
  managed.dl_tensor.dtype.lanes = 1;
  managed.dl_tensor.shape = shape;
  return managed;
}

#endif
