package udi

// #include <udi.h>
// void udiGoLog(void *user, int32_t level, char *message);
// int32_t udiGoProgress(void *user, udi_progress *now);
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"unsafe"
)

// Context is a device, limits and a log: where everything else lives.
type Context struct{ *handle }

// NewContext opens LibTorch, if no context did before, and the device. config nil: the defaults. log gets whole lines, one
// call at a time, maybe on other threads; nil: silence. It may call nothing of the context's but Cancel, and must return:
// a panic in it ends the program.
func NewContext(config *ContextConfig, log func(level LogLevel, message string)) (*Context, error) {
	c := new(call)
	defer c.end()
	given, l := config.c(c), new(lane)
	if log != nil {
		l.log = keep(log)
		given.log, given.log_user = (C.udi_log_fn)(C.udiGoLog), l.log
	}
	err := c.run(context.Background(), func() C.udi_status { return C.udi_context_create(given, &l.context, &c.detail) })
	if err != nil {
		forget(l.log)
		return nil, err
	}
	// The lane frees it, once nothing that was made from it is left.
	return &Context{newHandle("Context", l, unsafe.Pointer(l.context), func(unsafe.Pointer) {})}, nil
}

// Cancel makes the running call, and every later one, end with ErrCancelled, until ClearCancel. From any goroutine. A
// context.Context does the same for one call.
func (host *Context) Cancel() { host.setCancelled(true) }

// ClearCancel takes Cancel back.
func (host *Context) ClearCancel() { host.setCancelled(false) }

func (host *Context) setCancelled(cancelled bool) {
	if host.enter() != nil {
		defer host.leave()
		host.lane.setCancelled(cancelled)
	}
}

// RunJob runs a whole job, what `udi NAME` does: "pretrain", "extract", "knn", ... options are what encoding/json makes an
// object of (a map, a struct, a json.RawMessage); JobSchema lists them. The result is an object, too. progress, unless nil,
// is called now and then on the calling goroutine. Its error ends the job, and is found in RunJob's by errors.Is; its panic
// is passed on. It may call nothing of the context's but Cancel, and not runtime.Goexit.
func (host *Context) RunJob(ctx context.Context, name string, options any, progress func(Progress) error) (json.RawMessage,
	error) {
	config, err := json.Marshal(options)
	if err != nil {
		return nil, &Error{Code: ErrInvalid, Message: "options are not JSON", cause: err}
	}
	c := new(call)
	defer c.end()
	self, job, text := (*C.udi_context)(c.in(host.handle)), c.text("name", name), c.text("options", string(config))
	w := &watcher{progress: progress}
	var function C.udi_progress_fn
	var user unsafe.Pointer
	if progress != nil {
		function, user = (C.udi_progress_fn)(C.udiGoProgress), keep(w)
		defer forget(user)
	}
	var result *C.char
	err = c.run(ctx, func() C.udi_status {
		return C.udi_job_run(self, job, text, function, user, &result, &c.detail)
	})
	defer C.udi_string_free(result)
	if w.panicked != nil {
		panic(w.panicked)
	}
	var failure *Error
	if errors.As(err, &failure) && w.err != nil && failure.Code == ErrCallback {
		failure.cause = w.err
	}
	if err != nil {
		return nil, err
	}
	return json.RawMessage(C.GoString(result)), nil
}
