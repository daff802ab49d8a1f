package udi

// #include <udi.h>
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Element is a number as arrays hold it.
type Element interface {
	uint8 | uint16 | int32 | int64 | float32 | float64
}

func dtypeOf[T Element]() Dtype {
	switch any(*new(T)).(type) {
	case uint8:
		return U8
	case uint16:
		return U16
	case int32:
		return I32
	case int64:
		return I64
	case float32:
		return F32
	default:
		return F64
	}
}

// bytesOf is the slice's own memory.
func bytesOf[T Element](numbers []T) []byte {
	if len(numbers) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&numbers[0])), len(numbers)*int(unsafe.Sizeof(numbers[0])))
}

// Values is numbers with a shape, which calls take: an Array of the caller's, or a Tensor.
type Values interface {
	borrow(c *call, name string) *C.udi_array
}

// optional is for Values that may be nil.
func optional(values Values, c *call, name string) *C.udi_array {
	if values == nil {
		return nil
	}
	return values.borrow(c, name)
}

// Array is numbers of the caller's, row by row.
type Array struct {
	dtype Dtype
	shape []int
	count int
	bytes []byte
}

// NewArray looks at a slice as an array: NewArray(pixels, 8, 48, 48, 3). Nothing is copied before a call takes it. Whether
// the slice is as long as the shape wants is checked there.
func NewArray[T Element](numbers []T, shape ...int) Array {
	return Array{dtypeOf[T](), shape, len(numbers), bytesOf(numbers)}
}

func (a Array) borrow(c *call, name string) *C.udi_array {
	wanted := 1
	for _, size := range a.shape {
		if size < 1 || wanted > math.MaxInt/size {
			c.fail(ErrShape, "%s has shape %v, every size must be at least 1, and their product at most %d", name, a.shape,
				math.MaxInt)
			return nil
		}
		wanted *= size
	}
	if wanted != a.count {
		c.fail(ErrShape, "%s has shape %v and %d numbers, must have %d", name, a.shape, a.count, wanted)
		return nil
	}
	array := newCArray()
	array.dtype, array.device_type = C.int32_t(a.dtype), C.UDI_CPU
	array.ndim, array.shape = C.int32_t(len(a.shape)), c.sizes(a.shape)
	array.data = c.bytes(a.bytes)
	return array
}

func newCArray() *C.udi_array {
	return &C.udi_array{struct_size: C.uint32_t(unsafe.Sizeof(C.udi_array{}))}
}

// Image is one image of any size: a file's bytes, or pixels.
type Image struct {
	dtype                   Dtype
	height, width, channels int
	bytes                   []byte
}

// Encoded is the image in a JPEG, PNG or .npy file's bytes.
func Encoded(file []byte) Image { return Image{bytes: file} }

// Pixels is an image [height, width, channels]; float32: 0 to 1.
func Pixels[T uint8 | uint16 | float32](pixels []T, height, width, channels int) Image {
	return Image{dtypeOf[T](), height, width, channels, bytesOf(pixels)}
}

// images is an array of udi_image in C memory, and how many.
func (c *call) images(images []Image) (*C.udi_image, C.int64_t) {
	given := make([]C.udi_image, len(images)+1) // one more, so that there is a first
	for i, image := range images {
		name := fmt.Sprintf("images[%d]: ", i)
		given[i] = C.udi_image{
			struct_size: C.uint32_t(unsafe.Sizeof(given[0])),
			dtype:       C.int32_t(image.dtype),
			height:      c.int32(name+"height", image.height),
			width:       c.int32(name+"width", image.width),
			channels:    c.int32(name+"channels", image.channels),
			data:        c.bytes(image.bytes),
			size:        C.uint64_t(len(image.bytes)),
		}
	}
	return &given[0], C.int64_t(len(images))
}
