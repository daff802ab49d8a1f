// The program of tests/bindings/semantics.c in Go.
package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"unsafe"

	"libudi/udi"
	. "libudi/udi/recipe"
)

func train(host *udi.Context, images []udi.Image) *udi.Model {
	trainer := Trainer(host)
	defer trainer.Close()
	for step := int64(0); step < 3; step++ {
		views := Views(host, images, step)
		stats := Must(trainer.Step(context.Background(), views))
		fmt.Printf("step %d loss %016x\n", step, math.Float64bits(stats.Loss))
		views.Close()
	}
	return Must(trainer.Model(udi.Teacher))
}

func extract(model *udi.Model, images []udi.Image) {
	config := udi.NewExtractConfig()
	config.Token = udi.TokenBoth
	batch := Must(model.Prepare(context.Background(), images))
	defer batch.Close()
	tokens := Must(model.Extract(context.Background(), batch, udi.NCHW, config))
	defer tokens.Close()
	numbers, hash := Must(tokens.Floats()), fnv.New64a()
	hash.Write(unsafe.Slice((*byte)(unsafe.Pointer(&numbers[0])), 4*len(numbers)))
	fmt.Printf("tokens %d %d %016x\n", tokens.Shape()[0], tokens.Shape()[1], hash.Sum64())
}

func main() {
	fmt.Println("api", udi.Fingerprint())
	host, images := Context(), Images()
	defer host.Close()
	model := train(host, images)
	defer model.Close()
	extract(model, images)
}
