/* Limits on files that a context has: lower ones refuse what is good, in words that name the field. And weights that do
 * not fit, of which the log gets every one. */
#include "folder.h"

static udi_context* limited(uint64_t header_bytes, uint64_t name_bytes, uint64_t pixels, uint64_t file_bytes) {
  udi_context* context = NULL;
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  assert_true(config.max_header_bytes == 0 && config.max_file_bytes == 0); /* the defaults */
  config.max_header_bytes = header_bytes;
  config.max_name_bytes = name_bytes;
  config.max_pixels = pixels;
  config.max_file_bytes = file_bytes;
  assert_works(udi_context_create(&config, &context, &error));
  return context;
}

static void in_folder(const char* name, char path[96]) { snprintf(path, 96, "%s/%s", image_folder, name); }

static void test_values(void** state) {
  udi_context* context = UNTOUCHED;
  udi_context_config config;
  uint64_t* const fields[] = {&config.max_header_bytes, &config.max_name_bytes, &config.max_pixels,
                              &config.max_file_bytes};
  const char* const names[] = {"max_header_bytes is", "max_name_bytes is", "max_pixels is", "max_file_bytes is"};
  (void)state;
  for (int i = 0; i < 4; ++i) {
    udi_context_config_init(&config, sizeof config);
    *fields[i] = (UINT64_C(1) << 40) + 1;
    assert_fails(udi_context_create(&config, &context, &error), UDI_E_INVALID, names[i]);
    assert_ptr_equal(context, UNTOUCHED);
  }
}

static void test_weights_and_checkpoints(void** state) {
  udi_context *context = new_context(), *narrow = limited(64, 0, 0, 0), *terse = limited(0, 10, 0, 0),
              *wide = limited(1 << 20, 100, 0, 0);
  udi_model *model = new_model(context), *loaded = NULL;
  udi_trainer *trainer = new_trainer(context), *restored = NULL;
  char weights[96], checkpoint[96];
  (void)state;
  in_folder("model.safetensors", weights);
  in_folder("checkpoint.safetensors", checkpoint);
  assert_works(udi_model_save(model, weights, &error));
  assert_works(udi_trainer_save(trainer, NULL, checkpoint, &error));
  assert_fails(udi_model_load(narrow, weights, UDI_TEACHER, &loaded, &error), UDI_E_FORMAT,
               "limit of 64 (max_header_bytes)");
  assert_fails(udi_model_load(terse, weights, UDI_TEACHER, &loaded, &error), UDI_E_FORMAT,
               "limit of 10 (max_name_bytes)");
  assert_fails(udi_trainer_load(narrow, checkpoint, NULL, &restored, &error), UDI_E_FORMAT, "(max_header_bytes)");
  assert_fails(udi_trainer_load(terse, checkpoint, NULL, &restored, &error), UDI_E_FORMAT, "(max_name_bytes)");
  assert_null(loaded);
  assert_null(restored);
  assert_works(udi_model_load(wide, weights, UDI_TEACHER, &loaded, &error));
  assert_works(udi_trainer_load(wide, checkpoint, NULL, &restored, &error));
  unlink(weights);
  unlink(checkpoint);
  udi_trainer_free(restored);
  udi_trainer_free(trainer);
  udi_model_free(loaded);
  udi_model_free(model);
  udi_context_free(wide);
  udi_context_free(terse);
  udi_context_free(narrow);
  udi_context_free(context);
}

static void test_archives(void** state) {
  udi_context *terse = limited(0, 5, 0, 0), *wide = limited(0, 6, 0, 0);
  const udi_view_config views = small_view_config();
  udi_loader_config config;
  udi_loader* loader = NULL;
  char path[96], command[256];
  (void)state;
  in_folder("images.tar", path);
  snprintf(command, sizeof command, "cd %s && tar -cf images.tar 0*.npy", image_folder);
  assert_int_equal(system(command), 0);
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = 2;
  assert_fails(udi_loader_open(terse, path, &views, &config, &loader, &error), UDI_E_FORMAT,
               "a name of 6 bytes, more than max_name_bytes 5");
  assert_works(udi_loader_open(wide, path, &views, &config, &loader, &error));
  assert_int_equal(udi_loader_images(loader), FOLDER_IMAGES);
  unlink(path);
  udi_loader_free(loader);
  udi_context_free(wide);
  udi_context_free(terse);
}

/* A context whose limits let this encoded image through, or not. */
static void expect_image(udi_context* context, const udi_image* image, const char* refusal) {
  const udi_view_config config = small_view_config();
  udi_model* model = new_model(context);
  udi_tensor* batch = NULL;
  udi_views* views = NULL;
  if (refusal) {
    assert_fails(udi_model_prepare(model, image, 1, &batch, &error), UDI_E_MEMORY, refusal);
    assert_fails(udi_views_create(context, &config, image, 1, 0, 0, 0, &views, &error), UDI_E_MEMORY, refusal);
  } else {
    assert_works(udi_model_prepare(model, image, 1, &batch, &error));
    assert_works(udi_views_create(context, &config, image, 1, 0, 0, 0, &views, &error));
  }
  udi_views_free(views);
  udi_tensor_free(batch);
  udi_model_free(model);
  udi_context_free(context);
}

static void test_images_in_memory(void** state) {
  static uint8_t bytes[8192];
  udi_image image;
  char path[64];
  (void)state;
  image_path(0, path);
  FILE* file = fopen(path, "rb");
  assert_non_null(file);
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = bytes;
  image.size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  assert_true(image.size > 4800 && image.size < sizeof bytes);
  expect_image(limited(0, 0, 1600, image.size), &image, NULL);
  expect_image(limited(0, 0, 1599, 0), &image, "images[0]: the image has 40 x 40 pixels: more than the limit of 1599");
  expect_image(limited(0, 0, 1599, 0), &image, "(max_pixels)");
  expect_image(limited(0, 0, 0, image.size - 1), &image, "(max_file_bytes)");
}

struct log {
  udi_context* context;
  int lines, missing, extra, busy;
};

static void on_log(void* user, udi_log_level level, const char* message) {
  struct log* log = user;
  const udi_view_config config = small_view_config();
  udi_views* views = NULL;
  ++log->lines;
  assert_int_equal(level, UDI_LOG_ERROR);
  log->missing += strstr(message, "part.safetensors: missing backbone.backbone.") != NULL;
  log->extra += strstr(message, "part.safetensors: extra odd") != NULL;
  log->busy += udi_views_create(log->context, &config, NULL, 0, 0, 0, 0, &views, NULL) == UDI_E_STATE;
}

/* Of the tensors of a ViT with one block, four and one that no ViT has. */
static void test_every_misfit_is_logged(void** state) {
  static const char header[] =
      "{\"__metadata__\":{\"heads\":\"2\"},"
      "\"cls_token\":{\"dtype\":\"F32\",\"shape\":[1,1,4],\"data_offsets\":[0,16]},"
      "\"pos_embed\":{\"dtype\":\"F32\",\"shape\":[1,5,4],\"data_offsets\":[16,96]},"
      "\"patch_embed.proj.weight\":{\"dtype\":\"F32\",\"shape\":[4,3,2,2],\"data_offsets\":[96,288]},"
      "\"blocks.0.norm1.weight\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[288,304]},"
      "\"odd\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[304,308]}}";
  static const uint8_t data[308];
  const uint64_t size = sizeof header - 1;
  struct log log = {NULL, 0, 0, 0, 0};
  udi_context_config config;
  udi_model* model = UNTOUCHED;
  udi_error error;
  char path[96];
  (void)state;
  in_folder("part.safetensors", path);
  FILE* file = fopen(path, "wb");
  assert_non_null(file);
  fwrite(&size, 8, 1, file);
  fwrite(header, 1, (size_t)size, file);
  fwrite(data, 1, sizeof data, file);
  fclose(file);
  udi_context_config_init(&config, sizeof config);
  config.log = on_log;
  config.log_user = &log;
  assert_int_equal(udi_context_create(&config, &log.context, NULL), UDI_OK);
  assert_int_equal(udi_model_load(log.context, path, UDI_TEACHER, &model, &error), UDI_E_FORMAT);
  assert_ptr_equal(model, UNTOUCHED);
  assert_non_null(strstr(error.message, "do not fit the model"));
  assert_non_null(strstr(error.message, ": extra odd; missing backbone.backbone.patch_embed.proj.bias; missing "));
  assert_non_null(strstr(error.message, " more, all in the log"));
  assert_int_equal(log.missing, 14);
  assert_int_equal(log.extra, 1);
  assert_int_equal(log.lines, 15);
  assert_int_equal(log.busy, 15); /* the lane is held while they are written */
  unlink(path);
  udi_context_free(log.context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_weights_and_checkpoints),
      cmocka_unit_test(test_archives),
      cmocka_unit_test(test_images_in_memory),
      cmocka_unit_test(test_every_misfit_is_logged),
  };
  return cmocka_run_group_tests(tests, make_image_folder, remove_image_folder);
}
