package udi_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"strings"
	"testing"

	"libudi/udi"
	. "libudi/udi/recipe"
)

var background = context.Background()

// fails is whether the error has this code and these words.
func fails(t *testing.T, err error, code udi.Code, words string) {
	t.Helper()
	var failure *udi.Error
	if !errors.As(err, &failure) || failure.Code != code || !errors.Is(err, code) || errors.Is(err, udi.OK) ||
		!strings.Contains(failure.Message, words) || !strings.HasPrefix(err.Error(), code.Error()+": ") {
		t.Errorf("%v, must be %v with %q", err, code, words)
	}
}

func holds(t *testing.T, truth bool, what string) {
	t.Helper()
	if !truth {
		t.Errorf("not so: %s", what)
	}
}

func TestErrors(t *testing.T) {
	_, err := udi.NewModelConfig("vit_huge")
	fails(t, err, udi.ErrNotFound, "no architecture is called 'vit_huge'")
	holds(t, strings.HasPrefix(err.Error(), "UDI_E_NOT_FOUND: "), err.Error())

	host := Context()
	defer host.Close()
	sizes := Sizes()
	sizes.PatchSize = 7
	_, err = udi.NewModel(host, sizes, 1)
	fails(t, err, udi.ErrInvalid, "patch_size")
	_, err = udi.NewModel(host, nil, 1)
	fails(t, err, udi.ErrInvalid, "config")
	_, err = udi.NewTrainer(Model(host), &udi.TrainConfig{})
	fails(t, err, udi.ErrInvalid, "precision is 0")
	_, err = udi.LoadModel(host, t.TempDir()+"/none.safetensors", udi.Teacher)
	fails(t, err, udi.ErrNotFound, "none.safetensors")
	_, err = udi.LoadModel(host, "a\x00b", udi.Teacher)
	fails(t, err, udi.ErrInvalid, "path has a zero byte at 1")
	err = Model(host).Save(t.TempDir() + "/none/model.safetensors")
	fails(t, err, udi.ErrIO, "model.safetensors")
	holds(t, errors.Is(err, fs.ErrNotExist), "errno says why it could not be written")
	fails(t, host.SetStream(nil), udi.ErrUnsupported, "CPU")
	_, err = udi.NewContext(&udi.ContextConfig{}, nil)
	fails(t, err, udi.ErrInvalid, "config.log_level is 0")
}

func TestClosed(t *testing.T) {
	host := Context()
	model, trainer, views := Model(host), Trainer(host), Views(host, Images()[:2], 0)
	holds(t, model.Close() == nil && model.Close() == nil, "closed twice")
	_, err := model.Info()
	fails(t, err, udi.ErrInvalid, "this Model is closed")
	holds(t, model.ParamNames() == nil, "a closed model has no weights")
	_, err = udi.NewTrainer(model, nil)
	fails(t, err, udi.ErrInvalid, "this Model is closed")

	host.Close()
	_, err = udi.NewModel(host, Sizes(), 1)
	fails(t, err, udi.ErrInvalid, "this Context is closed")
	_, err = trainer.Step(background, views)
	holds(t, err == nil && trainer.Steps() == 1, "what was made from a closed context works")
	views.Close()
	_, err = trainer.Step(background, views)
	fails(t, err, udi.ErrInvalid, "this Views is closed")
	trainer.Close()
	holds(t, trainer.Steps() == 0 && views.Count() == 0, "closed handles count nothing")
	_, err = new(udi.Model).Info()
	fails(t, err, udi.ErrInvalid, "this handle was not made by libudi")
	host.Cancel()
}

func TestHostileArrays(t *testing.T) {
	host := Context()
	defer host.Close()
	model := Model(host)
	for words, batch := range map[string]udi.Values{
		"must have 3072":        udi.NewArray(make([]uint8, 3071), 1, 3, 32, 32),
		"shape [-1 3 -32 32]":   udi.NewArray(make([]uint8, 3072), -1, 3, -32, 32),
		"their product at most": udi.NewArray(make([]uint8, 1), math.MaxInt, 2, 3, 4),
		"images":                udi.NewArray(make([]int64, 3072), 1, 3, 32, 32),
		"images has 1 strides":  udi.Memory{Shape: []int{1, 2}, Strides: []int{1}},
	} {
		_, err := model.Extract(background, batch, udi.NCHW, nil)
		fails(t, err, udi.ErrShape, words)
	}
	_, err := model.Extract(background, nil, udi.NCHW, nil)
	fails(t, err, udi.ErrInvalid, "images")
	_, err = model.Extract(background, udi.Array{}, udi.NCHW, nil)
	fails(t, err, udi.ErrShape, "images")

	_, err = model.Prepare(background, []udi.Image{udi.Pixels(make([]uint8, 48*48*3), 48+1<<32, 48, 3)})
	fails(t, err, udi.ErrInvalid, "images[0]: height is 4294967344")
	_, err = model.Prepare(background, []udi.Image{udi.Pixels(make([]uint8, 48*48*3-1), 48, 48, 3)})
	fails(t, err, udi.ErrShape, "images[0]: size is 6911")
	_, err = model.Prepare(background, nil)
	fails(t, err, udi.ErrInvalid, "count")
	_, err = model.Prepare(background, []udi.Image{udi.Encoded([]byte("no image"))})
	fails(t, err, udi.ErrFormat, "images[0]")
}
