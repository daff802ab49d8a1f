/* Every entry point with what it must refuse: the message names the field, the value and the limit, and nothing is
 * written. */
#include "folder.h"

static struct {
  udi_context* context;
  udi_model* model;
  udi_views* views;
  udi_loader* loader;
  udi_trainer* trainer;
  udi_tensor* tensor;
} have;

static int make_handles(void** state) {
  if (make_image_folder(state) != 0) return -1;
  have.context = new_context();
  have.model = new_model(have.context);
  have.views = new_views(have.context, 2);
  have.loader = open_image_folder(have.context, 1);
  have.trainer = new_trainer(have.context);
  have.tensor = extract_tokens(have.model, 0, 1);
  return 0;
}

static int free_handles(void** state) {
  udi_tensor_free(have.tensor);
  udi_trainer_free(have.trainer);
  udi_loader_free(have.loader);
  udi_views_free(have.views);
  udi_model_free(have.model);
  udi_context_free(have.context);
  return remove_image_folder(state);
}

static void assert_null_is_refused(udi_status status, const udi_error* error, const char* argument) {
  char text[64];
  snprintf(text, sizeof text, "%s is NULL", argument);
  if (status != UDI_E_INVALID || !strstr(error->message, text)) {
    fail_msg("gave %s '%s', wanted '%s'", udi_status_name(status), error->message, text);
  }
}

#define assert_refuses_null(argument, call)           \
  do {                                                \
    udi_error error = {0};                            \
    const udi_status status = (call);                 \
    assert_null_is_refused(status, &error, argument); \
  } while (0)

static void test_null_context_and_model(void** state) {
  udi_context_config context_config;
  udi_model_config model_config = small_model_config();
  udi_model* model = UNTOUCHED;
  udi_tensor* tensor = UNTOUCHED;
  udi_model_info info = {sizeof info, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const int64_t shape[] = {1, 3, SIZE, SIZE};
  static float pixels[3 * SIZE * SIZE];
  const udi_array images = array_of(pixels, UDI_F32, 4, shape);
  static struct drawing drawing;
  (void)state;
  draw_all(&drawing);
  udi_context_config_init(&context_config, sizeof context_config);
  assert_refuses_null("out", udi_context_create(&context_config, NULL, &error));
  assert_refuses_null("context", udi_model_create(NULL, &model_config, 0, &model, &error));
  assert_refuses_null("config", udi_model_create(have.context, NULL, 0, &model, &error));
  assert_refuses_null("out", udi_model_create(have.context, &model_config, 0, NULL, &error));
  assert_refuses_null("context", udi_model_load(NULL, "x", UDI_TEACHER, &model, &error));
  assert_refuses_null("path", udi_model_load(have.context, NULL, UDI_TEACHER, &model, &error));
  assert_refuses_null("out", udi_model_load(have.context, "x", UDI_TEACHER, NULL, &error));
  assert_refuses_null("model", udi_model_save(NULL, "x", &error));
  assert_refuses_null("path", udi_model_save(have.model, NULL, &error));
  assert_refuses_null("model", udi_model_get_config(NULL, &model_config, &error));
  assert_refuses_null("out", udi_model_get_config(have.model, NULL, &error));
  assert_refuses_null("model", udi_model_get_info(NULL, &info, &error));
  assert_refuses_null("out", udi_model_get_info(have.model, NULL, &error));
  assert_refuses_null("model", udi_model_param_get(NULL, "x", &tensor, &error));
  assert_refuses_null("name", udi_model_param_get(have.model, NULL, &tensor, &error));
  assert_refuses_null("out", udi_model_param_get(have.model, "x", NULL, &error));
  assert_refuses_null("model", udi_model_param_set(NULL, "x", &images, &error));
  assert_refuses_null("name", udi_model_param_set(have.model, NULL, &images, &error));
  assert_refuses_null("value", udi_model_param_set(have.model, udi_model_param_name(have.model, 0), NULL, &error));
  assert_refuses_null("model", udi_model_prepare(NULL, drawing.images, 1, &tensor, &error));
  assert_refuses_null("images", udi_model_prepare(have.model, NULL, 1, &tensor, &error));
  assert_refuses_null("out", udi_model_prepare(have.model, drawing.images, 1, NULL, &error));
  assert_refuses_null("model", udi_model_extract(NULL, &images, UDI_NCHW, NULL, &tensor, &error));
  assert_refuses_null("images", udi_model_extract(have.model, NULL, UDI_NCHW, NULL, &tensor, &error));
  assert_refuses_null("out", udi_model_extract(have.model, &images, UDI_NCHW, NULL, NULL, &error));
  assert_refuses_null("model", udi_model_attention(NULL, &images, UDI_NCHW, NULL, &tensor, &error));
  assert_refuses_null("images", udi_model_attention(have.model, NULL, UDI_NCHW, NULL, &tensor, &error));
  assert_refuses_null("out", udi_model_attention(have.model, &images, UDI_NCHW, NULL, NULL, &error));
  assert_ptr_equal(model, UNTOUCHED);
  assert_ptr_equal(tensor, UNTOUCHED);
}

static void test_null_views_loader_trainer_jobs(void** state) {
  const udi_view_config views_config = small_view_config();
  udi_loader_config loader_config;
  const udi_train_config train_config = small_train_config();
  static struct drawing drawing;
  udi_array array = {sizeof array, 0, 0, 0, 0, 0, NULL, NULL, NULL};
  udi_views* views = UNTOUCHED;
  udi_tensor* tensor = UNTOUCHED;
  udi_loader* loader = UNTOUCHED;
  udi_trainer* trainer = UNTOUCHED;
  udi_group* group = UNTOUCHED;
  udi_model* model = UNTOUCHED;
  const udi_views* batch[] = {have.views, NULL};
  udi_step_stats stats = {0};
  char* result = UNTOUCHED;
  (void)state;
  draw_all(&drawing);
  udi_loader_config_init(&loader_config, sizeof loader_config);
  assert_refuses_null("tensor", udi_tensor_view(NULL, &array, &error));
  assert_refuses_null("out", udi_tensor_view(have.tensor, NULL, &error));
  assert_refuses_null("context", udi_views_create(NULL, &views_config, drawing.images, 1, 0, 0, 0, &views, &error));
  assert_refuses_null("config", udi_views_create(have.context, NULL, drawing.images, 1, 0, 0, 0, &views, &error));
  assert_refuses_null("images", udi_views_create(have.context, &views_config, NULL, 1, 0, 0, 0, &views, &error));
  assert_refuses_null("out", udi_views_create(have.context, &views_config, drawing.images, 1, 0, 0, 0, NULL, &error));
  assert_refuses_null(
      "context", udi_views_from_arrays(NULL, &views_config, &array, &array, &array, &array, &array, &views, &error));
  assert_refuses_null(
      "config", udi_views_from_arrays(have.context, NULL, &array, &array, &array, &array, &array, &views, &error));
  assert_refuses_null("global", udi_views_from_arrays(have.context, &views_config, NULL, &array, &array, &array, &array,
                                                      &views, &error));
  assert_refuses_null(
      "out", udi_views_from_arrays(have.context, &views_config, &array, &array, &array, &array, &array, NULL, &error));
  assert_refuses_null("views", udi_views_crops(NULL, 1, &tensor, &error));
  assert_refuses_null("out", udi_views_crops(have.views, 1, NULL, &error));
  assert_refuses_null("views", udi_views_coords(NULL, &tensor, &error));
  assert_refuses_null("out", udi_views_coords(have.views, NULL, &error));
  assert_refuses_null("context", udi_loader_open(NULL, "x", &views_config, &loader_config, &loader, &error));
  assert_refuses_null("path", udi_loader_open(have.context, NULL, &views_config, &loader_config, &loader, &error));
  assert_refuses_null("views", udi_loader_open(have.context, "x", NULL, &loader_config, &loader, &error));
  assert_refuses_null("config", udi_loader_open(have.context, "x", &views_config, NULL, &loader, &error));
  assert_refuses_null("out", udi_loader_open(have.context, "x", &views_config, &loader_config, NULL, &error));
  assert_refuses_null("loader", udi_loader_next(NULL, &views, &error));
  assert_refuses_null("out", udi_loader_next(have.loader, NULL, &error));
  assert_refuses_null("loader", udi_loader_seek(NULL, 0, &error));
  assert_refuses_null("context", udi_trainer_create(NULL, have.model, &train_config, &trainer, &error));
  assert_refuses_null("model", udi_trainer_create(have.context, NULL, &train_config, &trainer, &error));
  assert_refuses_null("config", udi_trainer_create(have.context, have.model, NULL, &trainer, &error));
  assert_refuses_null("out", udi_trainer_create(have.context, have.model, &train_config, NULL, &error));
  assert_refuses_null("trainer", udi_trainer_step(NULL, batch, 1, NULL, &error));
  assert_refuses_null("views", udi_trainer_step(have.trainer, NULL, 1, NULL, &error));
  assert_fails(udi_trainer_step(have.trainer, batch, 1, &stats, &error), UDI_E_INVALID, "stats.struct_size is 0");
  assert_refuses_null("views[1]", udi_trainer_step(have.trainer, batch, 2, NULL, &error));
  assert_refuses_null("context", udi_group_create(NULL, NULL, &group, &error));
  assert_refuses_null("out", udi_group_create(have.context, NULL, NULL, &error));
  assert_refuses_null("trainer", udi_trainer_join(NULL, NULL, &error));
  assert_refuses_null("group", udi_trainer_join(have.trainer, NULL, &error));
  assert_true((void*)group == UNTOUCHED);
  assert_refuses_null("trainer", udi_trainer_model(NULL, UDI_TEACHER, &model, &error));
  assert_refuses_null("out", udi_trainer_model(have.trainer, UDI_TEACHER, NULL, &error));
  assert_refuses_null("trainer", udi_trainer_save(NULL, NULL, "x", &error));
  assert_refuses_null("path", udi_trainer_save(have.trainer, NULL, NULL, &error));
  assert_refuses_null("context", udi_trainer_load(NULL, "x", NULL, &trainer, &error));
  assert_refuses_null("path", udi_trainer_load(have.context, NULL, NULL, &trainer, &error));
  assert_refuses_null("out", udi_trainer_load(have.context, "x", NULL, NULL, &error));
  assert_refuses_null("context", udi_job_run(NULL, "inspect", "{}", NULL, NULL, &result, &error));
  assert_refuses_null("name", udi_job_run(have.context, NULL, "{}", NULL, NULL, &result, &error));
  assert_refuses_null("config_json", udi_job_run(have.context, "inspect", NULL, NULL, NULL, &result, &error));
  assert_true((void*)views == UNTOUCHED && (void*)tensor == UNTOUCHED && (void*)loader == UNTOUCHED);
  assert_true((void*)trainer == UNTOUCHED && (void*)model == UNTOUCHED && (void*)result == UNTOUCHED);
  assert_int_equal(udi_trainer_steps(have.trainer), 0);
}

/* A caller's crops: local and sample_local are NULL without local crops, and only then. */
static void test_null_callers_crops(void** state) {
  static uint8_t bytes[2 * 3 * SIZE * SIZE], mask[16] = {1};
  static float boxes[2 * 4] = {0, 0, 1, 1, 0, 0, 1, 1};
  static const int64_t crops_shape[] = {2, 1, 3, SIZE, SIZE}, coords_shape[] = {2, 1, 4}, mask_shape[] = {1, 16};
  const udi_array crops = array_of(bytes, UDI_U8, 5, crops_shape), coords = array_of(boxes, UDI_F32, 3, coords_shape),
                  sample = array_of(mask, UDI_U8, 2, mask_shape);
  udi_view_config config = small_view_config();
  udi_views* views = UNTOUCHED;
  (void)state;
#define VIEWS(local, coords, sample_global, sample_local) \
  udi_views_from_arrays(have.context, &config, &crops, local, coords, sample_global, sample_local, &views, &error)
  assert_refuses_null("local", VIEWS(NULL, &coords, &sample, &sample));
  assert_refuses_null("sample_local", VIEWS(&crops, &coords, &sample, NULL));
  config.local_crops = 0;
  assert_refuses_null("coords", VIEWS(NULL, NULL, &sample, NULL));
  assert_refuses_null("sample_global", VIEWS(NULL, &coords, NULL, NULL));
  assert_fails(VIEWS(NULL, &coords, &sample, &sample), UDI_E_INVALID,
               "sample_local is given, and config.local_crops is 0");
  config.channels = 1;
  assert_fails(VIEWS(NULL, &coords, &sample, NULL), UDI_E_SHAPE, "global.shape[2] is 3, must be config.channels, 1");
  assert_ptr_equal(views, UNTOUCHED);
  config.channels = 3;
  assert_works(VIEWS(NULL, &coords, &sample, NULL));
  udi_views_free(views);
#undef VIEWS
}

/* NULL that stands for a default. */
static void test_null_configurations(void** state) {
  static float pixels[3 * SIZE * SIZE];
  const int64_t shape[] = {1, 3, SIZE, SIZE};
  const udi_array images = array_of(pixels, UDI_F32, 4, shape);
  udi_extract_config extract;
  udi_attention_config attention;
  udi_context* context = NULL;
  udi_tensor *by_default = NULL, *by_hand = NULL;
  (void)state;
  assert_works(udi_context_create(NULL, &context, &error));
  udi_context_free(context);
  udi_extract_config_init(&extract, sizeof extract);
  udi_attention_config_init(&attention, sizeof attention);
  assert_works(udi_model_extract(have.model, &images, UDI_NCHW, NULL, &by_default, &error));
  assert_works(udi_model_extract(have.model, &images, UDI_NCHW, &extract, &by_hand, &error));
  assert_memory_equal(view_of(by_default).data, view_of(by_hand).data, 24 * sizeof(float));
  udi_tensor_free(by_default);
  udi_tensor_free(by_hand);
  assert_works(udi_model_attention(have.model, &images, UDI_NCHW, NULL, &by_default, &error));
  assert_works(udi_model_attention(have.model, &images, UDI_NCHW, &attention, &by_hand, &error));
  assert_memory_equal(view_of(by_default).data, view_of(by_hand).data, 3 * 16 * sizeof(float));
  udi_tensor_free(by_default);
  udi_tensor_free(by_hand);
}

/* Everything takes NULL where nothing can be said; and a call that fails needs no udi_error. */
static void test_null_without_a_status(void** state) {
  (void)state;
  udi_context_free(NULL);
  udi_model_free(NULL);
  udi_tensor_free(NULL);
  udi_views_free(NULL);
  udi_loader_free(NULL);
  udi_trainer_free(NULL);
  udi_group_free(NULL);
  udi_string_free(NULL);
  udi_context_cancel(NULL);
  udi_context_clear_cancel(NULL);
  assert_int_equal(udi_model_param_count(NULL), 0);
  assert_int_equal(udi_views_count(NULL), 0);
  assert_int_equal(udi_loader_images(NULL), 0);
  assert_int_equal(udi_loader_steps_per_epoch(NULL), 0);
  assert_int_equal(udi_loader_position(NULL), 0);
  assert_int_equal(udi_trainer_steps(NULL), 0);
  assert_int_equal(udi_group_rank(NULL), 0);
  assert_int_equal(udi_group_world(NULL), 0);
  assert_true(udi_model_param_name(NULL, 0) == NULL);
  assert_true(udi_model_param_name(have.model, -1) == NULL);
  assert_true(udi_model_param_name(have.model, udi_model_param_count(have.model)) == NULL);
  assert_int_equal(udi_model_save(NULL, NULL, NULL), UDI_E_INVALID);
}

#define assert_array_refuses(change, expected, part)                                                        \
  do {                                                                                                      \
    int64_t shape[8] = {1, 3, SIZE, SIZE, 1, 1, 1, 1}, strides[] = {3 * SIZE * SIZE, SIZE * SIZE, SIZE, 1}; \
    udi_array images = array_of(pixels, UDI_F32, 4, shape);                                                 \
    udi_tensor* tensor = UNTOUCHED;                                                                         \
    udi_layout layout = UDI_NCHW;                                                                           \
    images.strides = strides;                                                                               \
    change;                                                                                                 \
    assert_fails(udi_model_extract(have.model, &images, layout, NULL, &tensor, &error), expected, part);    \
    assert_ptr_equal(tensor, UNTOUCHED);                                                                    \
  } while (0)

static void test_arrays(void** state) {
  static float pixels[3 * SIZE * SIZE];
  (void)state;
  assert_array_refuses(images.struct_size = 0, UDI_E_INVALID, "images.struct_size is 0");
  assert_array_refuses(images.dtype = 0, UDI_E_INVALID, "images.dtype is 0, must be UDI_U8 (1) to UDI_F64 (8)");
  assert_array_refuses(images.dtype = UDI_F64, UDI_E_SHAPE, "images.dtype is UDI_F64, must be UDI_U8 or UDI_F32");
  assert_array_refuses(images.device_type = 3, UDI_E_INVALID, "images.device_type is 3");
  assert_array_refuses(images.device_index = 2, UDI_E_INVALID, "images.device_index is 2");
  assert_array_refuses(images.device_type = UDI_CUDA, UDI_E_DEVICE, "the context is on cpu");
  assert_array_refuses(images.ndim = 9, UDI_E_INVALID, "images.ndim is 9, must be 0 to 8");
  assert_array_refuses(images.ndim = -1, UDI_E_INVALID, "images.ndim is -1");
  assert_array_refuses(images.ndim = 3, UDI_E_SHAPE, "images.shape is [1, 3, 32], must be [any, 3, any, any]");
  assert_array_refuses(images.flags = 1, UDI_E_INVALID, "images.flags is 1, must be 0");
  assert_array_refuses(images.shape = NULL, UDI_E_INVALID, "images.shape is NULL");
  assert_array_refuses(images.data = NULL, UDI_E_INVALID, "images.data is NULL");
  assert_array_refuses(images.data = (char*)pixels + 1, UDI_E_INVALID, "images.data is not aligned");
  assert_array_refuses(shape[0] = 0, UDI_E_SHAPE, "images.shape[0] is 0, must be at least 1");
  assert_array_refuses(shape[2] = -4, UDI_E_SHAPE, "images.shape[2] is -4");
  assert_array_refuses(shape[0] = INT64_MAX, UDI_E_SHAPE, "images.shape is of more than 2^63 bytes");
  assert_array_refuses((shape[0] = INT64_MAX / 4, strides[0] = 0), UDI_E_SHAPE, "2^63");
  assert_array_refuses(strides[3] = -1, UDI_E_INVALID, "images.strides[3] is -1, must be at least 0");
  assert_array_refuses(shape[1] = 4, UDI_E_SHAPE, "images.shape is [1, 4, 32, 32], must be [any, 3, any, any]");
  assert_array_refuses(layout = UDI_NHWC, UDI_E_SHAPE, "must be [any, any, any, 3]: UDI_NHWC");
  assert_array_refuses(layout = 0, UDI_E_INVALID, "layout is 0");
  assert_array_refuses(shape[3] = 31, UDI_E_SHAPE, "patch_size, 8");
}

#define assert_image_refused(change, expected, part)                                             \
  do {                                                                                           \
    udi_image images[2] = {drawing.images[0], drawing.images[1]};                                \
    udi_image* image = &images[1];                                                               \
    int64_t count = 2;                                                                           \
    udi_tensor* tensor = UNTOUCHED;                                                              \
    change;                                                                                      \
    (void)image;                                                                                 \
    assert_fails(udi_model_prepare(have.model, images, count, &tensor, &error), expected, part); \
    assert_ptr_equal(tensor, UNTOUCHED);                                                         \
  } while (0)

static void test_images(void** state) {
  static struct drawing drawing;
  static const float not_finite[3] = {0, NAN, 0};
  (void)state;
  draw_all(&drawing);
  assert_image_refused(count = 0, UDI_E_INVALID, "count is 0, must be 1 to");
  assert_image_refused(count = -1, UDI_E_INVALID, "count is -1");
  assert_image_refused(image->data = NULL, UDI_E_INVALID, "images[1]: data is NULL");
  assert_image_refused(image->size = 0, UDI_E_INVALID, "images[1]: size is 0");
  assert_image_refused(image->size -= 1, UDI_E_SHAPE,
                       "images[1]: size is 6911 bytes, must be 6912: 48 x 48 x 3 of UDI_U8");
  assert_image_refused(image->dtype = UDI_I64, UDI_E_INVALID, "images[1]: dtype is 4, must be UDI_U8");
  assert_image_refused(image->height = 0, UDI_E_INVALID, "images[1]: height is 0, must be 1 to");
  assert_image_refused(image->width = INT32_MAX, UDI_E_INVALID, "images[1]: width is 2147483647");
  assert_image_refused(image->channels = 17, UDI_E_INVALID, "images[1]: channels is 17, must be 1 to 16");
  assert_image_refused(image->reserved = 1, UDI_E_INVALID, "images[1]: reserved is 1, must be 0");
  assert_image_refused((image->channels = 1, image->size /= 3), UDI_E_SHAPE,
                       "images[1]: channels is 1, an image before it has 3");
  assert_image_refused(image->dtype = 0, UDI_E_FORMAT, "images[1]: ");
  assert_image_refused((image->dtype = UDI_F32, image->height = image->width = 1, image->data = not_finite,
                        image->size = sizeof not_finite),
                       UDI_E_INVALID, "images[1]: value 1 is not finite");
}

static void test_weights(void** state) {
  const int64_t shape[] = {2, 2};
  static const float values[4];
  const udi_array wrong = array_of(values, UDI_F32, 2, shape);
  udi_tensor* tensor = UNTOUCHED;
  const char* name = udi_model_param_name(have.model, 0);
  (void)state;
  assert_fails(udi_model_param_get(have.model, "no.such.weight", &tensor, &error), UDI_E_NOT_FOUND, "no.such.weight");
  assert_fails(udi_model_param_set(have.model, "no.such.weight", &wrong, &error), UDI_E_NOT_FOUND, "no.such.weight");
  assert_fails(udi_model_param_set(have.model, name, &wrong, &error), UDI_E_SHAPE,
               "value.shape is [2, 2], must be [1, 2, 24]");
  assert_ptr_equal(tensor, UNTOUCHED);
}

static void test_handles_of_two_contexts(void** state) {
  udi_context* other = new_context();
  udi_views* views = new_views(other, 2);
  const udi_views* batch = views;
  const udi_train_config config = small_train_config();
  udi_trainer* trainer = UNTOUCHED;
  (void)state;
  assert_fails(udi_trainer_step(have.trainer, &batch, 1, NULL, &error), UDI_E_INVALID,
               "views[0] belongs to another context");
  assert_fails(udi_trainer_create(other, have.model, &config, &trainer, &error), UDI_E_INVALID,
               "model belongs to another context");
  assert_ptr_equal(trainer, UNTOUCHED);
  udi_group* group = NULL;
  assert_works(udi_group_create(other, NULL, &group, &error));
  assert_fails(udi_trainer_join(have.trainer, group, &error), UDI_E_INVALID, "group belongs to another context");
  udi_group_free(group);
  udi_views_free(views);
  udi_context_free(other);
}

static void test_cuda_that_is_not_there(void** state) {
  udi_context_config config;
  udi_context* context = UNTOUCHED;
  udi_error error = {0};
  (void)state;
  udi_context_config_init(&config, sizeof config);
  config.device_type = UDI_CUDA;
  config.device_index = 4096;
  assert_int_equal(udi_context_create(&config, &context, &error), UDI_E_DEVICE);
  assert_int_not_equal(error.message[0], 0);
  assert_ptr_equal(context, UNTOUCHED);

  assert_int_equal(setenv("UDI_CUDA_KERNELS", "perhaps", 1), 0);
  assert_int_equal(udi_context_create(&config, &context, &error), UDI_E_INVALID);
  assert_non_null(strstr(error.message, "UDI_CUDA_KERNELS"));
  assert_non_null(strstr(error.message, "perhaps"));
  assert_ptr_equal(context, UNTOUCHED);
  assert_int_equal(unsetenv("UDI_CUDA_KERNELS"), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_null_context_and_model),
      cmocka_unit_test(test_null_views_loader_trainer_jobs),
      cmocka_unit_test(test_null_callers_crops),
      cmocka_unit_test(test_null_configurations),
      cmocka_unit_test(test_null_without_a_status),
      cmocka_unit_test(test_arrays),
      cmocka_unit_test(test_images),
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_handles_of_two_contexts),
      cmocka_unit_test(test_cuda_that_is_not_there),
  };
  return cmocka_run_group_tests(tests, make_handles, free_handles);
}
