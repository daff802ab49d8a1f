package udi

// #include <udi.h>
import "C"

import (
	"context"
	"unsafe"
)

// Tensor is an array that libudi owns: a result. It can be read at any time, whatever its context does.
type Tensor struct {
	*handle
	view           C.udi_array
	shape, strides []int // of view
}

// tensor runs a call that gives one, in the lane of the handle.
func (c *call) tensor(ctx context.Context, from *handle, f func(out **C.udi_tensor) C.udi_status) (*Tensor, error) {
	var out *C.udi_tensor
	view := newCArray()
	err := c.run(ctx, func() C.udi_status {
		if status := f(&out); status != C.UDI_OK {
			return status
		}
		return C.udi_tensor_view(out, view, &c.detail)
	})
	if err != nil {
		C.udi_tensor_free(out)
		return nil, err
	}
	free := func(pointer unsafe.Pointer) { C.udi_tensor_free((*C.udi_tensor)(pointer)) }
	t := &Tensor{handle: newHandle("Tensor", from.lane, unsafe.Pointer(out), free), view: *view}
	t.shape = ints(view.shape, int(view.ndim))
	if view.strides != nil {
		t.strides = ints(view.strides, int(view.ndim))
		return t, nil
	}
	t.strides = make([]int, len(t.shape))
	for i, stride := len(t.shape)-1, 1; i >= 0; i-- {
		t.strides[i] = stride
		stride *= t.shape[i]
	}
	return t, nil
}

func ints(from *C.int64_t, count int) []int {
	to := make([]int, count)
	for i, size := range unsafe.Slice(from, count) {
		to[i] = int(size)
	}
	return to
}

func (t *Tensor) borrow(c *call, name string) *C.udi_array {
	c.hold(t.handle)
	view := t.view // by itself: what is beside it in t, C may not see
	return &view
}

// Shape is the tensor's sizes.
func (t *Tensor) Shape() []int { return append([]int{}, t.shape...) }

// Dtype says what its numbers are.
func (t *Tensor) Dtype() Dtype { return Dtype(t.view.dtype) }

// Floats is a copy of the numbers, row by row. ErrShape: they are not F32; ErrDevice: they are not on the CPU.
func (t *Tensor) Floats() ([]float32, error) { return read[float32](t) }

// Bytes is the same for U8.
func (t *Tensor) Bytes() ([]uint8, error) { return read[uint8](t) }

func read[T Element](t *Tensor) ([]T, error) {
	c := new(call)
	defer c.end()
	c.hold(t.handle)
	if wanted := dtypeOf[T](); t.Dtype() != wanted {
		c.fail(ErrShape, "the tensor's dtype is %d, must be %d", t.Dtype(), wanted)
	}
	if t.view.device_type != C.UDI_CPU {
		c.fail(ErrDevice, "the tensor is on device type %d, must be on the CPU (%d)", t.view.device_type, C.UDI_CPU)
	}
	if c.err != nil {
		return nil, c.err
	}
	count := 1
	for _, size := range t.shape {
		count *= size
	}
	return gather(make([]T, 0, count), t.view.data, t.shape, t.strides), nil
}

// gather appends numbers out of C memory, row by row.
func gather[T Element](to []T, from unsafe.Pointer, shape, strides []int) []T {
	if len(shape) == 0 {
		return append(to, *(*T)(from))
	}
	if len(shape) == 1 && strides[0] == 1 {
		return append(to, unsafe.Slice((*T)(from), shape[0])...)
	}
	step := strides[0] * int(unsafe.Sizeof(*new(T)))
	for i := 0; i < shape[0]; i++ {
		to = gather(to, unsafe.Add(from, i*step), shape[1:], strides[1:])
	}
	return to
}
