package udi_test

import (
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"libudi/udi"
	. "libudi/udi/recipe"
)

// notGo is numbers 0, 1, ... in memory that is not Go's.
func notGo(count int) ([]byte, []float32) {
	bytes := Must(syscall.Mmap(-1, 0, 4*count, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON))
	numbers := unsafe.Slice((*float32)(unsafe.Pointer(&bytes[0])), count)
	for i := range numbers {
		numbers[i] = float32(i)
	}
	return bytes, numbers
}

func TestWrappedMemory(t *testing.T) {
	host, other := Context(), Context()
	bytes, numbers := notGo(24)
	defer syscall.Munmap(bytes)
	memory := udi.Memory{Data: unsafe.Pointer(&bytes[0]), Dtype: udi.F32, DeviceType: udi.CPU, Shape: []int{4, 3, 2},
		Strides: []int{1, 4, 12}} // [2, 3, 4] looked at the other way round
	released := 0
	release := func() { released++ }
	tensor := Must(udi.WrapTensor(host, memory, release))
	turned := Must(tensor.Floats())
	for i := range turned {
		holds(t, turned[i] == float32(i/6+4*(i/2%3)+12*(i%2)), "numbers are found by their strides")
	}

	passed := Must(udi.TensorFromDLPack(other, Must(tensor.ToDLPack())))
	host.Close()
	tensor.Close()
	numbers[0] = 100
	turned[0] = 100
	holds(t, reflect.DeepEqual(Must(passed.Floats()), turned) && released == 0, "another tensor has the same memory")
	passed.Close()
	holds(t, released == 1, "the memory is the caller's again, once")

	managed := Must(Must(udi.WrapTensor(other, memory, release)).ToDLPack())
	other.Cancel()
	_, err := udi.TensorFromDLPack(other, managed)
	fails(t, err, udi.ErrCancelled, "")
	other.ClearCancel()
	memory.Shape = []int{4, 3, 0}
	_, err = udi.WrapTensor(other, memory, release)
	holds(t, err != nil, "no numbers")
	collect()
	holds(t, released == 2, "what fails gives back what it was given, and releases nothing else")
	memory.Shape, memory.Strides = []int{24}, nil
	without := Must(udi.WrapTensor(other, memory, nil))
	holds(t, reflect.DeepEqual(Must(without.Floats()), numbers), "without a release, row by row")
	without.Close()
	other.Close()
}

// collect returns when everything that was unreachable has been given back: finalizers of one collection run before those of
// the next.
func collect() {
	for i := 0; i < 2; i++ {
		done := make(chan struct{})
		func() { runtime.SetFinalizer(&struct{ links [8]*int }{}, func(any) { close(done) }) }()
		runtime.GC()
		<-done
	}
}

func round(images []udi.Image, byHand bool) {
	host := Context()
	views, model := Views(host, images, 0), Model(host)
	if views.Count() != 2 {
		panic("two images")
	}
	if byHand {
		host.Close()
		model.Close()
		views.Close()
	}
}

// resident is in KiB, after so many rounds.
func resident(images []udi.Image, rounds int) int {
	for i := 0; i < rounds; i++ {
		round(images, i%2 == 0)
		if i%10 == 9 {
			collect() // Go does not know how much memory hangs on a handle
		}
	}
	collect()
	status := Must(os.ReadFile("/proc/self/status"))
	return Must(strconv.Atoi(string(regexp.MustCompile(`VmRSS:\s*(\d+)`).FindSubmatch(status)[1])))
}

func TestLeaks(t *testing.T) {
	images := Images()[:2]
	before := resident(images, 100)
	grown := resident(images, 1000) - before
	if grown >= 8*1024 {
		t.Errorf("1,000 rounds grew memory by %d KiB, must be less than 8192", grown)
	}
	t.Logf("1,000 rounds grew memory by %d KiB", grown)
}
