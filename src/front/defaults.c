/* Every configuration's defaults: the official ones, README recipe (docs/method.md). The core has this file, too. */
#include <string.h>

#include "front/error.h"
#include "udi.h"

/* Copies as much of the defaults as the caller's struct has room for; what a newer caller has beyond them is 0. */
static void fill(void* config, size_t struct_size, const void* defaults, size_t known) {
  if (!config || struct_size < sizeof(uint32_t) || struct_size > UINT32_MAX) return;
  const uint32_t size = (uint32_t)struct_size;
  memset(config, 0, struct_size);
  memcpy(config, defaults, struct_size < known ? struct_size : known);
  memcpy(config, &size, sizeof size); /* struct_size is the first field of each */
}

void udi_context_config_init(udi_context_config* config, size_t struct_size) {
  const udi_context_config defaults = {.device_type = UDI_CPU, .log_level = UDI_LOG_INFO};
  fill(config, struct_size, &defaults, sizeof defaults);
}

udi_status udi_model_config_init(udi_model_config* config, size_t struct_size, const char* arch, udi_error* error) {
  static const struct {
    const char* name;
    int32_t embed_dim, depth, heads, srs_heads;
  } presets[] = {{"vit_tiny", 192, 12, 3, 6},
                 {"vit_small", 384, 12, 6, 6},
                 {"vit_base", 768, 12, 12, 6},
                 {"vit_large", 1024, 24, 16, 16}}; /* 6 does not divide 1024 */
  if (!config) return front_fail(error, UDI_E_INVALID, "config is NULL");
  if (!arch) return front_fail(error, UDI_E_INVALID, "arch is NULL");
  if (struct_size < sizeof config->struct_size || struct_size > UINT32_MAX) {
    return front_fail(error, UDI_E_INVALID, "struct_size is %zu, must be sizeof(udi_model_config)", struct_size);
  }
  for (size_t i = 0; i < sizeof presets / sizeof *presets; ++i) {
    if (strcmp(arch, presets[i].name) != 0) continue;
    udi_model_config defaults = {.image_size = 224,
                                 .patch_size = 16,
                                 .channels = 3,
                                 .embed_dim = presets[i].embed_dim,
                                 .depth = presets[i].depth,
                                 .heads = presets[i].heads,
                                 .class_tokens = 2,
                                 .include_patch = 1,
                                 .srs_heads = presets[i].srs_heads,
                                 .srs_residual = 1,
                                 .out_dim = 65536,
                                 .head_hidden_dim = 2048,
                                 .head_bottleneck_dim = 256,
                                 .norm_last_layer = 0,
                                 .resize_size = 256,
                                 .drop_path_rate = 0.1f,
                                 .mlp_ratio = 4,
                                 .mean = {0.485f, 0.456f, 0.406f}, /* ImageNet's */
                                 .std = {0.229f, 0.224f, 0.225f}};
    for (int channel = 3; channel < 16; ++channel) {
      defaults.mean[channel] = 0.5f;
      defaults.std[channel] = 0.25f;
    }
    fill(config, struct_size, &defaults, sizeof defaults);
    return UDI_OK;
  }
  return front_fail(error, UDI_E_NOT_FOUND,
                    "no architecture is called '%.100s'; there are vit_tiny, vit_small, vit_base, vit_large", arch);
}

void udi_view_config_init(udi_view_config* config, size_t struct_size) {
  const udi_view_config defaults = {.global_size = 224,
                                    .local_size = 96,
                                    .patch_size = 16,
                                    .local_crops = 10,
                                    .global_window = 3,
                                    .local_window = 2,
                                    .global_scale_min = 0.25f,
                                    .global_scale_max = 1,
                                    .local_scale_min = 0.05f,
                                    .local_scale_max = 0.25f,
                                    .flip_probability = 0.5f,
                                    .jitter_probability = 0.8f,
                                    .brightness = 0.4f,
                                    .contrast = 0.4f,
                                    .saturation = 0.2f,
                                    .hue = 0.1f,
                                    .grayscale_probability = 0.2f,
                                    .blur_probability_a = 0.75f,
                                    .blur_probability_b = 0.1f,
                                    .solarize_probability_b = 0.2f,
                                    .blur_radius_min = 0.1f,
                                    .blur_radius_max = 2};
  fill(config, struct_size, &defaults, sizeof defaults);
}

void udi_loader_config_init(udi_loader_config* config, size_t struct_size) {
  const udi_loader_config defaults = {.batch_size = 128,
                                      .channels = 3,
                                      .world = 1,
                                      .max_pixels = 178956970, /* where Pillow, too, suspects a decompression bomb */
                                      .max_file_bytes = UINT64_C(1) << 30,
                                      .max_cache_bytes = UINT64_C(1) << 30,
                                      .max_bad_percent = 1};
  fill(config, struct_size, &defaults, sizeof defaults);
}

void udi_train_config_init(udi_train_config* config, size_t struct_size) {
  const udi_train_config defaults = {.precision = UDI_F32,
                                     .optimizer = UDI_ADAMW,
                                     .world = 1,
                                     .total_steps = 300,
                                     .steps_per_epoch = 1,
                                     .warmup_steps = 10,
                                     .freeze_last_layer_steps = 1,
                                     .teacher_temp_warmup_epochs = 30,
                                     .lr = 5e-4,
                                     .min_lr = 1e-5,
                                     .weight_decay = 0.04,
                                     .weight_decay_end = 0.1,
                                     .clip_grad = 3,
                                     .momentum_teacher = 0.996,
                                     .momentum_teacher_end = 1,
                                     .student_temp = 0.1,
                                     .teacher_temp = 0.07,
                                     .warmup_teacher_temp = 0.04,
                                     .alpha = 0.5,
                                     .center_momentum = 0.9,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .epsilon = 1e-8,
                                     .sgd_momentum = 0.9};
  fill(config, struct_size, &defaults, sizeof defaults);
}

void udi_group_config_init(udi_group_config* config, size_t struct_size) {
  const udi_group_config defaults = {.rank = -1, .port = -1, .timeout = 600};
  fill(config, struct_size, &defaults, sizeof defaults);
}

void udi_extract_config_init(udi_extract_config* config, size_t struct_size) {
  const udi_extract_config defaults = {.token = UDI_TOKEN_CLS, .num_blocks = 1};
  fill(config, struct_size, &defaults, sizeof defaults);
}

void udi_attention_config_init(udi_attention_config* config, size_t struct_size) {
  const udi_attention_config defaults = {.source = UDI_ATTENTION_CLS};
  fill(config, struct_size, &defaults, sizeof defaults);
}
