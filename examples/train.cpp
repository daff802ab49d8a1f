// Trains a small model on images in memory, saves and loads it, and extracts cls tokens: train.c in C++.
//
//   c++ -std=c++17 train.cpp $(pkg-config --cflags --libs libudi) && ./a.out
#include <cstdio>
#include <udi.hpp>

constexpr int kImages = 32, kSide = 32, kSize = kSide * kSide * 3, kSteps = 60;

int main() try {
  std::vector<uint8_t> pixels(kImages * kSize);  // stripes of many colours, widths and directions
  std::vector<udi_image> images;
  for (int n = 0; n < kImages; ++n) {
    for (int i = 0; i < kSize; ++i) {
      const int c = i % 3, x = i / 3 % kSide, y = i / 3 / kSide,
                stripe = (x * (n % 5) + y * (n % 3 + 1)) / (n % 4 + 3) % 2;
      pixels[n * kSize + i] = uint8_t(stripe ? 50 * (n % 6) : 80 * c);
    }
    images.push_back(udi::pixels(udi::span<const uint8_t>(&pixels[n * kSize], kSize), kSide, kSide));
  }

  udi::Context context;  // the CPU; nothing is logged
  udi::ModelConfig sizes("vit_tiny");
  sizes.image_size = sizes.resize_size = kSide;
  sizes.patch_size = 8;
  sizes.embed_dim = 48;
  sizes.depth = 3;
  sizes.out_dim = sizes.head_hidden_dim = 256;

  udi::TrainConfig training;
  training.total_steps = kSteps;
  training.lr = 2e-3;
  training.momentum_teacher = training.momentum_teacher_end = 0.9;  // so few steps need a teacher that follows fast
  training.teacher_temp = training.warmup_teacher_temp = 0.03;
  udi::Trainer trainer(udi::Model(context, sizes), training);

  udi::ViewConfig crops;
  crops.global_size = kSide;
  crops.local_size = kSide / 2;
  crops.patch_size = sizes.patch_size;
  for (int epoch = 0; epoch < kSteps; ++epoch) {  // one step an epoch, each with new crops of all images
    const udi_step_stats stats = trainer.step(udi::Views(context, crops, images, 0, epoch));
    std::printf("step %2d  loss %.4f\n", epoch, stats.loss);
  }
  trainer.model().save("model.safetensors");

  const udi::Model loaded = udi::Model::load(context, "model.safetensors");
  const udi::Tensor cls = loaded.extract(udi::Array(pixels, {kImages, kSide, kSide, 3}), UDI_NHWC);
  std::printf("cls of %d images, %d numbers each\n", int(cls.shape()[0]), int(cls.shape()[1]));
} catch (const udi::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
