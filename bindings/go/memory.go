package udi

// #include <udi.h>
//
// // The beginning of every version of DLPack's struct.
// struct udi_go_managed { uint32_t major, minor; void *context; void (*deleter)(void *); };
// static void udi_go_drop(void *managed) {
//   struct udi_go_managed *self = managed;
//   if (self && self->deleter) self->deleter(self);
// }
// void udiGoRelease(void *user);
import "C"

import (
	"context"
	"unsafe"
)

// Memory is numbers in memory that is not Go's (C's, a GPU's), where calls read them in place.
type Memory struct {
	Data        unsafe.Pointer // aligned to its elements
	Dtype       Dtype
	DeviceType  DeviceType // CPU, or the context's GPU
	DeviceIndex int32
	Shape       []int // up to 8 sizes, each at least 1
	Strides     []int // in elements, one a size, at least 0; nil: row by row
}

func (m Memory) borrow(c *call, name string) *C.udi_array {
	array := newCArray()
	array.dtype, array.device_type = C.int32_t(m.Dtype), C.int32_t(m.DeviceType)
	array.device_index = C.int32_t(m.DeviceIndex)
	array.ndim, array.shape = C.int32_t(len(m.Shape)), c.sizes(m.Shape)
	if m.Strides != nil {
		if len(m.Strides) != len(m.Shape) {
			c.fail(ErrShape, "%s has %d strides, must have %d, one a size", name, len(m.Strides), len(m.Shape))
		}
		array.strides = c.sizes(m.Strides)
	}
	array.data = m.Data
	return array
}

// WrapTensor is a Tensor over memory that is not Go's, without a copy. release, unless nil, is called once, when the memory
// is free again, on whatever goroutine or thread that is; not if WrapTensor fails. A panic in it ends the program.
func WrapTensor(host *Context, memory Memory, release func()) (*Tensor, error) {
	c := new(call)
	defer c.end()
	in, array := (*C.udi_context)(c.in(host.handle)), memory.borrow(c, "memory")
	if release == nil {
		release = func() {}
	}
	user, wrapped := keep(release), false
	t, err := c.tensor(context.Background(), host.handle, func(out **C.udi_tensor) C.udi_status {
		status := C.udi_tensor_wrap(in, array, (C.udi_release_fn)(C.udiGoRelease), user, out, &c.detail)
		wrapped = status == C.UDI_OK
		return status
	})
	if !wrapped {
		forget(user)
	}
	return t, err
}

// ToDLPack gives the tensor's memory to another library, without a copy: a DLManagedTensorVersioned of DLPack 1. It
// outlives the tensor. Whoever has it last calls its deleter.
func (t *Tensor) ToDLPack() (unsafe.Pointer, error) {
	c := new(call)
	defer c.end()
	self := (*C.udi_tensor)(c.in(t.handle))
	var out *C.struct_DLManagedTensorVersioned
	err := c.run(context.Background(), func() C.udi_status { return C.udi_tensor_to_dlpack(self, &out, &c.detail) })
	return unsafe.Pointer(out), err
}

// TensorFromDLPack takes another library's DLManagedTensorVersioned of DLPack 1, without a copy: on the CPU or on the
// context's GPU. It is the tensor's from now on, and is deleted if this fails. ErrVersion: not DLPack 1; ErrUnsupported: a
// dtype without a Dtype; ErrDevice: memory of another device.
func TensorFromDLPack(host *Context, managed unsafe.Pointer) (*Tensor, error) {
	c := new(call)
	defer c.end()
	in, given := (*C.udi_context)(c.in(host.handle)), (*C.struct_DLManagedTensorVersioned)(managed)
	taken := false
	t, err := c.tensor(context.Background(), host.handle, func(out **C.udi_tensor) C.udi_status {
		status := C.udi_tensor_from_dlpack(in, given, out, &c.detail)
		taken = status == C.UDI_OK
		return status
	})
	if !taken {
		C.udi_go_drop(managed)
	}
	return t, err
}

// SetStream sends the context's work on its GPU to this cudaStream_t; nil: the default one. It must outlive what is made
// from the context. ErrUnsupported: the context is on the CPU.
func (host *Context) SetStream(stream unsafe.Pointer) error {
	c := new(call)
	defer c.end()
	self := (*C.udi_context)(c.in(host.handle))
	return c.run(context.Background(), func() C.udi_status { return C.udi_context_set_stream(self, stream, &c.detail) })
}
