package udi

// #include <stdlib.h>
// #include <udi.h>
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// keep is a pointer for C's `void *user` that stands for a value of Go's, until forget.
func keep(value any) unsafe.Pointer {
	user := C.malloc(C.size_t(unsafe.Sizeof(cgo.Handle(0))))
	*(*cgo.Handle)(user) = cgo.NewHandle(value)
	return user
}

func kept(user unsafe.Pointer) any { return (*(*cgo.Handle)(user)).Value() }

func forget(user unsafe.Pointer) {
	if user != nil {
		(*(*cgo.Handle)(user)).Delete()
		C.free(user)
	}
}

// A panic must not run through the frames of C, which would leave the context busy for ever: one in a function without a
// caller of its own ends the program here, like one in a goroutine.
func endProgram() {
	if reason := recover(); reason != nil {
		go panic(reason)
		select {}
	}
}

//export udiGoLog
func udiGoLog(user unsafe.Pointer, level C.int32_t, message *C.char) {
	defer endProgram()
	kept(user).(func(LogLevel, string))(LogLevel(level), C.GoString(message))
}

//export udiGoRelease
func udiGoRelease(user unsafe.Pointer) {
	defer endProgram()
	release := kept(user).(func())
	forget(user)
	release()
}

// watcher is a job's progress function, and how it ended the job: by an error, or a panic, which RunJob passes on.
type watcher struct {
	progress func(Progress) error
	err      error
	panicked any
}

//export udiGoProgress
func udiGoProgress(user unsafe.Pointer, now *C.udi_progress) (stop C.int32_t) {
	w := kept(user).(*watcher)
	defer func() {
		if w.panicked = recover(); w.panicked != nil {
			stop = 1
		}
	}()
	if w.err = w.progress(*new(Progress).fill(now)); w.err != nil {
		return 1
	}
	return 0
}
