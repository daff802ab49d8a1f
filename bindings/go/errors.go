package udi

// #include <udi.h>
import "C"

import (
	"fmt"
	"syscall"
)

// Error is a failed call.
type Error struct {
	Code       Code   // which kind of failure
	NativeCode int32  // errno or a CUDA error, else 0
	Message    string // what, which value, which limit, what to do
	cause      error
}

// Error is the code's name and the message.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%v: %s (%v)", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%v: %s", e.Code, e.Message)
}

// Is holds for the error's own Code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap gives what ended the call: the context.Context's error, a progress function's, or errno of ErrIO; else nil.
func (e *Error) Unwrap() error {
	if e.cause == nil && e.Code == ErrIO && e.NativeCode != 0 {
		return syscall.Errno(e.NativeCode)
	}
	return e.cause
}

// Error is the name in udi.h, "UDI_E_SHAPE". Codes are errors, so that errors.Is(err, udi.ErrShape) can be asked.
func (code Code) Error() string { return C.GoString(C.udi_status_name(C.int32_t(code))) }

func newError(code Code, format string, values ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, values...)}
}
