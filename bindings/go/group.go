package udi

// #include <udi.h>
import "C"

import (
	"context"
	"unsafe"
)

// Group is the processes of a distributed run, this one among them.
type Group struct{ *handle }

// NewGroup meets the other ranks: every process calls it, and it returns when all have come. config nil: the launcher
// (torchrun, mpirun or srun) says which rank this is; without one the group is this process alone.
func NewGroup(ctx context.Context, host *Context, config *GroupConfig) (*Group, error) {
	c := new(call)
	defer c.end()
	in, given := (*C.udi_context)(c.in(host.handle)), config.c(c)
	var out *C.udi_group
	if err := c.run(ctx, func() C.udi_status { return C.udi_group_create(in, given, &out, &c.detail) }); err != nil {
		return nil, err
	}
	free := func(pointer unsafe.Pointer) { C.udi_group_free((*C.udi_group)(pointer)) }
	return &Group{newHandle("Group", host.lane, unsafe.Pointer(out), free)}, nil
}

func (g *Group) in(c *call) *C.udi_group { return (*C.udi_group)(c.in(g.handle)) }

// Rank is 0 to World - 1; 0 of a closed Group.
func (g *Group) Rank() int32 {
	return g.number(func(self *C.udi_group) C.int32_t { return C.udi_group_rank(self) })
}

// World is the number of ranks; 0 of a closed Group.
func (g *Group) World() int32 {
	return g.number(func(self *C.udi_group) C.int32_t { return C.udi_group_world(self) })
}

func (g *Group) number(f func(self *C.udi_group) C.int32_t) int32 {
	pointer := g.enter()
	if pointer == nil {
		return 0
	}
	defer g.leave()
	return int32(f((*C.udi_group)(pointer)))
}
