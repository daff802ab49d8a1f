#include "jobs/settings.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/config.h"
#include "model/config.h"
#include "model/kernels.h"
#include "train/config.h"

namespace udi {
namespace {

// The given value, or `derived`, which becomes the option's value.
int64_t or_derived(JobConfig& config, const std::string& name, int64_t derived) {
  if (!config.given(name)) config.set(name, derived);
  return config.integer(name);
}

// mean or std: one number a channel.
void read_channels(JobConfig& config, const std::string& name, int64_t channels, float* values) {
  if (!config.given(name)) {
    Json list = Json::array();
    // As decimal text has it: 0.485, not the float's 0.48500001430511475.
    for (int64_t c = 0; c < channels; ++c) list.push_back(std::round(double(values[c]) * 1e6) / 1e6);
    config.set(name, list);
    return;
  }
  const auto given = config.numbers(name);
  check(int64_t(given.size()) == channels, UDI_E_INVALID, name, ": ", given.size(), " values, there are ", channels,
        " channels");
  for (size_t c = 0; c < given.size(); ++c) values[c] = float(given[c]);
}

// Steps from an option in steps, or else from its sister in epochs.
int64_t steps_of(JobConfig& config, const std::string& steps, const std::string& epochs, int64_t steps_per_epoch) {
  const double derived = std::round(config.number(epochs) * double(steps_per_epoch));
  check(derived < 1e15, UDI_E_INVALID, epochs, ": ", config.number(epochs), " epochs of ", steps_per_epoch,
        " steps are too many");
  return or_derived(config, steps, int64_t(derived));
}

}  // namespace

udi_model_config model_settings(JobConfig& config) {
  udi_model_config model = model_config_preset(config.string("arch"));
  model.image_size = int32_t(config.integer("image_size"));
  model.patch_size = int32_t(config.integer("patch_size"));
  model.channels = int32_t(config.integer("channels"));
  model.embed_dim = int32_t(or_derived(config, "embed_dim", model.embed_dim));
  model.depth = int32_t(or_derived(config, "depth", model.depth));
  model.heads = int32_t(or_derived(config, "heads", model.heads));
  model.mlp_ratio = float(config.number("mlp_ratio"));
  model.class_tokens = int32_t(config.integer("class_tokens"));
  model.include_patch = config.flag("include_patch");
  model.srs_heads = int32_t(or_derived(config, "srs_heads", model.srs_heads));
  model.srs_residual = config.flag("srs_residual");
  model.out_dim = int32_t(config.integer("out_dim"));
  model.head_hidden_dim = int32_t(config.integer("head_hidden_dim"));
  model.head_bottleneck_dim = int32_t(config.integer("head_bottleneck_dim"));
  model.norm_last_layer = config.flag("norm_last_layer");
  model.drop_path_rate = float(config.number("drop_path_rate"));
  model.resize_size = int32_t(or_derived(config, "resize_size", std::llround(model.image_size * 256.0 / 224.0)));
  model.exif_turn = config.flag("exif_turn");
  if (model.channels != 3) {
    std::fill_n(model.mean, 16, 0.5f);
    std::fill_n(model.std, 16, 0.25f);
  }
  read_channels(config, "mean", model.channels, model.mean);
  read_channels(config, "std", model.channels, model.std);
  check_model_config(model);
  return model;
}

udi_view_config view_settings(JobConfig& config) {
  udi_view_config views;
  udi_view_config_init(&views, sizeof views);
  views.global_size = int32_t(or_derived(config, "global_size", config.integer("image_size")));
  views.local_size = int32_t(config.integer("local_size"));
  views.patch_size = int32_t(config.integer("patch_size"));
  views.local_crops = int32_t(config.integer("local_crops"));
  views.global_window = int32_t(config.integer("global_window"));
  views.local_window = int32_t(config.integer("local_window"));
  views.crop_overlap = config.choice("crop_overlap");
  views.local_reference = config.choice("local_reference");
  views.crop_pairing = config.choice("crop_pairing");
  views.exif_turn = config.flag("exif_turn");
  views.global_scale_min = float(config.number("global_scale_min"));
  views.global_scale_max = float(config.number("global_scale_max"));
  views.local_scale_min = float(config.number("local_scale_min"));
  views.local_scale_max = float(config.number("local_scale_max"));
  views.flip_probability = float(config.number("flip_probability"));
  views.jitter_probability = float(config.number("jitter_probability"));
  views.brightness = float(config.number("brightness"));
  views.contrast = float(config.number("contrast"));
  views.saturation = float(config.number("saturation"));
  views.hue = float(config.number("hue"));
  views.grayscale_probability = float(config.number("grayscale_probability"));
  views.blur_probability_a = float(config.number("blur_probability_a"));
  views.blur_probability_b = float(config.number("blur_probability_b"));
  views.solarize_probability_b = float(config.number("solarize_probability_b"));
  views.blur_radius_min = float(config.number("blur_radius_min"));
  views.blur_radius_max = float(config.number("blur_radius_max"));
  check_view_config(views);
  return views;
}

udi_train_config train_settings(JobConfig& config, int64_t batches_per_epoch) {
  udi_train_config train;
  udi_train_config_init(&train, sizeof train);
  const int64_t accumulate = config.integer("accumulate");
  train.precision = config.string("precision") == "bf16" ? UDI_BF16 : UDI_F32;
  train.optimizer = UDI_ADAMW + config.choice("optimizer");
  train.target_blend = config.choice("target_blend");
  train.loss_reduction = config.choice("loss_reduction");
  train.rank_reduction = config.choice("rank_reduction");
  train.micro_batch = int32_t(config.integer("micro_batch"));
  train.steps_per_epoch = std::max<int64_t>(1, batches_per_epoch / accumulate);
  // A run of no step writes the untrained model; schedules want one step at least.
  train.total_steps = std::max<int64_t>(1, steps_of(config, "steps", "epochs", train.steps_per_epoch));
  train.warmup_steps = steps_of(config, "warmup_steps", "warmup_epochs", train.steps_per_epoch);
  train.freeze_last_layer_steps =
      steps_of(config, "freeze_last_layer_steps", "freeze_last_layer_epochs", train.steps_per_epoch);
  train.teacher_temp_warmup_epochs = config.integer("teacher_temp_warmup_epochs");
  train.seed = uint64_t(config.integer("seed"));
  train.lr = config.number("lr") * double(config.integer("batch_size") * accumulate) / 256;
  train.min_lr = config.number("min_lr");
  train.weight_decay = config.number("weight_decay");
  train.weight_decay_end = config.number("weight_decay_end");
  train.clip_grad = config.number("clip_grad");
  train.momentum_teacher = config.number("momentum_teacher");
  train.momentum_teacher_end = config.number("momentum_teacher_end");
  train.student_temp = config.number("student_temp");
  train.teacher_temp = config.number("teacher_temp");
  train.warmup_teacher_temp = config.number("warmup_teacher_temp");
  train.alpha = config.number("alpha");
  train.center_momentum = config.number("center_momentum");
  train.beta1 = config.number("beta1");
  train.beta2 = config.number("beta2");
  train.epsilon = config.number("epsilon");
  train.sgd_momentum = config.number("sgd_momentum");
  check_train_config(train);
  return train;
}

FormatLimits format_settings(const JobConfig& config) {
  FormatLimits limits;
  if (config.given("max_header_bytes")) limits.header_bytes = uint64_t(config.integer("max_header_bytes"));
  if (config.given("max_name_bytes")) limits.name_bytes = uint64_t(config.integer("max_name_bytes"));
  return limits;
}

ImageSource::Options source_settings(const JobConfig& config) {
  ImageSource::Options options;
  options.formats = format_settings(config);
  options.max_file_bytes = uint64_t(config.integer("max_file_bytes"));
  options.max_cache_bytes = uint64_t(config.integer("max_cache_bytes"));
  if (config.given("cache_dir")) options.cache_dir = config.string("cache_dir");
  return options;
}

DecodeLimits decode_settings(const JobConfig& config) {
  DecodeLimits limits;
  limits.max_pixels = uint64_t(config.integer("max_pixels"));
  limits.max_file_bytes = uint64_t(config.integer("max_file_bytes"));
  return limits;
}

udi_loader_config loader_settings(const JobConfig& config, int num_threads, int64_t rank, int64_t world) {
  udi_loader_config loader;
  udi_loader_config_init(&loader, sizeof loader);
  const int64_t batch_size = config.integer("batch_size");
  check(batch_size % world == 0, UDI_E_INVALID, "batch_size: ", batch_size, " images are of all ", world,
        " ranks together and must be a multiple of their number");
  loader.batch_size = int32_t(batch_size / world);
  loader.rank = int32_t(rank);
  loader.world = int32_t(world);
  loader.workers = config.integer("workers") ? int32_t(config.integer("workers")) : num_threads;
  loader.channels = int32_t(config.integer("channels"));
  loader.seed = uint64_t(config.integer("seed"));
  loader.max_pixels = uint64_t(config.integer("max_pixels"));
  loader.max_file_bytes = uint64_t(config.integer("max_file_bytes"));
  loader.max_cache_bytes = uint64_t(config.integer("max_cache_bytes"));
  loader.max_bad_percent = config.number("max_bad");
  return loader;
}

bool augments_on_device(const JobConfig& config, at::Device device) {
  if (config.string("augment_on") == "cpu") return false;
  kernels::augmentation(device);
  return true;
}

}  // namespace udi
