package udi_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"libudi/udi"
	. "libudi/udi/recipe"
)

func TestLibrary(t *testing.T) {
	var build struct{ Version string }
	holds(t, json.Unmarshal(udi.BuildInfo(), &build) == nil && build.Version == udi.Version(), "build info is JSON")
	holds(t, json.Valid(udi.JobSchema()) && udi.ABIVersion() == 0 && udi.VersionNumber() > 0, "schema is JSON")
}

func TestModel(t *testing.T) {
	host, sizes := Context(), Sizes()
	defer host.Close()
	sizes.Mean[0], sizes.Std[2], sizes.DropPathRate, sizes.EXIFTurn = 0.25, 0.5, 0.125, 1
	model := Must(udi.NewModel(host, sizes, 1))
	holds(t, reflect.DeepEqual(Must(model.Config()), sizes), "a model's configuration is the one that was given")
	info, names := Must(model.Info()), model.ParamNames()
	total := 0
	for _, name := range names {
		total += len(Must(Must(model.Param(name)).Floats()))
	}
	holds(t, info.EmbedDim == 24 && info.NumParameters == int64(total), "parameters are counted")

	weight := Must(model.Param(names[0]))
	numbers := Must(weight.Floats())
	for i := range numbers {
		numbers[i] = float32(i)
	}
	if err := model.SetParam(names[0], udi.NewArray(numbers, weight.Shape()...)); err != nil {
		t.Error(err)
	}
	path := t.TempDir() + "/model.safetensors"
	holds(t, model.Save(path) == nil, "saved")
	loaded := Must(udi.LoadModel(host, path, udi.Teacher))
	holds(t, reflect.DeepEqual(Must(Must(loaded.Param(names[0])).Floats()), numbers), "weights set, saved and loaded")
	fails(t, model.SetParam(names[0], udi.NewArray(numbers, len(numbers))), udi.ErrShape, "")
	fails(t, model.SetParam("none", udi.NewArray(numbers, len(numbers))), udi.ErrNotFound, "none")
}

func TestTokens(t *testing.T) {
	host, images := Context(), Images()[:3]
	defer host.Close()
	model := Model(host)
	batch := Must(model.Prepare(background, images))
	holds(t, batch.Dtype() == udi.U8 && reflect.DeepEqual(batch.Shape(), []int{3, 3, 32, 32}), "a batch of bytes")
	_, err := batch.Floats()
	fails(t, err, udi.ErrShape, "dtype")

	config := udi.NewExtractConfig()
	config.Token = udi.TokenPatches
	tokens := Must(model.Extract(background, batch, udi.NCHW, config))
	holds(t, reflect.DeepEqual(tokens.Shape(), []int{3, 16, 24}), "patch tokens")
	copied := udi.NewArray(Must(batch.Bytes()), batch.Shape()...)
	same := Must(model.Extract(background, copied, udi.NCHW, config))
	holds(t, reflect.DeepEqual(Must(same.Floats()), Must(tokens.Floats())), "the batch as a slice gives the same")

	attention := Must(model.Attention(background, batch, udi.NCHW, &udi.AttentionConfig{Source: udi.AttentionSRS, PatchRow: 3}))
	holds(t, reflect.DeepEqual(attention.Shape(), []int{3, 3, 4, 4}), "attention of the SRS module")

	floats := make([]float32, 48*48*3)
	for i := range floats {
		floats[i] = float32(i%255) / 255
	}
	mixed := Must(model.Prepare(background, append(images, udi.Pixels(floats, 48, 48, 3))))
	holds(t, mixed.Dtype() == udi.F32 && mixed.Shape()[0] == 4, "an image of floats makes a batch of floats")
}

func TestOwnAugmentation(t *testing.T) {
	host := Context()
	defer host.Close()
	views := Views(host, Images(), 0)
	ones := make([]uint8, 8*16)
	for i := range ones {
		ones[i] = 1
	}
	coords := Must(views.Coords())
	crops := udi.Crops{Global: Must(views.GlobalCrops()), Local: Must(views.LocalCrops()),
		Coords:       udi.NewArray(Must(coords.Floats()), coords.Shape()...),
		SampleGlobal: udi.NewArray(ones, 8, 16), SampleLocal: udi.NewArray(ones[:8*4], 8, 4)}
	own := Must(udi.NewViewsFromArrays(host, Crops(), crops))
	stats, err := Trainer(host).Step(background, own)
	holds(t, err == nil && own.Count() == 8 && stats.Loss > 0 && !math.IsNaN(stats.CenterNorm[2]), "own crops train")
	crops.Local, crops.SampleLocal = nil, nil
	_, err = udi.NewViewsFromArrays(host, Crops(), crops)
	fails(t, err, udi.ErrInvalid, "local")
}

// What a weights file lacks is in the log, on the goroutine of the call. A panic there ends the program, which the child is.
func TestLog(t *testing.T) {
	path, lines := t.TempDir()+"/model.safetensors", []string{}
	host := Must(udi.NewContext(nil, func(level udi.LogLevel, message string) {
		if os.Getenv("UDI_TEST_CHILD") != "" {
			panic("no log")
		}
		lines = append(lines, message)
	}))
	defer host.Close()
	holds(t, Model(host).Save(path) == nil, "saved")
	other := bytes.Replace(Must(os.ReadFile(path)), []byte("cls_token"), []byte("cls_taken"), 1)
	holds(t, os.WriteFile(path, other, 0o600) == nil, "changed")
	defer func() { recover() }() // does not help the child
	_, err := udi.LoadModel(host, path, udi.Teacher)
	fails(t, err, udi.ErrFormat, "")
	holds(t, strings.Contains(strings.Join(lines, "\n"), "cls_token"), "the log names what is missing")

	child := exec.Command(os.Args[0], "-test.run=^TestLog$")
	child.Env = append(os.Environ(), "UDI_TEST_CHILD=1")
	said, err := child.CombinedOutput()
	holds(t, err != nil && bytes.Contains(said, []byte("panic: no log")), "a panic in the log ends the program: "+string(said))
}

// A set on disk, one image of it damaged: worker threads, which are not Go's, log its name.
func TestLoader(t *testing.T) {
	var lines, named atomic.Int64
	config := udi.NewContextConfig()
	config.LogLevel = udi.LogDebug
	host := Must(udi.NewContext(config, func(level udi.LogLevel, message string) {
		lines.Add(1)
		if level <= udi.LogWarn && strings.Contains(message, "000001.") {
			named.Add(1)
		}
	}))
	defer host.Close()
	out := t.TempDir()
	Must(host.RunJob(background, "demo-data", map[string]any{"out": out, "train": 20, "test": 0}, nil))
	files := Must(filepath.Glob(out + "/train/*/000001.*"))
	holds(t, os.WriteFile(files[0], []byte("no image"), 0o600) == nil, "damaged")

	given := udi.NewLoaderConfig()
	given.BatchSize, given.Workers, given.MaxBadPercent, given.CacheDir = 4, 2, 50, out
	loader := Must(udi.OpenLoader(background, host, out+"/train", Crops(), given))
	holds(t, loader.Images() == 20 && loader.StepsPerEpoch() == 5, "20 images are 5 batches")
	trainer, path := Trainer(host), out+"/trainer.safetensors"
	for i := 0; i < 5; i++ {
		views := Must(loader.Next(background))
		Must(trainer.Step(background, views))
		views.Close()
	}
	holds(t, loader.Position() == 5 && lines.Load() > 0 && named.Load() > 0, "the damaged image is in the log")

	holds(t, trainer.Save(path, loader) == nil && loader.SetPosition(2) == nil && loader.Position() == 2, "saved")
	again := Must(udi.LoadTrainer(host, path, loader))
	holds(t, again.Steps() == 5 && loader.Position() == 5, "the trainer and its loader are where they were")
	fails(t, loader.SetPosition(-1), udi.ErrInvalid, "position")
	loader.Close()
	holds(t, loader.Images() == 0, "a closed loader counts nothing")
}

func TestGroupOfOne(t *testing.T) {
	host := Context()
	defer host.Close()
	config := udi.NewGroupConfig()
	config.Rank, config.World = 0, 1
	group := Must(udi.NewGroup(background, host, config))
	holds(t, group.Rank() == 0 && group.World() == 1, "the only rank")
	joined, other := Trainer(host), Trainer(host)
	holds(t, joined.Join(group) == nil, "joined")
	group.Close() // the trainer keeps it
	views := Views(host, Images(), 0)
	one, two := Must(joined.Step(background, views)), Must(other.Step(background, views))
	holds(t, one.Loss == two.Loss, "a group of one changes nothing")
	config.Rank = 1
	_, err := udi.NewGroup(background, host, config)
	fails(t, err, udi.ErrInvalid, "rank")
}
