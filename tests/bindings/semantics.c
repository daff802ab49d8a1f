/* The reference for every binding: trains three steps from fixed seeds on the CPU and prints what came out, bit by bit.
 * Each language has the same program and prints the same bytes (bindings/README.md has the recipe in words).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <udi.h>

enum { IMAGES = 8, SIDE = 48, STEPS = 3 };

static udi_error error;
static void check(udi_status status) {
  if (status == UDI_OK) return;
  fprintf(stderr, "%s: %s\n", udi_status_name(status), error.message);
  exit(1);
}

static uint64_t fnv1a(const void* data, size_t size) {
  uint64_t hash = UINT64_C(14695981039346656037);
  const uint8_t* bytes = data;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
  return hash;
}

static void draw(udi_image* images) {
  static uint8_t pixels[IMAGES][SIDE][SIDE][3];
  for (int n = 0; n < IMAGES; ++n) {
    for (int y = 0; y < SIDE; ++y) {
      for (int x = 0; x < SIDE; ++x) {
        for (int c = 0; c < 3; ++c) {
          pixels[n][y][x][c] = (uint8_t)((29 * n + 3 * x * (n % 5 + 1) + 5 * y * (n % 3 + 1) + 71 * c + x * y / 8) % 256);
        }
      }
    }
    const udi_image image = {sizeof image, UDI_U8, SIDE, SIDE, 3, 0, pixels[n], sizeof pixels[n]};
    images[n] = image;
  }
}

static udi_model* new_model(udi_context* context) {
  udi_model* model;
  udi_model_config config;
  check(udi_model_config_init(&config, sizeof config, "vit_tiny", &error));
  config.image_size = config.resize_size = 32;
  config.patch_size = 8;
  config.embed_dim = 24;
  config.depth = 2;
  config.heads = config.srs_heads = 3;
  config.out_dim = 64;
  config.head_hidden_dim = 32;
  config.head_bottleneck_dim = 16;
  check(udi_model_create(context, &config, 1, &model, &error));
  return model;
}

static udi_model* train(udi_context* context, const udi_image* images) {
  udi_trainer* trainer;
  udi_train_config training;
  udi_view_config crops;
  udi_model* model = new_model(context);
  udi_train_config_init(&training, sizeof training);
  training.total_steps = STEPS;
  training.warmup_steps = 0;
  training.seed = 3;
  check(udi_trainer_create(context, model, &training, &trainer, &error));
  udi_model_free(model);

  udi_view_config_init(&crops, sizeof crops);
  crops.global_size = 32;
  crops.local_size = 16;
  crops.patch_size = 8;
  crops.local_crops = 2;
  crops.global_window = 2;
  crops.local_window = 1;
  for (int step = 0; step < STEPS; ++step) { /* each step is an epoch */
    udi_views* views;
    udi_step_stats stats;
    uint64_t bits;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    check(udi_views_create(context, &crops, images, IMAGES, 7, step, 0, &views, &error));
    check(udi_trainer_step(trainer, (const udi_views* const*)&views, 1, &stats, &error));
    memcpy(&bits, &stats.loss, sizeof bits);
    printf("step %d loss %016" PRIx64 "\n", step, bits);
    udi_views_free(views);
  }
  check(udi_trainer_model(trainer, UDI_TEACHER, &model, &error));
  udi_trainer_free(trainer);
  return model;
}

static void extract(const udi_model* model, const udi_image* images) {
  udi_tensor *batch, *tokens;
  udi_extract_config config;
  udi_array array;
  memset(&array, 0, sizeof array);
  array.struct_size = sizeof array;
  check(udi_model_prepare(model, images, IMAGES, &batch, &error));
  check(udi_tensor_view(batch, &array, &error));
  udi_extract_config_init(&config, sizeof config);
  config.token = UDI_TOKEN_BOTH;
  check(udi_model_extract(model, &array, UDI_NCHW, &config, &tokens, &error));
  check(udi_tensor_view(tokens, &array, &error));
  const size_t size = (size_t)(array.shape[0] * array.shape[1]) * sizeof(float);
  printf("tokens %" PRId64 " %" PRId64 " %016" PRIx64 "\n", array.shape[0], array.shape[1], fnv1a(array.data, size));
  udi_tensor_free(tokens);
  udi_tensor_free(batch);
}

int main(void) {
  udi_image images[IMAGES];
  udi_context* context;
  udi_context_config config;
  draw(images);
  printf("api %s\n", udi_api_fingerprint());
  udi_context_config_init(&config, sizeof config);
  config.num_threads = 1;
  check(udi_context_create(&config, &context, &error));
  udi_model* model = train(context, images);
  extract(model, images);
  udi_model_free(model);
  udi_context_free(context);
  return 0;
}
