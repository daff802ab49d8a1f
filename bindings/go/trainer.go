package udi

// #include <udi.h>
import "C"

import (
	"context"
	"unsafe"
)

// Trainer is student, teacher, centers, optimizer and schedules.
type Trainer struct{ *handle }

// NewTrainer starts student and teacher as copies of the model, in its context. config nil: the README recipe.
func NewTrainer(model *Model, config *TrainConfig) (*Trainer, error) {
	c := new(call)
	defer c.end()
	given, start := config.c(c), model.in(c)
	return c.trainer(model.handle, func(out **C.udi_trainer) C.udi_status {
		return C.udi_trainer_create(model.lane.context, start, given, out, &c.detail)
	})
}

// LoadTrainer gives the trainer as it was saved, to the bit on the same device. loader, unless nil, is set to its saved
// position.
func LoadTrainer(host *Context, path string, loader *Loader) (*Trainer, error) {
	c := new(call)
	defer c.end()
	in, file, set := (*C.udi_context)(c.in(host.handle)), c.text("path", path), loader.optional(c)
	return c.trainer(host.handle, func(out **C.udi_trainer) C.udi_status {
		return C.udi_trainer_load(in, file, set, out, &c.detail)
	})
}

// trainer runs a call that gives one, in the lane of the handle.
func (c *call) trainer(from *handle, f func(out **C.udi_trainer) C.udi_status) (*Trainer, error) {
	var out *C.udi_trainer
	if err := c.run(context.Background(), func() C.udi_status { return f(&out) }); err != nil {
		return nil, err
	}
	free := func(pointer unsafe.Pointer) { C.udi_trainer_free((*C.udi_trainer)(pointer)) }
	return &Trainer{newHandle("Trainer", from.lane, unsafe.Pointer(out), free)}, nil
}

func (t *Trainer) in(c *call) *C.udi_trainer { return (*C.udi_trainer)(c.in(t.handle)) }

// Join makes steps from now on be over the group's ranks. Every rank calls it, each with a trainer of the same
// configuration; all become what rank 0's is.
func (t *Trainer) Join(group *Group) error {
	c := new(call)
	defer c.end()
	self, ranks := t.in(c), group.in(c)
	return c.run(context.Background(), func() C.udi_status { return C.udi_trainer_join(self, ranks, &c.detail) })
}

// Step is one optimisation step over all images of all views, which count as one batch. After a failure, as when ctx is
// done, nothing has moved, and the step can be taken again. ErrNonFinite: the loss or a gradient is not finite.
func (t *Trainer) Step(ctx context.Context, views ...*Views) (StepStats, error) {
	c := new(call)
	defer c.end()
	self, list := t.in(c), make([]*C.udi_views, len(views)+1) // one more, so that there is a first
	for i, one := range views {
		list[i] = one.in(c)
	}
	stats := new(C.udi_step_stats)
	stats.struct_size = C.uint32_t(unsafe.Sizeof(*stats))
	err := c.run(ctx, func() C.udi_status {
		return C.udi_trainer_step(self, &list[0], C.int64_t(len(views)), stats, &c.detail)
	})
	if err != nil {
		return StepStats{}, err
	}
	return *new(StepStats).fill(stats), nil
}

// Steps is how many were done; 0 of a closed Trainer.
func (t *Trainer) Steps() int64 {
	pointer := (*C.udi_trainer)(t.enter())
	if pointer == nil {
		return 0
	}
	defer t.leave()
	return int64(C.udi_trainer_steps(pointer))
}

// Model is a copy of the student's or the teacher's weights as they are now.
func (t *Trainer) Model(role Role) (*Model, error) {
	c := new(call)
	defer c.end()
	self := t.in(c)
	return c.model(t.handle, func(out **C.udi_model) C.udi_status {
		return C.udi_trainer_model(self, C.int32_t(role), out, &c.detail)
	})
}

// Save writes everything that is needed to go on as one safetensors file, with the position of loader, unless nil. A file
// that was there becomes path + ".prev".
func (t *Trainer) Save(path string, loader *Loader) error {
	c := new(call)
	defer c.end()
	self, file, set := t.in(c), c.text("path", path), loader.optional(c)
	return c.run(context.Background(), func() C.udi_status { return C.udi_trainer_save(self, set, file, &c.detail) })
}
