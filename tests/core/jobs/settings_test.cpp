// From a job's options to the structs that the core works by.
#include "jobs/settings.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "model/config.h"
#include "train/config.h"

namespace udi {
namespace {

JobConfig pretrain(const std::string& options) {
  return JobConfig("pretrain", R"({"data": "d", "out": "o")" + (options.empty() ? "" : ", " + options) + "}");
}

std::string failure(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_INVALID) << error.message;
    return error.message;
  }
  ADD_FAILURE() << "nothing failed";
  return "";
}

struct ViewField {
  const char* name;
  double value;
};
std::vector<ViewField> fields_of(const udi_view_config& v) {
  return {{"global_size", double(v.global_size)},
          {"local_size", double(v.local_size)},
          {"local_crops", double(v.local_crops)},
          {"global_window", double(v.global_window)},
          {"local_window", double(v.local_window)},
          {"global_scale_min", v.global_scale_min},
          {"global_scale_max", v.global_scale_max},
          {"local_scale_min", v.local_scale_min},
          {"local_scale_max", v.local_scale_max},
          {"crop_overlap", double(v.crop_overlap)},
          {"local_reference", double(v.local_reference)},
          {"crop_pairing", double(v.crop_pairing)},
          {"exif_turn", double(v.exif_turn)},
          {"flip_probability", v.flip_probability},
          {"jitter_probability", v.jitter_probability},
          {"brightness", v.brightness},
          {"contrast", v.contrast},
          {"saturation", v.saturation},
          {"hue", v.hue},
          {"grayscale_probability", v.grayscale_probability},
          {"blur_probability_a", v.blur_probability_a},
          {"blur_probability_b", v.blur_probability_b},
          {"solarize_probability_b", v.solarize_probability_b},
          {"blur_radius_min", v.blur_radius_min},
          {"blur_radius_max", v.blur_radius_max}};
}

// The option's value as a field holds it: a choice by its place, a yes by 1.
double number_of(const Option& option, const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_array()) return value.at(0).get<double>();
  if (!value.is_string()) return value.get<double>();
  for (size_t i = 0; i < option.choices.size(); ++i) {
    if (option.choices[i] == value) return double(i);
  }
  ADD_FAILURE() << option.name << " is " << value;
  return -1;
}

// Every option, all of them changed at once (tests/cli/every_option.json): each must arrive in the field of its name.
TEST(Settings, EveryOptionArrives) {
  const Json changed = Json::parse(read_text(std::string(UDI_TEST_DIR) + "/cli/every_option.json"));
  const Json sets = Json::parse(read_text(std::string(UDI_TEST_DIR) + "/../src/jobs/schema.json")).at("sets");
  Json given = changed;
  given["data"] = given["out"] = "x";
  JobConfig config("pretrain", given.dump());
  const auto model = config_to_json(model_settings(config));
  const auto views = fields_of(view_settings(config));
  const auto train = config_to_json(train_settings(config, 10));
  // What other options make of these is asked of below.
  const std::set<std::string> derived = {"preset",     "arch",          "batch_size",
                                         "accumulate", "epochs",        "steps",
                                         "lr",         "warmup_epochs", "freeze_last_layer_epochs",
                                         "optimizer",  "precision"};
  for (const char* set : {"model", "views", "objective", "optimisation"}) {
    for (const Json& entry : sets.at(set)) {
      const std::string name = entry.at("name");
      SCOPED_TRACE(name);
      ASSERT_TRUE(changed.contains(name)) << "every_option.json must change it";
      EXPECT_NE(changed[name], entry.at("default"));
      EXPECT_EQ(config.values().at(name), changed[name]);
      if (derived.count(name)) continue;
      const double wanted = number_of(*find_job("pretrain").find(name), changed[name]);
      int found = 0;
      for (const auto& json : {model, train}) {
        if (!json.contains(name)) continue;
        ++found;
        EXPECT_NEAR(json[name].is_array() ? json[name][0].get<double>() : json[name].get<double>(), wanted, 1e-7);
      }
      for (const ViewField& field : views) {
        if (field.name != name) continue;
        ++found;
        EXPECT_NEAR(field.value, wanted, 1e-7);
      }
      EXPECT_GE(found, 1) << "it arrives nowhere";
    }
  }
  EXPECT_EQ(train.at("optimizer"), "lars");
  EXPECT_EQ(train.at("precision"), "bf16");
  EXPECT_EQ(train.at("steps_per_epoch"), 5);  // of 10 batches, two a step
  EXPECT_EQ(train.at("total_steps"), 1);      // a run of no step has schedules all the same
  EXPECT_EQ(train.at("warmup_steps"), 13);
  EXPECT_EQ(train.at("freeze_last_layer_steps"), 17);
  EXPECT_DOUBLE_EQ(train.at("lr"), 0.001 * 10 / 256);
}

TEST(Settings, TheLearningRateIsFor256Images) {
  const auto rate = [](const std::string& options) {
    JobConfig config = pretrain(options);
    return train_settings(config, 100).lr;
  };
  EXPECT_DOUBLE_EQ(rate(""), 0.0005 * 128 / 256);
  EXPECT_DOUBLE_EQ(rate(R"("batch_size": 256, "lr": 0.002)"), 0.002);
  EXPECT_DOUBLE_EQ(rate(R"("batch_size": 64, "accumulate": 16, "lr": 0.002)"), 0.008);
  JobConfig config = pretrain(R"("batch_size": 512, "min_lr": 0.001)");
  EXPECT_DOUBLE_EQ(train_settings(config, 100).min_lr, 0.001);  // not scaled
}

TEST(Settings, EpochsBecomeSteps) {
  JobConfig config = pretrain(R"("epochs": 2.5, "warmup_epochs": 0.25, "freeze_last_layer_epochs": 0.125)");
  udi_train_config train = train_settings(config, 10);
  EXPECT_EQ(train.steps_per_epoch, 10);
  EXPECT_EQ(train.total_steps, 25);
  EXPECT_EQ(train.warmup_steps, 3);  // 2.5 steps
  EXPECT_EQ(train.freeze_last_layer_steps, 1);
  EXPECT_EQ(config.integer("steps"), 25);  // the effective configuration has what followed
  EXPECT_EQ(config.integer("warmup_steps"), 3);

  config = pretrain(R"("epochs": 2, "accumulate": 3)");
  train = train_settings(config, 10);
  EXPECT_EQ(train.steps_per_epoch, 3);
  EXPECT_EQ(train.total_steps, 6);
  config = pretrain(R"("epochs": 2, "accumulate": 100)");  // more than there are: a step an epoch
  EXPECT_EQ(train_settings(config, 10).total_steps, 2);

  config = pretrain(R"("epochs": 2, "steps": 7, "warmup_epochs": 5, "warmup_steps": 0)");
  train = train_settings(config, 10);
  EXPECT_EQ(train.total_steps, 7);
  EXPECT_EQ(train.warmup_steps, 0);
  config = pretrain(R"("epochs": 1000000)");
  EXPECT_NE(failure([&] { train_settings(config, int64_t(1) << 40); }).find("epochs"), std::string::npos);
}

TEST(Settings, MeanAndDeviationAreAChannelEach) {
  JobConfig config = pretrain("");
  udi_model_config model = model_settings(config);
  EXPECT_FLOAT_EQ(model.mean[0], 0.485f);
  EXPECT_FLOAT_EQ(model.std[2], 0.225f);
  EXPECT_EQ(config.values().at("mean").dump(), "[0.485,0.456,0.406]");  // decimals, not a float's digits
  EXPECT_EQ(config.values().at("std").dump(), "[0.229,0.224,0.225]");

  config = pretrain(R"("channels": 5)");
  model = model_settings(config);
  for (int c = 0; c < 5; ++c) {
    EXPECT_EQ(model.mean[c], 0.5f);
    EXPECT_EQ(model.std[c], 0.25f);
  }
  EXPECT_EQ(config.values().at("mean").size(), 5u);

  config = pretrain(R"("channels": 2, "mean": [0.1, 0.2], "std": [0.3, 0.4])");
  model = model_settings(config);
  EXPECT_FLOAT_EQ(model.mean[1], 0.2f);
  EXPECT_FLOAT_EQ(model.std[0], 0.3f);
  config = pretrain(R"("mean": [0.1, 0.2])");
  EXPECT_EQ(failure([&] { model_settings(config); }), "mean: 2 values, there are 3 channels");
  EXPECT_NE(failure([] { pretrain(R"("std": [0.1, 0, 0.1])"); }).find("std: 0 is below"), std::string::npos);
}

TEST(Settings, WhatIsNotGivenFollowsFromTheRest) {
  JobConfig config = pretrain(R"("arch": "vit_base", "heads": 6, "image_size": 64)");
  const udi_model_config model = model_settings(config);
  EXPECT_EQ(model.embed_dim, 768);
  EXPECT_EQ(model.depth, 12);
  EXPECT_EQ(model.heads, 6);
  EXPECT_EQ(model.resize_size, 73);  // 64 * 256 / 224
  const udi_view_config views = view_settings(config);
  EXPECT_EQ(views.global_size, 64);
  EXPECT_EQ(views.patch_size, model.patch_size);
  for (const auto& [name, value] : std::map<std::string, int64_t>{
           {"embed_dim", 768}, {"depth", 12}, {"heads", 6}, {"srs_heads", 6}, {"resize_size", 73}, {"global_size", 64}})
    EXPECT_EQ(config.integer(name), value) << name;
}

TEST(Settings, LimitsReachTheLoader) {
  const JobConfig config = pretrain(
      R"("workers": 3, "max_bad": 2.5, "max_pixels": 1000, "max_file_bytes": 2000, "max_cache_bytes": 3000,
         "batch_size": 9, "channels": 4, "seed": 9223372036854775807)");
  const udi_loader_config loader = loader_settings(config, 7);
  EXPECT_EQ(loader.workers, 3);
  EXPECT_EQ(loader.max_bad_percent, 2.5);
  EXPECT_EQ(loader.max_pixels, 1000u);
  EXPECT_EQ(loader.max_file_bytes, 2000u);
  EXPECT_EQ(loader.max_cache_bytes, 3000u);
  EXPECT_EQ(loader.batch_size, 9);
  EXPECT_EQ(loader.channels, 4);
  EXPECT_EQ(loader.seed, uint64_t(INT64_MAX));
  EXPECT_EQ(loader_settings(pretrain(""), 7).workers, 7);  // 0: the host's number
  EXPECT_EQ(source_settings(config).max_file_bytes, 2000u);
  EXPECT_EQ(source_settings(config).max_cache_bytes, 3000u);
  EXPECT_EQ(decode_settings(config).max_pixels, 1000u);
}

TEST(Settings, AugmentationOnTheDeviceNeedsAGpu) {
  EXPECT_FALSE(augments_on_device(pretrain(""), at::kCPU));
  try {
    augments_on_device(pretrain(R"("augment_on": "device")"), at::kCPU);
    FAIL() << "the CPU is no GPU";
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_INVALID);
    EXPECT_NE(error.message.find("needs a GPU, and the device is the CPU"), std::string::npos) << error.message;
  }
}

}  // namespace
}  // namespace udi
