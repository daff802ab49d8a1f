// What comes late where kernels work: errors, which stop everything after them, and counts, which live on the device.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "steps.h"
#include "train/checkpoint.h"

namespace udi {
namespace {

// A pixel of one image is no number.
Views bad_views(uint64_t seed) {
  Views bad = make_views(seed);
  bad.dtype = UDI_F32;
  for (auto* crops : {&bad.global, &bad.local}) {
    std::vector<float> pixels(crops->begin(), crops->end());
    for (float& p : pixels) p /= 255;
    if (crops == &bad.global) pixels[size_t(2 * 3 * 16 * 16 + 5)] = std::nanf("");
    crops->resize(pixels.size() * sizeof(float));
    std::memcpy(crops->data(), pixels.data(), crops->size());
  }
  return bad;
}

Views float_views(uint64_t seed) {
  Views views = bad_views(seed);
  std::vector<float> pixels(views.global.size() / sizeof(float));
  std::memcpy(pixels.data(), views.global.data(), views.global.size());
  pixels[size_t(2 * 3 * 16 * 16 + 5)] = 0.5f;
  std::memcpy(views.global.data(), pixels.data(), views.global.size());
  return views;
}

template <class Call>
std::string nonfinite_words(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_NONFINITE);
    return error.message;
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Step, NamesWhatIsNotFiniteLate) {
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    SCOPED_TRACE(mode == Mode::kReplayed ? "replayed" : "kernels");
    const Turned turned(mode);
    Trainer trainer(make_model(model_config()), small_train()), twin(make_model(model_config()), small_train());
    const auto go = [&](Trainer& t, uint64_t seed) {
      const Views views = float_views(seed);
      t.step({&views}, Host(), nullptr);
    };
    for (uint64_t seed = 0; seed < 5; ++seed) go(trainer, seed), go(twin, seed);
    twin.settle();
    const Views bad = bad_views(5);
    trainer.step({&bad}, Host(), nullptr);
    for (uint64_t seed = 6; seed < 9; ++seed) go(trainer, seed);
    EXPECT_EQ(trainer.steps(), 9);
    const std::string words = nonfinite_words([&] { trainer.settle(); });
    EXPECT_EQ(words.find("step 5: the loss is not finite in global_cls, global_cls_plus"), 0u) << words;
    EXPECT_NE(words.find("for samples 502; nothing moved. What was done after it (3 steps)"), std::string::npos)
        << words;
    EXPECT_TRUE(support::same_bits(trainer, twin));  // steps() is 5 again, too
    go(trainer, 6);
    go(twin, 6);
    trainer.settle();
    twin.settle();
    EXPECT_TRUE(support::same_bits(trainer, twin));

    // At once where statistics are wanted, at a checkpoint, and after some steps by itself.
    udi_step_stats stats{};
    const std::string now = nonfinite_words([&] { trainer.step({&bad}, Host(), &stats); });
    EXPECT_NE(now.find("for samples 502; nothing moved"), std::string::npos) << now;
    EXPECT_EQ(now.find("after it"), std::string::npos) << now;
    support::TemporaryFolder folder;
    trainer.step({&bad}, Host(), nullptr);
    nonfinite_words([&] { save_checkpoint(trainer, {}, folder.path + "/c.safetensors"); });
    EXPECT_FALSE(std::filesystem::exists(folder.path + "/c.safetensors"));
    const std::string later = nonfinite_words([&] {
      trainer.step({&bad}, Host(), nullptr);
      for (uint64_t seed = 0; seed < 40; ++seed) go(trainer, seed);
    });
    EXPECT_NE(later.find("after it (15 steps)"), std::string::npos) << later;
    EXPECT_TRUE(support::same_bits(trainer, twin));
  }
}

// A checkpoint goes on to the same bits, counts of updates included, which live on the device in between.
TEST(Step, GoesOnFromACheckpoint) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors";
  const auto go = [](Trainer& trainer, int count) {
    for (int i = 0; i < count; ++i) {
      const Views views = make_views(uint64_t(trainer.steps()));
      trainer.step({&views}, Host(), nullptr);
    }
  };
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    const Turned turned(mode);
    Trainer straight(make_model(model_config()), small_train());
    go(straight, 4);
    save_checkpoint(straight, {}, path);
    go(straight, 4);
    straight.settle();
    const LoadedCheckpoint loaded = load_checkpoint(path, at::kCPU, false);
    go(*loaded.trainer, 4);
    loaded.trainer->settle();
    EXPECT_TRUE(support::same_bits(straight, *loaded.trainer));
  }
}

// Kernels that go away in the middle of a run take their counts back to the host.
TEST(Step, LeavesTheDevice) {
  Trainer trainer(make_model(model_config()), small_train());
  const Outcome host = run(Mode::kOff, model_config(), small_train(), {}, 6);
  for (int step = 0; step < 6; ++step) {
    const Turned turned(step < 2 ? Mode::kReplayed : step < 4 ? Mode::kOff : Mode::kKernels);
    const Views a = make_views(uint64_t(10 + step)), b = make_views(uint64_t(50 + step));
    trainer.step({&a, &b}, Host(), nullptr);
  }
  trainer.settle();
  EXPECT_LT(distance(trainer.student().flat, host.student), 1e-4);
  EXPECT_EQ(trainer.state(), host.state);
}

}  // namespace
}  // namespace udi
