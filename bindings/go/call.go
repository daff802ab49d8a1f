package udi

// #include <stdlib.h>
// #include <udi.h>
import "C"

import (
	"context"
	"math"
	"strings"
	"unsafe"
)

// call is one call of libudi: what it borrows while it runs, and what it says when it fails.
//
//	c := new(call)
//	defer c.end()
//	model, name := m.in(c), c.text("name", name)
//	return c.run(ctx, func() C.udi_status { return C.udi_model_...(model, name, &c.detail) })
type call struct {
	detail C.udi_error
	err    error // the first argument that cannot be given; then nothing is called
	lanes  []*lane
	held   []*handle
	memory []unsafe.Pointer
}

// end gives back what the call borrowed. Until then its handles live, and so do what they were made from.
func (c *call) end() {
	for _, memory := range c.memory {
		C.free(memory)
	}
	for _, h := range c.held {
		h.leave()
	}
}

func (c *call) fail(code Code, format string, values ...any) {
	if c.err == nil {
		c.err = newError(code, format, values...)
	}
}

// run makes the call, alone in its lanes, unless ctx is done before; if ctx is done while it runs, it is cancelled.
func (c *call) run(ctx context.Context, f func() C.udi_status) error {
	if c.err != nil {
		return c.err
	}
	if err := ctx.Err(); err != nil {
		return &Error{Code: ErrCancelled, Message: "the context.Context was done before the call", cause: err}
	}
	for _, l := range c.lanes {
		if !l.inside.TryLock() {
			return newError(ErrState, "the context is busy: another goroutine, or a callback's caller, is inside it")
		}
		defer l.inside.Unlock()
	}
	stop := watch(ctx, c.lanes)
	status := Code(f())
	cancelled := stop()
	if status == OK {
		return nil
	}
	err := &Error{Code: status, NativeCode: int32(c.detail.native_code), Message: C.GoString(&c.detail.message[0])}
	if status == ErrCancelled && cancelled {
		err.cause = ctx.Err()
	}
	return err
}

// watch cancels the lanes' call if ctx is done before stop. stop waits for the goroutine's end, and says whether it did.
func watch(ctx context.Context, lanes []*lane) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	over, cancelled := make(chan struct{}), make(chan bool)
	go func() {
		select {
		case <-over:
			cancelled <- false
		case <-ctx.Done():
			for _, l := range lanes {
				C.udi_context_cancel(l.context)
			}
			<-over
			for _, l := range lanes {
				l.resume()
			}
			cancelled <- true
		}
	}()
	return func() bool {
		close(over)
		return <-cancelled
	}
}

// ---- What a call borrows -----------------------------------------------------------------------------------------------

// hold keeps a handle until the end.
func (c *call) hold(h *handle) unsafe.Pointer {
	if h == nil {
		c.fail(ErrInvalid, "this handle was not made by libudi")
		return nil
	}
	pointer := h.enter()
	if pointer == nil {
		c.fail(ErrInvalid, "this %s is closed", h.what)
		return nil
	}
	c.held = append(c.held, h)
	return pointer
}

// in is hold for what must be alone in its lane.
func (c *call) in(h *handle) unsafe.Pointer {
	pointer := c.hold(h)
	if pointer == nil {
		return nil
	}
	for _, l := range c.lanes {
		if l == h.lane {
			return pointer
		}
	}
	c.lanes = append(c.lanes, h.lane)
	return pointer
}

// keepUntilEnd is for C memory.
func (c *call) keepUntilEnd(memory unsafe.Pointer) unsafe.Pointer {
	c.memory = append(c.memory, memory)
	return memory
}

func (c *call) text(name, text string) *C.char {
	if at := strings.IndexByte(text, 0); at >= 0 {
		c.fail(ErrInvalid, "%s has a zero byte at %d", name, at)
		return nil
	}
	chars := C.CString(text)
	c.keepUntilEnd(unsafe.Pointer(chars))
	return chars
}

func (c *call) textOrNull(name, text string) *C.char {
	if text == "" {
		return nil
	}
	return c.text(name, text)
}

func (c *call) bytes(bytes []byte) unsafe.Pointer { return c.keepUntilEnd(C.CBytes(bytes)) }

func (c *call) sizes(sizes []int) *C.int64_t {
	wide := make([]int64, len(sizes))
	for i, size := range sizes {
		wide[i] = int64(size)
	}
	return (*C.int64_t)(c.bytes(bytesOf(wide)))
}

// int32 is for numbers that C has fewer bits for.
func (c *call) int32(name string, value int) C.int32_t {
	if value < math.MinInt32 || value > math.MaxInt32 {
		c.fail(ErrInvalid, "%s is %d, must be in %d..%d", name, value, math.MinInt32, math.MaxInt32)
	}
	return C.int32_t(value)
}
