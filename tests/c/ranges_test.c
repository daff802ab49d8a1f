/* Every number of every configuration just outside its range: refused, and the message names the field, the value and
 * the limit. A new field that is in no table (ranges.h) fails the test. */
#include "ranges.h"

#include "folder.h"

static struct {
  udi_context* context;
  udi_model* model;
  udi_views* views;
  udi_loader* loader;
  udi_trainer* trainer;
} have;

static struct drawing drawing;
static float pixels[3 * SIZE * SIZE];
static const int64_t pixels_shape[] = {1, 3, SIZE, SIZE};
static udi_array images;

static int make_handles(void** state) {
  if (make_image_folder(state) != 0) return -1;
  have.context = new_context();
  have.model = new_model(have.context);
  have.views = new_views(have.context, 2);
  have.loader = open_image_folder(have.context, 1);
  have.trainer = new_trainer(have.context);
  draw_all(&drawing);
  images = array_of(pixels, UDI_F32, 4, pixels_shape);
  return 0;
}

static int free_handles(void** state) {
  udi_trainer_free(have.trainer);
  udi_loader_free(have.loader);
  udi_views_free(have.views);
  udi_model_free(have.model);
  udi_context_free(have.context);
  return remove_image_folder(state);
}

/* ---- Calls: each takes the configuration, and everything else is right ------------------------------------------- */

#define assert_out(out) assert_true((void*)(out) == UNTOUCHED)

static udi_status with_context_config(const void* config, udi_error* error) {
  udi_context* out = UNTOUCHED;
  const udi_status status = udi_context_create(config, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_model_config(const void* config, udi_error* error) {
  udi_model* out = UNTOUCHED;
  const udi_status status = udi_model_create(have.context, config, 0, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_view_config(const void* config, udi_error* error) {
  udi_views* out = UNTOUCHED;
  const udi_status status = udi_views_create(have.context, config, drawing.images, 2, 0, 0, 0, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_view_config_of_a_loader(const void* config, udi_error* error) {
  udi_loader* out = UNTOUCHED;
  udi_loader_config loader;
  udi_loader_config_init(&loader, sizeof loader);
  loader.batch_size = 2;
  const udi_status status = udi_loader_open(have.context, image_folder, config, &loader, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_loader_config(const void* config, udi_error* error) {
  udi_loader* out = UNTOUCHED;
  const udi_view_config views = small_view_config();
  const udi_status status = udi_loader_open(have.context, image_folder, &views, config, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_train_config(const void* config, udi_error* error) {
  udi_trainer* out = UNTOUCHED;
  const udi_status status = udi_trainer_create(have.context, have.model, config, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_group_config(const void* config, udi_error* error) {
  udi_group* out = UNTOUCHED;
  const udi_status status = udi_group_create(have.context, config, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_extract_config(const void* config, udi_error* error) {
  udi_tensor* out = UNTOUCHED;
  const udi_status status = udi_model_extract(have.model, &images, UDI_NCHW, config, &out, error);
  assert_out(out);
  return status;
}
static udi_status with_attention_config(const void* config, udi_error* error) {
  udi_tensor* out = UNTOUCHED;
  const udi_status status = udi_model_attention(have.model, &images, UDI_NCHW, config, &out, error);
  assert_out(out);
  return status;
}

/* ---- The test ---------------------------------------------------------------------------------------------------- */

static void set(unsigned char* at, enum kind kind, double value) {
  const int32_t i32 = isfinite(value) ? (int32_t)fmax(fmin(value, INT32_MAX), INT32_MIN) : 0;
  const int64_t i64 = isfinite(value) ? (int64_t)value : 0;
  const uint64_t u64 = isfinite(value) && value > 0 ? (uint64_t)value : 0;
  const float f32 = (float)value;
  if (kind == I32) memcpy(at, &i32, sizeof i32);
  if (kind == I64) memcpy(at, &i64, sizeof i64);
  if (kind == U64) memcpy(at, &u64, sizeof u64);
  if (kind == F32) memcpy(at, &f32, sizeof f32);
  if (kind == F64) memcpy(at, &value, sizeof value);
}

typedef udi_status (*call_fn)(const void* config, udi_error* error);

static void assert_refused(call_fn call, const void* good, size_t size, const struct field* field, double value,
                           const char* limit) {
  unsigned char config[512];
  char said[96];
  udi_error error = {0};
  const int whole = field->kind != F32 && field->kind != F64, is_array = field->size > sizeof(double);
  memcpy(config, good, size);
  set(config + field->offset, field->kind, value);
  snprintf(said, sizeof said, whole ? "%s%s is %.0f" : "%s%s is %.9g", field->name, is_array ? "[0]" : "", value);
  const udi_status status = call(config, &error);
  const char* found = strstr(error.message, said);
  if (status != UDI_E_INVALID || !found || !strstr(found + strlen(said), limit)) {
    fail_msg("gave %s '%s'\n  wanted '%s', and '%s' after it", udi_status_name(status), error.message, said, limit);
  }
}

static void assert_fields(call_fn call, const void* good, size_t size, const struct field* fields, size_t count) {
  unsigned char config[512], known[512] = {1, 1, 1, 1}; /* struct_size */
  assert_true(size <= sizeof config);
  for (size_t i = 0; i < count; ++i) {
    const struct field* field = &fields[i];
    memset(known + field->offset, 1, field->size);
    if (field->least) assert_refused(call, good, size, field, field->below, field->least);
    if (field->most) assert_refused(call, good, size, field, field->above, field->most);
    if (field->kind == F32 || field->kind == F64) assert_refused(call, good, size, field, NAN, field->most);
  }
  for (size_t byte = 0; byte < size; ++byte) {
    if (!known[byte]) fail_msg("the field at byte %zu of %zu is in no table", byte, size);
  }
  const uint32_t none = 0, no_size = UINT32_MAX;
  memcpy(config, good, size);
  memcpy(config, &none, sizeof none);
  assert_fails(call(config, &error), UDI_E_INVALID, ".struct_size is 0: set it to sizeof");
  memcpy(config, &no_size, sizeof no_size);
  assert_fails(call(config, &error), UDI_E_VERSION, ".struct_size is 4294967295, this libudi knows");
}

#define ASSERT_FIELDS(call, good, fields) \
  assert_fields(call, &(good), sizeof(good), fields, sizeof fields / sizeof *fields)

static void test_configurations(void** state) {
  udi_context_config context;
  const udi_model_config model = small_model_config();
  const udi_view_config views = small_view_config();
  udi_loader_config loader;
  const udi_train_config train = small_train_config();
  udi_group_config group;
  udi_extract_config extract;
  udi_attention_config attention;
  (void)state;
  udi_context_config_init(&context, sizeof context);
  udi_loader_config_init(&loader, sizeof loader);
  loader.batch_size = 2;
  udi_group_config_init(&group, sizeof group);
  group.rank = 0;
  group.world = 1;
  udi_extract_config_init(&extract, sizeof extract);
  udi_attention_config_init(&attention, sizeof attention);
  attention.source = UDI_ATTENTION_SRS;
  ASSERT_FIELDS(with_context_config, context, context_fields);
  ASSERT_FIELDS(with_model_config, model, model_fields);
  ASSERT_FIELDS(with_view_config, views, view_fields);
  ASSERT_FIELDS(with_view_config_of_a_loader, views, view_fields);
  ASSERT_FIELDS(with_loader_config, loader, loader_fields);
  ASSERT_FIELDS(with_train_config, train, train_fields);
  ASSERT_FIELDS(with_group_config, group, group_fields);
  ASSERT_FIELDS(with_extract_config, extract, extract_fields);
  ASSERT_FIELDS(with_attention_config, attention, attention_fields);
}

/* Fields that are right each by itself, and not together. */
static void test_contradictions(void** state) {
  udi_model_config model = small_model_config();
  udi_view_config views = small_view_config();
  (void)state;
#define REFUSES(call, config, part) assert_fails(call(&(config), &error), UDI_E_INVALID, part)
  model.image_size = 36;
  REFUSES(with_model_config, model, "image_size is 36, must be a multiple of patch_size, 8");
  model = small_model_config();
  model.heads = 5;
  REFUSES(with_model_config, model, "heads is 5, must divide embed_dim, 24");
  model = small_model_config();
  model.srs_heads = 5;
  REFUSES(with_model_config, model, "srs_heads is 5, must divide embed_dim, 24");
  model = small_model_config();
  model.mlp_ratio = 0.01f;
  REFUSES(with_model_config, model, "embed_dim is 24");
  views.global_size = 36;
  REFUSES(with_view_config, views, "global_size 36 is not a multiple of patch_size 8");
  views = small_view_config();
  views.local_scale_min = 0.5f;
  REFUSES(with_view_config, views, "local_scale_min 0.5 is above local_scale_max 0.25");
  views = small_view_config();
  views.channels = 1;
  REFUSES(with_view_config_of_a_loader, views, "views.channels is 1, must be 0 or config.channels, 3");
  udi_group_config group;
  udi_group_config_init(&group, sizeof group);
  group.world = 2;
  REFUSES(with_group_config, group, "rank is -1 and world is 2: give both");
  group.rank = 1;
  group.port = 0;
  REFUSES(with_group_config, group, "port is 0 on rank 1");
#undef REFUSES
}

/* Numbers that are arguments of their own. */
static void test_arguments(void** state) {
  const udi_view_config config = small_view_config();
  const udi_views* batch[] = {have.views};
  udi_views* views = UNTOUCHED;
  udi_tensor* tensor = UNTOUCHED;
  udi_model* model = UNTOUCHED;
  (void)state;
#define REFUSES(call, part) assert_fails(call, UDI_E_INVALID, part)
#define VIEWS(count, epoch, first) \
  udi_views_create(have.context, &config, drawing.images, count, 0, epoch, first, &views, &error)
  REFUSES(VIEWS(0, 0, 0), "count is 0, must be 1 to 4294967296");
  REFUSES(VIEWS(INT64_C(4294967297), 0, 0), "count is 4294967297, must be 1 to 4294967296");
  REFUSES(VIEWS(1, -1, 0), "epoch is -1, must be 0 to 16777215");
  REFUSES(VIEWS(1, 16777216, 0), "epoch is 16777216, must be 0 to 16777215");
  REFUSES(VIEWS(1, 0, -1), "first_sample is -1, must be 0 to");
  REFUSES(VIEWS(1, 0, INT64_MAX), "first_sample is 9223372036854775807, must be 0 to 9223372036854775806");
#undef VIEWS
  REFUSES(udi_views_crops(have.views, -1, &tensor, &error), "global is -1, must be 0 to 1");
  REFUSES(udi_views_crops(have.views, 2, &tensor, &error), "global is 2, must be 0 to 1");
#define PREPARE(count) udi_model_prepare(have.model, drawing.images, count, &tensor, &error)
  REFUSES(PREPARE(0), "count is 0, must be 1 to 4294967296");
  REFUSES(PREPARE(INT64_C(4294967297)), "count is 4294967297, must be 1 to 4294967296");
#undef PREPARE
  for (udi_layout layout = 0; layout <= 3; layout += 3) {
    REFUSES(udi_model_extract(have.model, &images, layout, NULL, &tensor, &error), "must be UDI_NCHW (1) or UDI_NHWC");
    REFUSES(udi_model_attention(have.model, &images, layout, NULL, &tensor, &error),
            "must be UDI_NCHW (1) or UDI_NHWC");
  }
  for (udi_role role = 0; role <= 3; role += 3) {
    REFUSES(udi_model_load(have.context, "x", role, &model, &error), "must be UDI_STUDENT (1) or UDI_TEACHER (2)");
    REFUSES(udi_trainer_model(have.trainer, role, &model, &error), "must be UDI_STUDENT (1) or UDI_TEACHER (2)");
  }
#define SEEK(position) udi_loader_seek(have.loader, position, &error) /* 3 steps an epoch */
  REFUSES(SEEK(-1), "position is -1, must be 0 to 50331647");
  REFUSES(SEEK(50331648), "position is 50331648, must be 0 to 50331647");
  REFUSES(SEEK(INT64_MAX), "position is 9223372036854775807, must be 0 to");
  assert_int_equal(udi_loader_position(have.loader), 0);
  assert_works(SEEK(50331647));
  assert_works(udi_loader_next(have.loader, &views, &error));
  udi_views_free(views);
  views = UNTOUCHED;
#undef SEEK
  REFUSES(udi_trainer_step(have.trainer, batch, 0, NULL, &error), "count is 0, must be 1 to 1048576");
  REFUSES(udi_trainer_step(have.trainer, batch, 1048577, NULL, &error), "count is 1048577, must be 1 to 1048576");
  assert_int_equal(udi_trainer_steps(have.trainer), 0);
#undef REFUSES
  assert_true((void*)views == UNTOUCHED && (void*)tensor == UNTOUCHED && (void*)model == UNTOUCHED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_configurations),
      cmocka_unit_test(test_contradictions),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, make_handles, free_handles);
}
