// The memory that a plan announces, against what a step's tensors really take.
#include "jobs/plan.h"

#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <new>

#include "base/files.h"
#include "base/random.h"
#include "data/masks.h"
#include "image/jpeg.h"
#include "jobs/draw.h"
#include "jobs/temporary.h"
#include "jobs/watch.h"
#include "model/config.h"
#include "train/trainer.h"

namespace udi {
namespace {

// Counts the bytes that tensors on the CPU hold. Not the process's memory: other threads and libraries are not in it.
class CountingAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    auto* const memory = static_cast<char*>(::operator new(bytes + kHeader, std::align_val_t(kHeader)));
    std::memcpy(memory, &bytes, sizeof bytes);
    const int64_t held = now_ += int64_t(bytes);
    for (int64_t peak = peak_; held > peak && !peak_.compare_exchange_weak(peak, held);) {
    }
    return {memory + kHeader, memory + kHeader, &release, at::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }

  static int64_t now() { return now_; }
  static int64_t peak() { return peak_; }
  static void reset_peak() { peak_ = now_.load(); }

 private:
  static constexpr size_t kHeader = 64;  // the size, and the alignment that LibTorch promises
  static void release(void* data) {
    if (!data) return;
    char* const memory = static_cast<char*>(data) - kHeader;
    size_t bytes = 0;
    std::memcpy(&bytes, memory, sizeof bytes);
    now_ -= int64_t(bytes);
    ::operator delete(memory, std::align_val_t(kHeader));
  }
  static std::atomic<int64_t> now_, peak_;
};
std::atomic<int64_t> CountingAllocator::now_{0}, CountingAllocator::peak_{0};

// While it lives, tensors are counted.
class Counting {
 public:
  Counting() : before_(c10::GetCPUAllocator()) {
    static CountingAllocator counting;
    c10::SetCPUAllocator(&counting, 1);
  }
  ~Counting() { c10::SetCPUAllocator(before_, 1); }

 private:
  c10::Allocator* before_;
};

class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }

 private:
  int before_;
};

struct Case {
  const char* name;
  int threads = 1;
  int32_t batch = 4, locals = 2, out_dim = 4096, include_patch = 1, window = 3;
  int32_t precision = UDI_F32, optimizer = UDI_ADAMW;
};

void count_parameters(RunPlan& plan) {
  plan.parameters = plan.backbone_parameters = 0;
  for (const ParameterInfo& info : parameter_layout(plan.model)) {
    plan.parameters += info.elements;
    if (info.name.rfind("backbone.backbone.", 0) == 0) plan.backbone_parameters += info.elements;
  }
}

RunPlan plan_of(const Case& c) {
  RunPlan plan;
  udi_model_config& model = plan.model = model_config_preset("vit_tiny");
  model.image_size = model.resize_size = 64;
  model.patch_size = 8;
  model.depth = 4;
  model.srs_heads = 3;
  model.include_patch = c.include_patch;
  model.out_dim = c.out_dim;
  model.head_hidden_dim = 256;
  model.head_bottleneck_dim = 128;
  udi_view_config_init(&plan.views, sizeof plan.views);
  plan.views.global_size = 64;
  plan.views.local_size = 32;
  plan.views.patch_size = 8;
  plan.views.local_crops = c.locals;
  plan.views.global_window = c.window;
  udi_train_config_init(&plan.train, sizeof plan.train);
  plan.train.precision = c.precision;
  plan.train.optimizer = c.optimizer;
  plan.batch_size = c.batch;
  count_parameters(plan);
  return plan;
}

// Crops that overlap in all of their samples, the most that a step can have to do.
Views views_of(const RunPlan& plan) {
  Random random(1, Random::kTest);
  Views v;
  v.batch = plan.batch_size;
  v.local_crops = plan.views.local_crops;
  v.channels = 3;
  v.global_size = plan.views.global_size;
  v.local_size = plan.views.local_size;
  v.patch_size = plan.views.patch_size;
  v.global.resize(size_t(2 * v.batch * 3 * v.global_size * v.global_size));
  v.local.resize(size_t(v.local_crops * v.batch * 3 * v.local_size * v.local_size));
  for (auto* crops : {&v.global, &v.local}) {
    for (uint8_t& pixel : *crops) pixel = uint8_t(random.below(256));
  }
  for (int64_t crop = 0; crop < 2 + v.local_crops; ++crop) {
    const float edge = crop < 2 ? 0.01f * float(crop) : 0.25f, far = crop < 2 ? 1 - edge : 0.75f;
    for (int64_t i = 0; i < v.batch; ++i) v.coords.insert(v.coords.end(), {edge, edge, far, far});
  }
  for (int64_t i = 0; i < v.batch; ++i) {
    const auto mask = [&](std::vector<uint8_t>& out, int64_t grid, int64_t window) {
      out.resize(out.size() + size_t(grid * grid));
      draw_sample_mask(random, grid, window, out.data() + out.size() - grid * grid);
    };
    mask(v.sample_global, v.global_size / v.patch_size, plan.views.global_window);
    mask(v.sample_local, v.local_size / v.patch_size, plan.views.local_window);
    v.sample.push_back(i);
  }
  v.maps = make_sample_maps(v.batch, v.local_crops, v.global_size / v.patch_size, v.local_size / v.patch_size,
                            v.coords.data(), v.sample_global.data(), v.sample_local.data());
  return v;
}

class Memory : public testing::TestWithParam<Case> {};

TEST_P(Memory, IsWhatAStepTakes) {
  const Case& c = GetParam();
  const Threads threads(c.threads);
  const RunPlan plan = plan_of(c);
  const Views views = views_of(plan);
  std::map<std::string, int64_t> parts;
  double estimate = 0;
  for (const auto& [name, bytes] : memory_parts(plan, at::kCPU)) {
    parts[name] = bytes;
    if (name != "images ahead" && name != "libraries" && name != "products" && name != "compiled products") {
      estimate += double(bytes);
    }
  }

  const Counting counting;
  const int64_t before = CountingAllocator::now();
  CountingAllocator::reset_peak();
  Trainer trainer = [&] {
    Model model(plan.model, at::kCPU);
    model.weights.initialize(plan.model, 1);
    return Trainer(model, plan.train);
  }();
  for (int step = 0; step < 2; ++step) trainer.step({&views}, Host(), nullptr);
  const double measured = double(CountingAllocator::peak() - before);
  std::printf("  %-20s %6.1f MB announced, %6.1f MB measured, a factor of %.3f\n", c.name, estimate / 1e6,
              measured / 1e6, estimate / measured);
  EXPECT_GT(estimate, 0.85 * measured);
  EXPECT_LT(estimate, 1.15 * measured);
  const int64_t strands = c.threads == 3 ? 2 : std::min(c.threads, c.batch);  // four images on three threads: two each
  EXPECT_EQ(parts.at("gradients"), strands * plan.parameters * 4);
}

INSTANTIATE_TEST_SUITE_P(, Memory,
                         testing::Values(Case{"one_thread"}, Case{"three_threads", 3},
                                         Case{"more_threads_than_images", 6}, Case{"many_local_crops", 2, 4, 12},
                                         Case{"no_local_crops", 2, 4, 0}, Case{"many_prototypes", 2, 4, 2, 65536, 1, 1},
                                         Case{"no_patches", 2, 4, 2, 4096, 0},
                                         Case{"many_samples", 2, 4, 8, 4096, 1, 1},
                                         Case{"bf16", 2, 4, 2, 4096, 1, 3, UDI_BF16},
                                         Case{"sgd", 2, 4, 2, 4096, 1, 3, UDI_F32, UDI_SGD}),
                         [](const auto& info) { return std::string(info.param.name); });


// What LibTorch compiles is no tensor: the estimate for it was measured as resident memory (docs/performance.md). It is of
// 16-bit products on a CPU alone, each strand's, and grows with the steps until the cache is full.
TEST(CompiledProducts, AreKeptUpToTheCachesSize) {
  const Threads threads(2);
  Case c{"compiled"};
  const auto bytes_of = [&](int32_t precision, int64_t steps, at::Device device) {
    c.precision = precision;
    RunPlan plan = plan_of(c);
    plan.steps = steps;
    for (const auto& [name, bytes] : memory_parts(plan, device)) {
      if (name == "compiled products") return bytes;
    }
    return int64_t(0);
  };
  EXPECT_EQ(bytes_of(UDI_F32, 1000, at::kCPU), 0);
  EXPECT_EQ(bytes_of(UDI_BF16, 1000, at::kCUDA), 0);
  const int64_t first = bytes_of(UDI_BF16, 1, at::kCPU), full = bytes_of(UDI_BF16, 1000, at::kCPU);
  EXPECT_GT(first, int64_t(150) << 20);
  EXPECT_GT(bytes_of(UDI_BF16, 2, at::kCPU), first);
  EXPECT_EQ(bytes_of(UDI_BF16, 100000, at::kCPU), full);
  EXPECT_LT(full, int64_t(2) << 30);
}

// A folder a class of drawn pictures.
void draw_labelled(const std::string& folder, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const std::string class_folder = text(folder, "/", i % 4);
    std::filesystem::create_directories(class_folder);
    const auto bytes = encode_jpeg(draw_picture(1, int(i % 4), uint64_t(i)), 90);
    write_atomically(text(class_folder, "/", i, ".jpg"),
                     [&](const Append& append) { append(bytes.data(), bytes.size()); });
  }
}

// Beside what the training holds. Few weights and many images, then the reverse: each has its share.
TEST(KnnMemory, IsWhatItTakes) {
  const TemporaryFolder folder;
  draw_labelled(folder / "train", 300);
  draw_labelled(folder / "test", 100);
  for (const auto& [precision, classes, depth] : {std::tuple(UDI_F32, 2, 1), std::tuple(UDI_F32, 1, 6),
                                                 std::tuple(UDI_BF16, 2, 2)}) {
    const Threads threads(1);
    Case c{"knn"};
    c.precision = precision;
    RunPlan plan = plan_of(c);
    plan.model.class_tokens = classes;
    plan.model.depth = depth;
    plan.model.head_hidden_dim = 64;
    plan.model.out_dim = 64;
    plan.knn_train = 300;
    plan.knn_test = 100;
    count_parameters(plan);
    const JobConfig config("pretrain", Json({{"data", "d"}, {"out", "o"}, {"workers", 1}, {"image_size", 64},
                                             {"knn_train", folder / "train"}, {"knn_test", folder / "test"}})
                                           .dump());
    const Host quiet;
    const KnnWatch watch(config, quiet);
    std::map<std::string, int64_t> parts;
    for (const auto& [name, bytes] : memory_parts(plan, at::kCPU)) parts[name] = bytes;

    Model model(plan.model, at::kCPU);
    model.weights.initialize(plan.model, 1);
    const Trainer trainer(model, plan.train);
    const Counting counting;
    const int64_t before = CountingAllocator::now();
    CountingAllocator::reset_peak();
    watch.measure({quiet, at::kCPU, 1, {}}, trainer.model(UDI_TEACHER));
    const double measured = double(CountingAllocator::peak() - before), estimate = double(parts.at("k-NN"));
    std::printf("  k-NN %6.1f MB announced, %6.1f MB measured, a factor of %.3f\n", estimate / 1e6, measured / 1e6,
                estimate / measured);
    EXPECT_GT(estimate, 0.85 * measured);
    EXPECT_LT(estimate, 1.15 * measured);
  }
}

}  // namespace
}  // namespace udi
