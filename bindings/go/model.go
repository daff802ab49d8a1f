package udi

// #include <udi.h>
import "C"

import (
	"context"
	"unsafe"
)

// Model is a backbone with SRS module and projection head.
type Model struct{ *handle }

// NewModelConfig gives an architecture's sizes and the official head. arch: "vit_tiny", "vit_small", "vit_base",
// "vit_large". ErrNotFound: another name.
func NewModelConfig(arch string) (*ModelConfig, error) {
	c := new(call)
	defer c.end()
	var config C.udi_model_config
	name := c.text("arch", arch)
	err := c.run(context.Background(), func() C.udi_status {
		return C.udi_model_config_init(&config, C.size_t(unsafe.Sizeof(config)), name, &c.detail)
	})
	if err != nil {
		return nil, err
	}
	return new(ModelConfig).fill(&config), nil
}

// NewModel makes a model with the official initialisation, drawn from seed. ErrInvalid: the field that is out of range.
func NewModel(host *Context, config *ModelConfig, seed uint64) (*Model, error) {
	c := new(call)
	defer c.end()
	in, given := (*C.udi_context)(c.in(host.handle)), config.c(c)
	return c.model(host.handle, func(out **C.udi_model) C.udi_status {
		return C.udi_model_create(in, given, C.uint64_t(seed), out, &c.detail)
	})
}

// LoadModel reads a checkpoint or weights, of libudi or of others (udi.h lists them). role: which one, where the file holds
// both.
func LoadModel(host *Context, path string, role Role) (*Model, error) {
	c := new(call)
	defer c.end()
	in, file := (*C.udi_context)(c.in(host.handle)), c.text("path", path)
	return c.model(host.handle, func(out **C.udi_model) C.udi_status {
		return C.udi_model_load(in, file, C.int32_t(role), out, &c.detail)
	})
}

// Share gives the same weights as a model of another context, without a copy: for goroutines, a context each. While they
// are shared SetParam gives ErrState. Both contexts are busy meanwhile.
func (m *Model) Share(host *Context) (*Model, error) {
	c := new(call)
	defer c.end()
	self, in := m.in(c), (*C.udi_context)(c.in(host.handle))
	return c.model(host.handle, func(out **C.udi_model) C.udi_status {
		return C.udi_model_share(self, in, out, &c.detail)
	})
}

// model runs a call that gives one, in the lane of the handle.
func (c *call) model(from *handle, f func(out **C.udi_model) C.udi_status) (*Model, error) {
	var out *C.udi_model
	if err := c.run(context.Background(), func() C.udi_status { return f(&out) }); err != nil {
		return nil, err
	}
	free := func(pointer unsafe.Pointer) { C.udi_model_free((*C.udi_model)(pointer)) }
	return &Model{newHandle("Model", from.lane, unsafe.Pointer(out), free)}, nil
}

func (m *Model) in(c *call) *C.udi_model { return (*C.udi_model)(c.in(m.handle)) }

// Save writes weights, configuration and preprocessing as one safetensors file.
func (m *Model) Save(path string) error {
	c := new(call)
	defer c.end()
	self, file := m.in(c), c.text("path", path)
	return c.run(context.Background(), func() C.udi_status { return C.udi_model_save(self, file, &c.detail) })
}

// Config is what the model was made with.
func (m *Model) Config() (*ModelConfig, error) {
	c := new(call)
	defer c.end()
	self, config := m.in(c), new(C.udi_model_config)
	config.struct_size = C.uint32_t(unsafe.Sizeof(*config))
	err := c.run(context.Background(), func() C.udi_status { return C.udi_model_get_config(self, config, &c.detail) })
	if err != nil {
		return nil, err
	}
	return new(ModelConfig).fill(config), nil
}

// Info is its sizes, and the number of all its weights.
func (m *Model) Info() (ModelInfo, error) {
	c := new(call)
	defer c.end()
	self, info := m.in(c), new(C.udi_model_info)
	info.struct_size = C.uint32_t(unsafe.Sizeof(*info))
	err := c.run(context.Background(), func() C.udi_status { return C.udi_model_get_info(self, info, &c.detail) })
	if err != nil {
		return ModelInfo{}, err
	}
	return *new(ModelInfo).fill(info), nil
}

// ---- Weights -----------------------------------------------------------------------------------------------------------

// ParamNames is the official names of all weight tensors; none of a closed model.
func (m *Model) ParamNames() []string {
	pointer := (*C.udi_model)(m.enter())
	if pointer == nil {
		return nil
	}
	defer m.leave()
	names := make([]string, C.udi_model_param_count(pointer))
	for i := range names {
		names[i] = C.GoString(C.udi_model_param_name(pointer, C.int64_t(i)))
	}
	return names
}

// Param is a copy of a weight tensor, F32. ErrNotFound: no weight is called name.
func (m *Model) Param(name string) (*Tensor, error) {
	c := new(call)
	defer c.end()
	self, wanted := m.in(c), c.text("name", name)
	return c.tensor(context.Background(), m.handle, func(out **C.udi_tensor) C.udi_status {
		return C.udi_model_param_get(self, wanted, out, &c.detail)
	})
}

// SetParam overwrites a weight tensor with F32 of the same shape. ErrNotFound: no weight is called name; ErrState: also a
// model that shares its weights.
func (m *Model) SetParam(name string, value Values) error {
	c := new(call)
	defer c.end()
	self, wanted, given := m.in(c), c.text("name", name), optional(value, c, "value")
	return c.run(context.Background(), func() C.udi_status {
		return C.udi_model_param_set(self, wanted, given, &c.detail)
	})
}

// ---- Tokens ------------------------------------------------------------------------------------------------------------

// Prepare is the evaluation transform that belongs to the weights: [len(images), channels, image_size, image_size], U8 if
// all images are of 8 bits, else F32, as Extract and Attention take it with NCHW.
func (m *Model) Prepare(ctx context.Context, images []Image) (*Tensor, error) {
	c := new(call)
	defer c.end()
	self := m.in(c)
	list, count := c.images(images)
	return c.tensor(ctx, m.handle, func(out **C.udi_tensor) C.udi_status {
		return C.udi_model_prepare(self, list, count, out, &c.detail)
	})
}

// Extract gives tokens after the final norm, F32, of the shape that the Token says. images: [B, C, H, W] or [B, H, W, C];
// U8, or F32 that is normalised already. config nil: cls of the last block.
func (m *Model) Extract(ctx context.Context, images Values, layout Layout, config *ExtractConfig) (*Tensor, error) {
	c := new(call)
	defer c.end()
	self, batch, given := m.in(c), optional(images, c, "images"), config.c(c)
	return c.tensor(ctx, m.handle, func(out **C.udi_tensor) C.udi_status {
		return C.udi_model_extract(self, batch, C.int32_t(layout), given, out, &c.detail)
	})
}

// Attention gives softmaxed attention over the patches, F32 [B, heads, H / patch_size, W / patch_size]. images: as for
// Extract. config nil: cls.
func (m *Model) Attention(ctx context.Context, images Values, layout Layout, config *AttentionConfig) (*Tensor, error) {
	c := new(call)
	defer c.end()
	self, batch, given := m.in(c), optional(images, c, "images"), config.c(c)
	return c.tensor(ctx, m.handle, func(out **C.udi_tensor) C.udi_status {
		return C.udi_model_attention(self, batch, C.int32_t(layout), given, out, &c.detail)
	})
}
