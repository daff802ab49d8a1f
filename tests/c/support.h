/* What the C tests share: small handles, pictures drawn in memory, and checks that read as one line. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the headers above, which it needs */
#include <cmocka.h>

#include "udi.h"

/* The call fails with this status, and its message holds `part`. `call` passes `&error` last. */
#define assert_fails(call, expected, part)                                                                  \
  do {                                                                                                      \
    udi_error error = {0};                                                                                  \
    const udi_status status = (call);                                                                       \
    if (status != (expected) || error.status != status || !strstr(error.message, part)) {                   \
      fail_msg("%s\n  gave %s '%s'\n  wanted %s '...%s...'", #call, udi_status_name(status), error.message, \
               udi_status_name(expected), part);                                                            \
    }                                                                                                       \
  } while (0)

#define assert_works(call)                                                                               \
  do {                                                                                                   \
    udi_error error = {0};                                                                               \
    const udi_status status = (call);                                                                    \
    if (status != UDI_OK) fail_msg("%s\n  gave %s '%s'", #call, udi_status_name(status), error.message); \
  } while (0)

/* An out-parameter before a call: whatever fails must leave it so. */
#define UNTOUCHED ((void*)(uintptr_t)0x5EED)

enum { SIZE = 32, PATCH = 8 };

static inline udi_context* new_context(void) {
  udi_context* context = NULL;
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  config.num_threads = 2;
  assert_works(udi_context_create(&config, &context, &error));
  return context;
}

static inline udi_model_config small_model_config(void) {
  udi_model_config config;
  assert_int_equal(udi_model_config_init(&config, sizeof config, "vit_tiny", NULL), UDI_OK);
  config.image_size = config.resize_size = SIZE;
  config.patch_size = PATCH;
  config.embed_dim = 24;
  config.depth = 2;
  config.heads = 3;
  config.srs_heads = 3;
  config.out_dim = 64;
  config.head_hidden_dim = 32;
  config.head_bottleneck_dim = 16;
  return config;
}

static inline udi_model* new_model(udi_context* context) {
  const udi_model_config config = small_model_config();
  udi_model* model = NULL;
  assert_works(udi_model_create(context, &config, 1, &model, &error));
  return model;
}

static inline udi_view_config small_view_config(void) {
  udi_view_config config;
  udi_view_config_init(&config, sizeof config);
  config.global_size = SIZE;
  config.local_size = SIZE / 2;
  config.patch_size = PATCH;
  config.local_crops = 2;
  config.global_window = 2;
  config.local_window = 1;
  return config;
}

/* Picture number n: two waves whose direction and colour depend on n, [size, size, 3]. */
static inline void draw(int n, int size, uint8_t* pixels) {
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const double wave = sin(0.3 * (x * cos(n * 0.7) + y * sin(n * 0.7))), cross = sin(0.11 * (n + 1) * (x - y));
      for (int c = 0; c < 3; ++c) {
        pixels[(y * size + x) * 3 + c] = (uint8_t)(127.5 + 80 * wave * cos(n + c) + 40 * cross);
      }
    }
  }
}

enum { MAX_DRAWN = 16 };
struct drawing {
  uint8_t pixels[MAX_DRAWN][48 * 48 * 3];
  udi_image images[MAX_DRAWN];
};

static inline void draw_all(struct drawing* drawing) {
  memset(drawing, 0, sizeof *drawing);
  for (int n = 0; n < MAX_DRAWN; ++n) {
    udi_image* image = &drawing->images[n];
    draw(n, 48, drawing->pixels[n]);
    image->struct_size = sizeof *image;
    image->dtype = UDI_U8;
    image->height = image->width = 48;
    image->channels = 3;
    image->data = drawing->pixels[n];
    image->size = sizeof drawing->pixels[n];
  }
}

static inline udi_views* new_views(udi_context* context, int64_t count) {
  struct drawing drawing;
  const udi_view_config config = small_view_config();
  udi_views* views = NULL;
  draw_all(&drawing);
  assert_works(udi_views_create(context, &config, drawing.images, count, 7, 0, 0, &views, &error));
  return views;
}

static inline udi_train_config small_train_config(void) {
  udi_train_config config;
  udi_train_config_init(&config, sizeof config);
  config.total_steps = 20;
  config.warmup_steps = 0;
  return config;
}

static inline udi_trainer* new_trainer(udi_context* context) {
  const udi_train_config config = small_train_config();
  udi_model* model = new_model(context);
  udi_trainer* trainer = NULL;
  assert_works(udi_trainer_create(context, model, &config, &trainer, &error));
  udi_model_free(model);
  return trainer;
}

/* A row-major array over the caller's memory; shape must outlive it. */
static inline udi_array array_of(const void* data, udi_dtype dtype, int32_t ndim, const int64_t* shape) {
  udi_array array;
  memset(&array, 0, sizeof array);
  array.struct_size = sizeof array;
  array.dtype = dtype;
  array.device_type = UDI_CPU;
  array.ndim = ndim;
  array.shape = shape;
  array.data = (void*)(uintptr_t)data;
  return array;
}

static inline udi_array view_of(const udi_tensor* tensor) {
  udi_array array;
  memset(&array, 0, sizeof array);
  array.struct_size = sizeof array;
  assert_works(udi_tensor_view(tensor, &array, &error));
  return array;
}

static inline int64_t elements_of(const udi_array* array) {
  int64_t count = 1;
  for (int32_t i = 0; i < array->ndim; ++i) count *= array->shape[i];
  return count;
}

/* Tokens of the first `count` drawn pictures: both class tokens, [count, 48]. */
static inline udi_tensor* extract_tokens(const udi_model* model, int64_t first, int64_t count) {
  struct drawing drawing;
  udi_extract_config config;
  udi_tensor *batch = NULL, *tokens = NULL;
  draw_all(&drawing);
  assert_works(udi_model_prepare(model, drawing.images + first, count, &batch, &error));
  const udi_array images = view_of(batch);
  udi_extract_config_init(&config, sizeof config);
  config.token = UDI_TOKEN_BOTH;
  assert_works(udi_model_extract(model, &images, UDI_NCHW, &config, &tokens, &error));
  udi_tensor_free(batch);
  return tokens;
}

#endif
