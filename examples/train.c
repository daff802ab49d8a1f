/* Trains a small model on images in memory, saves and loads it, and extracts cls tokens.
 *
 *   cc train.c $(pkg-config --cflags --libs libudi) && ./a.out
 */
#include <stdio.h>
#include <stdlib.h>
#include <udi.h>

enum { IMAGES = 32, SIDE = 32, STEPS = 60 };

static udi_error error;
static void check(udi_status status) {
  if (status == UDI_OK) return;
  fprintf(stderr, "%s: %s\n", udi_status_name(status), error.message);
  exit(1);
}

int main(void) {
  static uint8_t pixels[IMAGES][SIDE][SIDE][3]; /* stripes of many colours, widths and directions */
  udi_image images[IMAGES];
  for (int n = 0; n < IMAGES; ++n) {
    for (int i = 0; i < SIDE * SIDE * 3; ++i) {
      const int c = i % 3, x = i / 3 % SIDE, y = i / 3 / SIDE, stripe = (x * (n % 5) + y * (n % 3 + 1)) / (n % 4 + 3) % 2;
      pixels[n][y][x][c] = (uint8_t)(stripe ? 50 * (n % 6) : 80 * c);
    }
    images[n] = (udi_image){sizeof *images, UDI_U8, SIDE, SIDE, 3, 0, pixels[n], sizeof pixels[n]};
  }

  udi_context* context; /* the CPU; nothing is logged */
  udi_model *model, *loaded;
  udi_model_config sizes;
  check(udi_context_create(NULL, &context, &error));
  check(udi_model_config_init(&sizes, sizeof sizes, "vit_tiny", &error));
  sizes.image_size = sizes.resize_size = SIDE;
  sizes.patch_size = 8;
  sizes.embed_dim = 48;
  sizes.depth = 3;
  sizes.out_dim = sizes.head_hidden_dim = 256;
  check(udi_model_create(context, &sizes, 0, &model, &error));

  udi_trainer* trainer;
  udi_train_config training;
  udi_train_config_init(&training, sizeof training);
  training.total_steps = STEPS;
  training.lr = 2e-3;
  training.momentum_teacher = training.momentum_teacher_end = 0.9; /* so few steps need a teacher that follows fast */
  training.teacher_temp = training.warmup_teacher_temp = 0.03;
  check(udi_trainer_create(context, model, &training, &trainer, &error));

  udi_view_config crops;
  udi_view_config_init(&crops, sizeof crops);
  crops.global_size = SIDE;
  crops.local_size = SIDE / 2;
  crops.patch_size = sizes.patch_size;
  for (int epoch = 0; epoch < STEPS; ++epoch) { /* one step an epoch, each with new crops of all images */
    udi_views* views;
    udi_step_stats stats = {.struct_size = sizeof stats};
    check(udi_views_create(context, &crops, images, IMAGES, 0, epoch, 0, &views, &error));
    check(udi_trainer_step(trainer, (const udi_views* const*)&views, 1, &stats, &error));
    printf("step %2d  loss %.4f\n", epoch, stats.loss);
    udi_views_free(views);
  }
  udi_model_free(model);
  check(udi_trainer_model(trainer, UDI_TEACHER, &model, &error));
  check(udi_model_save(model, "model.safetensors", &error));
  check(udi_model_load(context, "model.safetensors", UDI_TEACHER, &loaded, &error));

  udi_tensor* tokens;
  udi_array cls = {.struct_size = sizeof cls};
  const udi_array batch = {sizeof batch, UDI_U8, UDI_CPU, 0, 4, 0, (const int64_t[]){IMAGES, SIDE, SIDE, 3}, NULL, pixels};
  check(udi_model_extract(loaded, &batch, UDI_NHWC, NULL, &tokens, &error));
  check(udi_tensor_view(tokens, &cls, &error));
  printf("cls of %d images, %d numbers each\n", (int)cls.shape[0], (int)cls.shape[1]);

  udi_tensor_free(tokens); /* in any order */
  udi_model_free(loaded);
  udi_model_free(model);
  udi_trainer_free(trainer);
  udi_context_free(context);
  return 0;
}
