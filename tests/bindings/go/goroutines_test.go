package udi_test

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"libudi/udi"
	. "libudi/udi/recipe"
)

// Contexts work in parallel, on shared weights, and each gets what it would get alone.
func TestTwoContexts(t *testing.T) {
	type result struct {
		loss   float64
		tokens []float32
	}
	first, images := Context(), Images()
	defer first.Close()
	model := Model(first)
	work := func(host *udi.Context, model *udi.Model) (r result) {
		trainer := Trainer(host)
		for step := int64(0); step < 3; step++ {
			r.loss = Must(trainer.Step(background, Views(host, images, step))).Loss
			batch := Must(model.Prepare(background, images))
			r.tokens = Must(Must(model.Extract(background, batch, udi.NCHW, nil)).Floats())
		}
		return r
	}
	alone, results := work(first, model), make(chan result, 2)
	second := Context()
	shared := Must(model.Share(second))
	name := model.ParamNames()[0]
	fails(t, model.SetParam(name, Must(model.Param(name))), udi.ErrState, "shared")
	go func() { results <- work(first, model) }()
	go func() { results <- work(second, shared) }()
	for i := 0; i < 2; i++ {
		holds(t, reflect.DeepEqual(<-results, alone), "the same loss and tokens as alone")
	}
}

// busy is whether a goroutine is inside the model's context; it may get in itself for a moment.
func busy(model *udi.Model) bool {
	_, err := model.Info()
	return errors.Is(err, udi.ErrState)
}

// cancelledOnceBusy calls work until it is not turned away by busy(), with a context.Context that is done once it is inside.
func cancelledOnceBusy(model *udi.Model, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		for !busy(model) {
			runtime.Gosched()
		}
		cancel()
	}()
	defer func() { <-over }()
	for {
		if err := work(ctx); err != nil && !errors.Is(err, udi.ErrState) {
			return err
		}
	}
}

func TestCancelInside(t *testing.T) {
	host := Context()
	defer host.Close()
	model, trainer, views := Model(host), Trainer(host), Views(host, Images(), 0)
	bytes, _ := notGo(3 * 32 * 32)
	endless := udi.Memory{Data: unsafe.Pointer(&bytes[0]), Dtype: udi.F32, DeviceType: udi.CPU,
		Shape: []int{100_000_000, 3, 32, 32}, Strides: []int{0, 1024, 32, 1}} // hours of work
	err := cancelledOnceBusy(model, func(ctx context.Context) error {
		_, err := model.Extract(ctx, endless, udi.NCHW, nil)
		return err
	})
	fails(t, err, udi.ErrCancelled, "cancelled by the caller") // libudi's words: it was inside
	holds(t, errors.Is(err, context.Canceled), "the context.Context is named as what ended an extraction")

	err = cancelledOnceBusy(model, func(ctx context.Context) error {
		_, err := trainer.Step(ctx, views)
		return err
	})
	fails(t, err, udi.ErrCancelled, "")
	holds(t, errors.Is(err, context.Canceled), "... and a step")
	done := trainer.Steps()
	Must(trainer.Step(background, views))
	holds(t, trainer.Steps() == done+1, "the context works on")
}

func TestCancelBefore(t *testing.T) {
	host := Context()
	defer host.Close()
	trainer, views := Trainer(host), Views(host, Images(), 0)
	late, cancel := context.WithDeadline(background, time.Unix(0, 0))
	defer cancel()
	_, err := trainer.Step(late, views)
	fails(t, err, udi.ErrCancelled, "before the call")
	holds(t, errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled), "its deadline is named")

	alive, cancel := context.WithCancel(background)
	defer cancel()
	host.Cancel()
	for i := 0; i < 2; i++ {
		_, err = trainer.Step(alive, views)
		fails(t, err, udi.ErrCancelled, "")
		holds(t, !errors.Is(err, context.Canceled), "Cancel is no context.Context")
	}
	host.ClearCancel()
	Must(trainer.Step(alive, views))
}

func TestNoGoroutineStays(t *testing.T) {
	host := Context()
	defer host.Close()
	model, images := Model(host), Images()[:1]
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	before := runtime.NumGoroutine()
	for i := 0; i < 200; i++ {
		Must(model.Prepare(ctx, images)).Close()
	}
	for runtime.NumGoroutine() > before { // one that has sent its last may still be on its way out; a leak hangs here
		runtime.Gosched()
	}
}

func TestJob(t *testing.T) {
	host := Context()
	defer host.Close()
	job := func(ctx context.Context, train int, progress func(udi.Progress) error) error {
		_, err := host.RunJob(ctx, "demo-data", map[string]any{"out": t.TempDir(), "train": train, "test": 0}, progress)
		return err
	}
	const endless = 10_000_000
	stages := map[string]int64{}
	holds(t, job(background, 20, func(now udi.Progress) error {
		stages[now.Stage] = now.Done
		return nil
	}) == nil && stages["draw"] == 20, "progress is told")

	enough := errors.New("enough")
	err := job(background, endless, func(udi.Progress) error { return enough })
	fails(t, err, udi.ErrCallback, "")
	holds(t, errors.Is(err, enough), "the progress function's error is found")

	ctx, cancel := context.WithCancel(background)
	err = job(ctx, endless, func(udi.Progress) error { cancel(); return nil })
	fails(t, err, udi.ErrCancelled, "")
	holds(t, errors.Is(err, context.Canceled), "a job is cancelled")

	func() {
		defer func() { holds(t, recover() == "no way", "a progress function's panic is passed on") }()
		job(background, endless, func(udi.Progress) error { panic("no way") })
	}()
	holds(t, job(background, 1, nil) == nil, "the context works on after a panic")

	_, err = host.RunJob(background, "demo-data", map[string]any{"outs": "there"}, nil)
	fails(t, err, udi.ErrInvalid, "outs")
	_, err = host.RunJob(background, "demo-data", make(chan int), nil)
	fails(t, err, udi.ErrInvalid, "options are not JSON")

	inner := []error{}
	holds(t, job(background, 1, func(udi.Progress) error {
		_, err := udi.NewModel(host, Sizes(), 1)
		inner = append(inner, err)
		return host.Close() // takes effect at the job's end
	}) == nil, "a job goes on in a context that is closed meanwhile")
	fails(t, inner[0], udi.ErrState, "another goroutine")
	fails(t, job(background, 1, nil), udi.ErrInvalid, "this Context is closed")
}
