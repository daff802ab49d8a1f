// Trains a small model on images in memory, saves and loads it, and extracts cls tokens: examples/train.c in Go.
//
//	cd bindings/go && go run ./examples/train
package main

import (
	"context"
	"fmt"
	"log"

	"libudi/udi"
)

const count, side, steps = 32, 32, 60

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// draw makes stripes of many colours, widths and directions: [count, side, side, 3].
func draw() []uint8 {
	pixels := make([]uint8, count*side*side*3)
	for i := range pixels {
		c, x, y, n := i%3, i/3%side, i/3/side%side, i/3/side/side
		pixels[i] = uint8(80 * c)
		if (x*(n%5)+y*(n%3+1))/(n%4+3)%2 == 1 {
			pixels[i] = uint8(50 * (n % 6))
		}
	}
	return pixels
}

func main() {
	ctx := context.Background() // or one with a deadline, or that Ctrl-C ends
	pixels, images := draw(), make([]udi.Image, count)
	for n := range images {
		images[n] = udi.Pixels(pixels[n*side*side*3:(n+1)*side*side*3], side, side, 3)
	}

	host, err := udi.NewContext(nil, nil) // the CPU; nothing is logged
	check(err)
	defer host.Close()
	sizes, err := udi.NewModelConfig("vit_tiny")
	check(err)
	sizes.ImageSize, sizes.ResizeSize, sizes.PatchSize = side, side, 8
	sizes.EmbedDim, sizes.Depth = 48, 3
	sizes.OutDim, sizes.HeadHiddenDim = 256, 256
	student, err := udi.NewModel(host, sizes, 0)
	check(err)
	defer student.Close()

	training := udi.NewTrainConfig()
	training.TotalSteps, training.LR = steps, 2e-3
	training.MomentumTeacher, training.MomentumTeacherEnd = 0.9, 0.9 // so few steps need a teacher that follows fast
	training.TeacherTemp, training.WarmupTeacherTemp = 0.03, 0.03
	trainer, err := udi.NewTrainer(student, training)
	check(err)
	defer trainer.Close()

	crops := udi.NewViewConfig()
	crops.GlobalSize, crops.LocalSize, crops.PatchSize = side, side/2, sizes.PatchSize
	for epoch := int64(0); epoch < steps; epoch++ { // one step an epoch, each with new crops of all images
		views, err := udi.NewViews(ctx, host, crops, images, 0, epoch, 0)
		check(err)
		stats, err := trainer.Step(ctx, views)
		check(err)
		fmt.Printf("step %2d  loss %.4f\n", epoch, stats.Loss)
		views.Close()
	}

	teacher, err := trainer.Model(udi.Teacher)
	check(err)
	defer teacher.Close()
	check(teacher.Save("model.safetensors"))
	loaded, err := udi.LoadModel(host, "model.safetensors", udi.Teacher)
	check(err)
	defer loaded.Close()
	cls, err := loaded.Extract(ctx, udi.NewArray(pixels, count, side, side, 3), udi.NHWC, nil)
	check(err)
	defer cls.Close()
	fmt.Printf("cls of %d images, %d numbers each\n", cls.Shape()[0], cls.Shape()[1])
}
