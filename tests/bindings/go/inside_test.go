// What cannot be seen from outside.
package udi

import (
	"errors"
	"strings"
	"testing"
	"unsafe"
)

func TestFit(t *testing.T) {
	of := func(digit string, version, abi uint32) side { return side{abi, version, strings.Repeat(digit, 64)} }
	ours := of("a", 2000, 0)
	for _, library := range []side{ours, of("a", 1999, 0), of("b", 2001, 0)} {
		if err := fits(ours, library); err != nil {
			t.Error(err)
		}
	}
	for _, library := range []side{of("b", 2000, 0), of("b", 1999, 0), of("b", 2001, 1)} {
		err := fits(ours, library)
		if err == nil || !strings.Contains(err.Error(), "made for 0.2.0 (ABI 0, interface aaaaaaaaaaaa)") ||
			!strings.Contains(err.Error(), "libudi "+library.String()+" does not fit this binding") {
			t.Errorf("%v: %v", library, err)
		}
	}
}

func TestHandle(t *testing.T) {
	host, err := NewContext(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	freed := 0
	h := newHandle("Thing", host.lane, unsafe.Pointer(host), func(unsafe.Pointer) { freed++ })
	h.enter()
	host.Close()
	h.Close()
	if freed != 0 || h.enter() != nil || h.lane.handles.Load() != 1 {
		t.Error("a handle that a call uses is closed to others, and not yet freed")
	}
	h.leave()
	h.Close()
	if freed != 1 || h.lane.handles.Load() != 0 {
		t.Error("at the end of the call it is freed, once, and its context with it")
	}
}

func TestResume(t *testing.T) {
	host, err := NewContext(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	host.Cancel()
	host.lane.resume() // as after a call that a context.Context ended, too
	if _, err := NewModel(host, nil, 0); !errors.Is(err, ErrCancelled) {
		t.Errorf("%v: Cancel must last until ClearCancel", err)
	}
	host.ClearCancel()
	if _, err := NewModel(host, nil, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v: ClearCancel takes it back", err)
	}
}
