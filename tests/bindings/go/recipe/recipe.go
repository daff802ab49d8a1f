// Package recipe is what bindings/README.md prescribes, in Go: images, model, views of the tests.
package recipe

import (
	"context"

	"libudi/udi"
)

const count, side = 8, 48

// Must is for what cannot fail here.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Images are 8 of [48, 48, 3].
func Images() []udi.Image {
	images := make([]udi.Image, count)
	for n := range images {
		pixels := make([]uint8, side*side*3)
		for i := range pixels {
			c, x, y := i%3, i/3%side, i/3/side
			pixels[i] = uint8((29*n + 3*x*(n%5+1) + 5*y*(n%3+1) + 71*c + x*y/8) % 256)
		}
		images[n] = udi.Pixels(pixels, side, side, 3)
	}
	return images
}

// Context has one thread.
func Context() *udi.Context {
	config := udi.NewContextConfig()
	config.NumThreads = 1
	return Must(udi.NewContext(config, nil))
}

// Sizes are the small model's.
func Sizes() *udi.ModelConfig {
	config := Must(udi.NewModelConfig("vit_tiny"))
	config.ImageSize, config.ResizeSize, config.PatchSize = 32, 32, 8
	config.EmbedDim, config.Depth, config.Heads, config.SRSHeads = 24, 2, 3, 3
	config.OutDim, config.HeadHiddenDim, config.HeadBottleneckDim = 64, 32, 16
	return config
}

// Model is the small one.
func Model(host *udi.Context) *udi.Model { return Must(udi.NewModel(host, Sizes(), 1)) }

// Crops fit the model.
func Crops() *udi.ViewConfig {
	config := udi.NewViewConfig()
	config.GlobalSize, config.LocalSize, config.PatchSize = 32, 16, 8
	config.LocalCrops, config.GlobalWindow, config.LocalWindow = 2, 2, 1
	return config
}

// Views are an epoch's.
func Views(host *udi.Context, images []udi.Image, epoch int64) *udi.Views {
	return Must(udi.NewViews(context.Background(), host, Crops(), images, 7, epoch, 0))
}

// Trainer starts from the small model.
func Trainer(host *udi.Context) *udi.Trainer {
	config := udi.NewTrainConfig()
	config.TotalSteps, config.WarmupSteps, config.Seed = 3, 0, 3
	model := Model(host)
	defer model.Close()
	return Must(udi.NewTrainer(model, config))
}
