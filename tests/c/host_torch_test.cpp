// A host program that uses LibTorch itself: libudi takes the host's LibTorch, whatever the host has set up in it
// neither shows in libudi's results nor is changed by its calls.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cfenv>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "udi.h"

namespace {

#define ASSERT_WORKS(call) ASSERT_EQ(call, UDI_OK) << error.message

// Loss of a step, and tokens: all that a host could disturb.
void run(std::vector<float>* tokens, double* loss) {
  udi_error error{};
  udi_context* context = nullptr;
  udi_model* model = nullptr;
  udi_views* views = nullptr;
  udi_trainer* trainer = nullptr;
  udi_tensor* result = nullptr;
  udi_model_config model_config;
  udi_view_config view_config;
  udi_train_config train_config;

  ASSERT_WORKS(udi_context_create(nullptr, &context, &error));
  ASSERT_WORKS(udi_model_config_init(&model_config, sizeof model_config, "vit_tiny", &error));
  model_config.image_size = model_config.resize_size = 32;
  model_config.patch_size = 8;
  model_config.embed_dim = 48;
  model_config.depth = 2;
  model_config.out_dim = model_config.head_hidden_dim = 64;
  model_config.head_bottleneck_dim = 32;
  ASSERT_WORKS(udi_model_create(context, &model_config, 3, &model, &error));

  std::vector<uint8_t> pixels(4 * 32 * 32 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = uint8_t(i * i % 241);
  std::vector<udi_image> images;
  for (size_t i = 0; i < 4; ++i) {
    images.push_back({sizeof(udi_image), UDI_U8, 32, 32, 3, 0, pixels.data() + i * 3072, 3072});
  }
  udi_view_config_init(&view_config, sizeof view_config);
  view_config.global_size = 32;
  view_config.local_size = 16;
  view_config.patch_size = 8;
  view_config.local_crops = 2;
  ASSERT_WORKS(udi_views_create(context, &view_config, images.data(), 4, 0, 0, 0, &views, &error));
  udi_train_config_init(&train_config, sizeof train_config);
  ASSERT_WORKS(udi_trainer_create(context, model, &train_config, &trainer, &error));
  udi_step_stats stats{};
  stats.struct_size = sizeof stats;
  const udi_views* batch = views;
  ASSERT_WORKS(udi_trainer_step(trainer, &batch, 1, &stats, &error));
  *loss = stats.loss;

  const int64_t shape[] = {4, 32, 32, 3};
  const udi_array array = {sizeof(udi_array), UDI_U8, UDI_CPU, 0, 4, 0, shape, nullptr, pixels.data()};
  ASSERT_WORKS(udi_model_extract(model, &array, UDI_NHWC, nullptr, &result, &error));
  udi_array view{};
  view.struct_size = sizeof view;
  ASSERT_WORKS(udi_tensor_view(result, &view, &error));
  const auto* values = static_cast<const float*>(view.data);
  tokens->assign(values, values + view.shape[0] * view.shape[1]);

  udi_tensor_free(result);
  udi_trainer_free(trainer);
  udi_views_free(views);
  udi_model_free(model);
  udi_context_free(context);
}

// The results as they are with `change` in force; check() then says that it still is.
template <class Check>
void expect_undisturbed(Check&& check) {
  std::vector<float> tokens;
  double loss = 0;
  run(&tokens, &loss);
  check();
  static const auto plain = [] {
    std::vector<float> first_tokens;
    double first_loss = 0;
    // A thread of its own has none of the caller's state.
    std::thread([&] { run(&first_tokens, &first_loss); }).join();
    return std::make_pair(first_tokens, first_loss);
  }();
  EXPECT_EQ(loss, plain.second);
  EXPECT_EQ(tokens, plain.first);
}

TEST(HostTorch, NothingSet) {
  const int threads = at::get_num_threads();
  expect_undisturbed([&] {
    EXPECT_EQ(at::get_num_threads(), threads);
    EXPECT_TRUE(at::GradMode::is_enabled());
  });
}

TEST(HostTorch, NoGradients) {
  const at::NoGradGuard guard;
  expect_undisturbed([] { EXPECT_FALSE(at::GradMode::is_enabled()); });
}

TEST(HostTorch, InferenceMode) {
  const c10::InferenceMode guard;
  expect_undisturbed([] { EXPECT_TRUE(c10::InferenceMode::is_enabled()); });
}

TEST(HostTorch, Autocast) {
  at::autocast::set_autocast_enabled(at::kCPU, true);
  expect_undisturbed([] { EXPECT_TRUE(at::autocast::is_autocast_enabled(at::kCPU)); });
  at::autocast::set_autocast_enabled(at::kCPU, false);
}

TEST(HostTorch, FloatingPointMode) {
  std::fesetround(FE_UPWARD);
  std::feclearexcept(FE_ALL_EXCEPT);
  at::globalContext().setFlushDenormal(true);
  expect_undisturbed([] {
    EXPECT_EQ(std::fegetround(), FE_UPWARD);
    EXPECT_EQ(std::fetestexcept(FE_INEXACT), 0);
  });
  at::globalContext().setFlushDenormal(false);
  std::fesetround(FE_TONEAREST);
}

// As many as the host has set, or fewer, do the work; the host's number stays, and a second call finds what the first
// found.
TEST(HostTorch, OpenMpThreads) {
  const int before = omp_get_max_threads();
  for (const int threads : {1, 3, 2}) {
    omp_set_num_threads(threads);
    std::vector<float> first, second;
    double first_loss = 0, second_loss = 0;
    run(&first, &first_loss);
    EXPECT_EQ(omp_get_max_threads(), threads);
    run(&second, &second_loss);
    EXPECT_EQ(omp_get_max_threads(), threads);
    EXPECT_EQ(first, second);
    EXPECT_EQ(first_loss, second_loss);
    // In a thread that has not asked LibTorch for anything yet, too.
    std::thread([threads] {
      omp_set_num_threads(threads);
      std::vector<float> tokens;
      double loss = 0;
      run(&tokens, &loss);
      EXPECT_EQ(omp_get_max_threads(), threads);
    }).join();
  }
  omp_set_num_threads(before);
}

TEST(HostTorch, RandomNumbers) {
  at::manual_seed(7);
  const at::Tensor wanted = at::rand({4});
  at::manual_seed(7);
  expect_undisturbed([&] { EXPECT_TRUE(at::equal(at::rand({4}), wanted)); });
}

TEST(HostTorch, AnotherDefaultDtype) {
  const caffe2::TypeMeta before = c10::get_default_dtype();
  c10::set_default_dtype(caffe2::TypeMeta::Make<double>());
  expect_undisturbed([] { EXPECT_EQ(c10::get_default_dtype(), caffe2::TypeMeta::Make<double>()); });
  c10::set_default_dtype(before);
}

}  // namespace
