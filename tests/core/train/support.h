// A model and views that are small enough to train in milliseconds.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/random.h"
#include "train/trainer.h"

namespace udi::support {

inline udi_model_config small_model() {
  udi_model_config c = model_config_preset("vit_tiny");
  c.image_size = 16;
  c.patch_size = 4;
  c.resize_size = 16;
  c.embed_dim = 24;
  c.heads = 3;
  c.depth = 3;
  c.srs_heads = 4;
  c.out_dim = 60;
  c.head_hidden_dim = 30;
  c.head_bottleneck_dim = 12;
  c.drop_path_rate = 0;
  return c;
}

inline Model make_model(const udi_model_config& config, uint64_t seed = 5) {
  Model model(config, at::kCPU);
  model.weights.initialize(config, seed);
  return model;
}

inline udi_train_config small_train() {
  udi_train_config c;
  udi_train_config_init(&c, sizeof c);
  c.total_steps = 20;
  c.steps_per_epoch = 4;
  c.warmup_steps = 2;
  c.freeze_last_layer_steps = 2;
  c.teacher_temp_warmup_epochs = 2;
  c.lr = 2e-3;
  return c;
}

struct ViewShape {
  int64_t batch = 3, locals = 2, global_size = 16, local_size = 8;
  int64_t global_window = 2, local_window = 2;
  bool overlap = true;  // false: no crop shows anything of another
};

// Noise with boxes that overlap (or do not), one sample drawn from each window.
inline Views make_views(uint64_t seed, const ViewShape& shape = {}) {
  Random random(seed, Random::kTest);
  Views v;
  v.batch = shape.batch;
  v.local_crops = shape.locals;
  v.channels = 3;
  v.global_size = shape.global_size;
  v.local_size = shape.local_size;
  v.patch_size = 4;
  const int64_t grid = v.global_size / 4, small = shape.locals ? v.local_size / 4 : 0;
  const auto noise = [&](std::vector<uint8_t>& out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out.push_back(uint8_t(random.below(256)));
  };
  noise(v.global, 2 * v.batch * 3 * v.global_size * v.global_size);
  noise(v.local, shape.locals * v.batch * 3 * v.local_size * v.local_size);
  for (int64_t crop = 0; crop < 2 + shape.locals; ++crop) {
    for (int64_t i = 0; i < v.batch; ++i) {
      const double extent = crop < 2 ? 0.6 : 0.3;
      double i0 = random.uniform(0, 1 - extent), j0 = random.uniform(0, 1 - extent), j1;
      if (!shape.overlap) i0 = 0.01 * double(crop), j0 = double(crop) * 2;
      j1 = j0 + extent;
      if (random.chance(0.5)) std::swap(j0, j1);
      for (const double c : {i0, j0, i0 + extent, j1}) v.coords.push_back(float(c));
    }
  }
  const auto mask = [&](std::vector<uint8_t>& out, int64_t side, int64_t window) {
    for (int64_t i = 0; i < v.batch; ++i) {
      std::vector<uint8_t> tokens(size_t(side * side), 0);
      for (int64_t r = 0; r + window <= side; r += window) {
        for (int64_t c = 0; c + window <= side; c += window)
          tokens[size_t((r + int64_t(random.below(uint64_t(window)))) * side + c +
                        int64_t(random.below(uint64_t(window))))] = 1;
      }
      out.insert(out.end(), tokens.begin(), tokens.end());
    }
  };
  mask(v.sample_global, grid, shape.global_window);
  mask(v.sample_local, small, shape.local_window);
  v.maps = make_sample_maps(v.batch, shape.locals, grid, small, v.coords.data(), v.sample_global.data(),
                            v.sample_local.data());
  for (int64_t i = 0; i < v.batch; ++i) v.sample.push_back(int64_t(100 * seed) + i);
  return v;
}

inline double distance(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((x - y).norm() / y.norm().clamp_min(1e-30)).item<double>();
}

// The statistics of steps, each over its own views.
inline std::vector<udi_step_stats> run(Trainer& trainer, const std::vector<std::vector<const Views*>>& steps) {
  std::vector<udi_step_stats> all;
  for (const auto& views : steps) {
    udi_step_stats stats{};
    trainer.step(views, Host(), &stats);
    all.push_back(stats);
  }
  return all;
}

// The tensors of two trainers are the same bits.
inline bool same_bits(const Trainer& a, const Trainer& b) {
  const auto x = a.tensors(), y = b.tensors();
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].first != y[i].first || !at::equal(x[i].second, y[i].second)) return false;
  }
  return x.size() == y.size() && a.state() == b.state();
}

// A folder that is gone after the test.
struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    path = (std::filesystem::temp_directory_path() / "udi_train_XXXXXX").string();
    if (!::mkdtemp(path.data())) path.clear();
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

}  // namespace udi::support
