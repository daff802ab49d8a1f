package udi

// #include <udi.h>
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// lane is a context, and what its handles share. It lives as long as the last of them.
type lane struct {
	context *C.udi_context
	log     unsafe.Pointer // keep's, or nil
	handles atomic.Int64
	inside  sync.Mutex // tried and never waited for: a second goroutine is told

	cancel    sync.Mutex
	cancelled bool // by Context.Cancel, and not taken back
}

func (l *lane) drop() {
	if l.handles.Add(-1) == 0 {
		C.udi_context_free(l.context)
		forget(l.log)
	}
}

func (l *lane) setCancelled(cancelled bool) {
	l.cancel.Lock()
	defer l.cancel.Unlock()
	l.cancelled = cancelled
	if cancelled {
		C.udi_context_cancel(l.context)
	} else {
		C.udi_context_clear_cancel(l.context)
	}
}

// resume takes a context.Context's cancel back; one of Context.Cancel stays.
func (l *lane) resume() {
	l.cancel.Lock()
	defer l.cancel.Unlock()
	if !l.cancelled {
		C.udi_context_clear_cancel(l.context)
	}
}

// handle is a reference that libudi gave. It goes when it was closed, or is unreachable, and no call uses it.
type handle struct {
	what string // for messages
	lane *lane
	free func(unsafe.Pointer)

	mutex   sync.Mutex
	pointer unsafe.Pointer // nil: freed
	calls   int
	closed  bool
}

func newHandle(what string, l *lane, pointer unsafe.Pointer, free func(unsafe.Pointer)) *handle {
	l.handles.Add(1)
	h := &handle{what: what, lane: l, free: free, pointer: pointer}
	runtime.SetFinalizer(h, (*handle).Close)
	return h
}

// Close gives the handle back, at the end of the calls that use it. What was made from it goes on working. A second Close
// does nothing; the error is always nil.
func (h *handle) Close() error {
	if h != nil {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		h.closed = true
		h.freeUnused()
	}
	return nil
}

// enter gives nil for a handle that is closed. Else the pointer is good until leave.
func (h *handle) enter() unsafe.Pointer {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed {
		return nil
	}
	h.calls++
	return h.pointer
}

func (h *handle) leave() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.calls--
	h.freeUnused()
}

func (h *handle) freeUnused() {
	if h.closed && h.calls == 0 && h.pointer != nil {
		h.free(h.pointer)
		h.pointer = nil
		h.lane.drop()
		runtime.SetFinalizer(h, nil)
	}
}
