package udi

// #include <udi.h>
import "C"

import (
	"context"
	"unsafe"
)

// Views is the crops of a batch of images and their sample maps.
type Views struct{ *handle }

// NewViews makes crops and sample maps of images in memory. config nil: the official augmentation. The draw of image i
// depends on (seed, epoch, firstSample + i) alone.
func NewViews(ctx context.Context, host *Context, config *ViewConfig, images []Image, seed uint64, epoch,
	firstSample int64) (*Views, error) {
	c := new(call)
	defer c.end()
	in, given := (*C.udi_context)(c.in(host.handle)), config.c(c)
	list, count := c.images(images)
	return c.views(ctx, host.handle, func(out **C.udi_views) C.udi_status {
		return C.udi_views_create(in, given, list, count, C.uint64_t(seed), C.int64_t(epoch), C.int64_t(firstSample), out,
			&c.detail)
	})
}

// Crops is what an augmentation of the caller's made of B images: two global crops of each and L local ones.
type Crops struct {
	Global       Values // [2, B, C, G, G], U8, or F32 from 0 to 1
	Local        Values // [L, B, C, l, l]; nil for none
	Coords       Values // F32 [2 + L, B, 4]: (i0, j0, i1, j1) of each crop in its image, 0 to 1, j swapped if mirrored
	SampleGlobal Values // U8 [B, N] over the tokens, 0 and 1, the same count in every row
	SampleLocal  Values // U8 [B, n]; nil where Local is
}

// NewViewsFromArrays takes crops of the caller's own augmentation. Of config, sizes and LocalCrops are read.
func NewViewsFromArrays(host *Context, config *ViewConfig, crops Crops) (*Views, error) {
	c := new(call)
	defer c.end()
	in, given := (*C.udi_context)(c.in(host.handle)), config.c(c)
	global, local := optional(crops.Global, c, "Global"), optional(crops.Local, c, "Local")
	coords := optional(crops.Coords, c, "Coords")
	sampleGlobal, sampleLocal := optional(crops.SampleGlobal, c, "SampleGlobal"), optional(crops.SampleLocal, c, "SampleLocal")
	return c.views(context.Background(), host.handle, func(out **C.udi_views) C.udi_status {
		return C.udi_views_from_arrays(in, given, global, local, coords, sampleGlobal, sampleLocal, out, &c.detail)
	})
}

// views runs a call that gives them, in the lane of the handle.
func (c *call) views(ctx context.Context, from *handle, f func(out **C.udi_views) C.udi_status) (*Views, error) {
	var out *C.udi_views
	if err := c.run(ctx, func() C.udi_status { return f(&out) }); err != nil {
		return nil, err
	}
	free := func(pointer unsafe.Pointer) { C.udi_views_free((*C.udi_views)(pointer)) }
	return &Views{newHandle("Views", from.lane, unsafe.Pointer(out), free)}, nil
}

func (v *Views) in(c *call) *C.udi_views { return (*C.udi_views)(c.in(v.handle)) }

// Count is the number of images; 0 of closed Views.
func (v *Views) Count() int64 {
	pointer := (*C.udi_views)(v.enter())
	if pointer == nil {
		return 0
	}
	defer v.leave()
	return int64(C.udi_views_count(pointer))
}

// GlobalCrops is a copy: [2, B, C, G, G], U8, or F32 from 0 to 1 where an image was not of 8 bits.
func (v *Views) GlobalCrops() (*Tensor, error) { return v.crops(1) }

// LocalCrops is a copy: [L, B, C, l, l].
func (v *Views) LocalCrops() (*Tensor, error) { return v.crops(0) }

func (v *Views) crops(global C.int32_t) (*Tensor, error) {
	c := new(call)
	defer c.end()
	self := v.in(c)
	return c.tensor(context.Background(), v.handle, func(out **C.udi_tensor) C.udi_status {
		return C.udi_views_crops(self, global, out, &c.detail)
	})
}

// Coords is a copy of the crops' coordinates, F32 [2 + L, B, 4], as in Crops.
func (v *Views) Coords() (*Tensor, error) {
	c := new(call)
	defer c.end()
	self := v.in(c)
	return c.tensor(context.Background(), v.handle, func(out **C.udi_tensor) C.udi_status {
		return C.udi_views_coords(self, out, &c.detail)
	})
}
