package udi

// #include <udi.h>
import "C"

import (
	"context"
	"unsafe"
)

// Loader is an image set on disk, turned into Views by worker threads.
type Loader struct{ *handle }

// OpenLoader finds the images of a folder, a list file, a .tar or .tar.gz, or a folder of those. views, config nil: the
// defaults.
func OpenLoader(ctx context.Context, host *Context, path string, views *ViewConfig, config *LoaderConfig) (*Loader, error) {
	c := new(call)
	defer c.end()
	in, set := (*C.udi_context)(c.in(host.handle)), c.text("path", path)
	crops, given := views.c(c), config.c(c)
	var out *C.udi_loader
	err := c.run(ctx, func() C.udi_status { return C.udi_loader_open(in, set, crops, given, &out, &c.detail) })
	if err != nil {
		return nil, err
	}
	free := func(pointer unsafe.Pointer) { C.udi_loader_free((*C.udi_loader)(pointer)) }
	return &Loader{newHandle("Loader", host.lane, unsafe.Pointer(out), free)}, nil
}

func (l *Loader) in(c *call) *C.udi_loader { return (*C.udi_loader)(c.in(l.handle)) }

// optional is for a Loader that may be nil.
func (l *Loader) optional(c *call) *C.udi_loader {
	if l == nil {
		return nil
	}
	return l.in(c)
}

// Next gives the next batch; epochs follow each other without end. After a failure the position is as it was.
func (l *Loader) Next(ctx context.Context) (*Views, error) {
	c := new(call)
	defer c.end()
	self := l.in(c)
	return c.views(ctx, l.handle, func(out **C.udi_views) C.udi_status { return C.udi_loader_next(self, out, &c.detail) })
}

// Images is how many were found; 0 of a closed Loader.
func (l *Loader) Images() int64 {
	return l.count(func(self *C.udi_loader) C.int64_t { return C.udi_loader_images(self) })
}

// StepsPerEpoch is the batches of an epoch; what is left of one is dropped. 0 of a closed Loader.
func (l *Loader) StepsPerEpoch() int64 {
	return l.count(func(self *C.udi_loader) C.int64_t { return C.udi_loader_steps_per_epoch(self) })
}

// Position is the batches given out since the start of training; 0 of a closed Loader.
func (l *Loader) Position() int64 {
	return l.count(func(self *C.udi_loader) C.int64_t { return C.udi_loader_position(self) })
}

func (l *Loader) count(f func(self *C.udi_loader) C.int64_t) int64 {
	pointer := l.enter()
	if pointer == nil {
		return 0
	}
	defer l.leave()
	return int64(f((*C.udi_loader)(pointer)))
}

// SetPosition goes on as if so many batches had been given out.
func (l *Loader) SetPosition(position int64) error {
	c := new(call)
	defer c.end()
	self := l.in(c)
	return c.run(context.Background(), func() C.udi_status {
		return C.udi_loader_seek(self, C.int64_t(position), &c.detail)
	})
}
