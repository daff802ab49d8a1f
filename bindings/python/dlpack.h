/* What DLPack's Python side asks of C: a capsule that nobody took gives its memory back when it goes, and consumers of the
 * time before version 1 get the older struct. The layouts are DLPack's. */
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

#define UDI_CAPSULE "dltensor_versioned"
#define UDI_OLD_CAPSULE "dltensor"

typedef struct {
  void *data;
  int32_t device[2], ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} udi_python_tensor;

struct DLManagedTensorVersioned {
  uint32_t version[2];
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *);
  uint64_t flags;
  udi_python_tensor tensor;
};

typedef struct udi_python_old {
  udi_python_tensor tensor;
  void *manager_ctx;
  void (*deleter)(struct udi_python_old *);
} udi_python_old;

static void udi_python_delete_old(udi_python_old *old) {
  struct DLManagedTensorVersioned *managed = old->manager_ctx;
  managed->deleter(managed);
  free(old);
}

static void udi_python_capsule_gone(PyObject *capsule) {
  if (PyCapsule_IsValid(capsule, UDI_CAPSULE)) {
    struct DLManagedTensorVersioned *managed = PyCapsule_GetPointer(capsule, UDI_CAPSULE);
    managed->deleter(managed);
  } else if (PyCapsule_IsValid(capsule, UDI_OLD_CAPSULE)) {
    udi_python_delete_old(PyCapsule_GetPointer(capsule, UDI_OLD_CAPSULE));
  }
}

/* For PyCapsule_New. */
static void *udi_python_capsule_destructor(void) { return (void *)udi_python_capsule_gone; }

/* The same memory as the older struct; NULL: no memory, and managed is as it was. */
static void *udi_python_to_old(struct DLManagedTensorVersioned *managed) {
  udi_python_old *old = malloc(sizeof *old);
  if (!old) return NULL;
  old->tensor = managed->tensor;
  old->manager_ctx = managed;
  old->deleter = udi_python_delete_old;
  return old;
}

static void udi_python_delete(struct DLManagedTensorVersioned *managed) { managed->deleter(managed); }
