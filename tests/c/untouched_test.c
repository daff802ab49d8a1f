/* Whatever fails leaves its out-parameters as they were: every function that has one, in every way that does not depend
 * on its other arguments. tests/abi/rules.py sees to it that no function is missing here. */
#include <sys/wait.h>

#include "dlpack.h"
#include "folder.h"

static struct handles {
  udi_context* context;
  udi_model* model;
  udi_tensor* tensor;
  udi_views* views;
  udi_loader* loader;
  udi_trainer* trainer;
} have, none;

static char model_path[80], checkpoint_path[80], inspect[160];
static struct drawing drawing;
static float pixels[3 * SIZE * SIZE];
static const int64_t pixels_shape[] = {1, 3, SIZE, SIZE};
static udi_model_config model_config;
static udi_view_config view_config;
static udi_loader_config loader_config;
static udi_train_config train_config;
static udi_group_config group_config;
static udi_array images;
static managed_tensor managed;

/* Crops for udi_views_from_arrays: one image, two global crops, no local ones. */
static uint8_t crop_bytes[2 * 3 * SIZE * SIZE], sample_bytes[(SIZE / PATCH) * (SIZE / PATCH)] = {1, 1};
static float coord_values[2 * 4] = {0, 0, 1, 1, 0, 0, 1, 1};
static const int64_t crops_shape[] = {2, 1, 3, SIZE, SIZE}, coords_shape[] = {2, 1, 4};
static const int64_t sample_shape[] = {1, (SIZE / PATCH) * (SIZE / PATCH)};
static udi_view_config crops_config;
static udi_array crops, coords, sample;

static int make_all(void** state) {
  if (make_image_folder(state) != 0) return -1;
  have.context = new_context();
  have.model = new_model(have.context);
  have.tensor = extract_tokens(have.model, 0, 1);
  have.views = new_views(have.context, 2);
  have.loader = open_image_folder(have.context, 1);
  have.trainer = new_trainer(have.context);
  snprintf(model_path, sizeof model_path, "%s.safetensors", image_folder);
  snprintf(checkpoint_path, sizeof checkpoint_path, "%s.checkpoint", image_folder);
  snprintf(inspect, sizeof inspect, "{\"path\": \"%s\"}", model_path);
  assert_works(udi_model_save(have.model, model_path, &error));
  assert_works(udi_trainer_save(have.trainer, NULL, checkpoint_path, &error));
  draw_all(&drawing);
  model_config = small_model_config();
  view_config = crops_config = small_view_config();
  crops_config.local_crops = 0;
  udi_loader_config_init(&loader_config, sizeof loader_config);
  loader_config.batch_size = 2;
  train_config = small_train_config();
  udi_group_config_init(&group_config, sizeof group_config);
  group_config.rank = 0;
  group_config.world = 1;
  images = array_of(pixels, UDI_F32, 4, pixels_shape);
  managed = managed_of(pixels, FLOAT, 32, (int64_t*)pixels_shape, 4, NULL, NULL);
  crops = array_of(crop_bytes, UDI_U8, 5, crops_shape);
  coords = array_of(coord_values, UDI_F32, 3, coords_shape);
  sample = array_of(sample_bytes, UDI_U8, 2, sample_shape);
  return 0;
}

static int free_all(void** state) {
  udi_trainer_free(have.trainer);
  udi_loader_free(have.loader);
  udi_views_free(have.views);
  udi_tensor_free(have.tensor);
  udi_model_free(have.model);
  udi_context_free(have.context);
  unlink(model_path);
  unlink(checkpoint_path);
  return remove_image_folder(state);
}

/* A row: a call that works with what is in `have`, written as h, and gives something back in `out`. */
#define ROW(name, ...)                                                              \
  static udi_status call_##name(const void* handles, void* out, udi_error* error) { \
    const struct handles* h = handles;                                              \
    (void)h;                                                                        \
    return name(__VA_ARGS__, out, error);                                           \
  }
ROW(udi_model_create, h->context, &model_config, 1)
ROW(udi_model_load, h->context, model_path, UDI_TEACHER)
ROW(udi_model_share, h->model, have.context)
ROW(udi_model_get_config, h->model)
ROW(udi_model_get_info, h->model)
ROW(udi_model_param_get, h->model, udi_model_param_name(have.model, 0))
ROW(udi_model_prepare, h->model, drawing.images, 2)
ROW(udi_model_extract, h->model, &images, UDI_NCHW, NULL)
ROW(udi_model_attention, h->model, &images, UDI_NCHW, NULL)
ROW(udi_tensor_view, h->tensor)
ROW(udi_tensor_wrap, h->context, &images, NULL, NULL)
ROW(udi_tensor_to_dlpack, h->tensor)
ROW(udi_tensor_from_dlpack, h->context, &managed)
ROW(udi_views_create, h->context, &view_config, drawing.images, 2, 0, 0, 0)
ROW(udi_views_from_arrays, h->context, &crops_config, &crops, NULL, &coords, &sample, NULL)
ROW(udi_views_crops, h->views, 1)
ROW(udi_views_coords, h->views)
ROW(udi_loader_open, h->context, image_folder, &view_config, &loader_config)
ROW(udi_loader_next, h->loader)
ROW(udi_group_create, h->context, &group_config)
ROW(udi_trainer_create, h->context, have.model, &train_config)
ROW(udi_trainer_step, h->trainer, (const udi_views* const*)&have.views, 1)
ROW(udi_trainer_model, h->trainer, UDI_TEACHER)
ROW(udi_trainer_load, h->context, checkpoint_path, NULL)
ROW(udi_job_run, h->context, "inspect", inspect, NULL, NULL)

/* Those without a handle of a context: they fail by their arguments alone. */
static udi_status call_udi_context_create(const void* handles, void* out, udi_error* error) {
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  if (handles == &none) config.log_level = -1;
  return udi_context_create(&config, out, error);
}
static udi_status call_udi_model_config_init(const void* handles, void* out, udi_error* error) {
  return udi_model_config_init(out, sizeof(udi_model_config), handles == &none ? "vit_none" : "vit_tiny", error);
}

static void free_context(void* made) { udi_context_free(made); }
static void free_model(void* made) { udi_model_free(made); }
static void free_tensor(void* made) { udi_tensor_free(made); }
static void free_dlpack(void* made) { ((managed_tensor*)made)->deleter(made); }
static void free_views(void* made) { udi_views_free(made); }
static void free_loader(void* made) { udi_loader_free(made); }
static void free_group(void* made) { udi_group_free(made); }
static void free_trainer(void* made) { udi_trainer_free(made); }
static void free_string(void* made) { udi_string_free(made); }

static const struct row {
  const char* name;
  udi_status (*call)(const void* handles, void* out, udi_error* error);
  size_t struct_size;     /* of what out points to; 0: a handle */
  void (*release)(void*); /* of the handle */
  int lane;               /* enters the context */
} rows[] = {
    {"udi_context_create", call_udi_context_create, 0, free_context, 0},
    {"udi_model_config_init", call_udi_model_config_init, sizeof(udi_model_config), NULL, 0},
    {"udi_model_create", call_udi_model_create, 0, free_model, 1},
    {"udi_model_load", call_udi_model_load, 0, free_model, 1},
    {"udi_model_share", call_udi_model_share, 0, free_model, 1},
    {"udi_model_get_config", call_udi_model_get_config, sizeof(udi_model_config), NULL, 1},
    {"udi_model_get_info", call_udi_model_get_info, sizeof(udi_model_info), NULL, 1},
    {"udi_model_param_get", call_udi_model_param_get, 0, free_tensor, 1},
    {"udi_model_prepare", call_udi_model_prepare, 0, free_tensor, 1},
    {"udi_model_extract", call_udi_model_extract, 0, free_tensor, 1},
    {"udi_model_attention", call_udi_model_attention, 0, free_tensor, 1},
    {"udi_tensor_view", call_udi_tensor_view, sizeof(udi_array), NULL, 1},
    {"udi_tensor_wrap", call_udi_tensor_wrap, 0, free_tensor, 1},
    {"udi_tensor_to_dlpack", call_udi_tensor_to_dlpack, 0, free_dlpack, 1},
    {"udi_tensor_from_dlpack", call_udi_tensor_from_dlpack, 0, free_tensor, 1},
    {"udi_views_create", call_udi_views_create, 0, free_views, 1},
    {"udi_views_from_arrays", call_udi_views_from_arrays, 0, free_views, 1},
    {"udi_views_crops", call_udi_views_crops, 0, free_tensor, 1},
    {"udi_views_coords", call_udi_views_coords, 0, free_tensor, 1},
    {"udi_loader_open", call_udi_loader_open, 0, free_loader, 1},
    {"udi_loader_next", call_udi_loader_next, 0, free_views, 1},
    {"udi_group_create", call_udi_group_create, 0, free_group, 1},
    {"udi_trainer_create", call_udi_trainer_create, 0, free_trainer, 1},
    {"udi_trainer_step", call_udi_trainer_step, sizeof(udi_step_stats), NULL, 1},
    {"udi_trainer_model", call_udi_trainer_model, 0, free_model, 1},
    {"udi_trainer_load", call_udi_trainer_load, 0, free_trainer, 1},
    {"udi_job_run", call_udi_job_run, 0, free_string, 1},
};
enum { ROWS = sizeof rows / sizeof *rows };

union result {
  void* handle;
  uint32_t struct_size;
  unsigned char bytes[1024];
};

static void poison(union result* out, const struct row* row) {
  memset(out, 0x5E, sizeof *out);
  if (row->struct_size) out->struct_size = (uint32_t)row->struct_size;
}

/* The number of rows that do anything but fail with `wanted`, say so, and leave what out points to as it was. */
static int rows_that_differ(const void* handles, udi_status wanted, int with_lane_only) {
  int differ = 0;
  for (int i = 0; i < ROWS; ++i) {
    union result before, out, again;
    udi_error error = {0};
    if (with_lane_only && !rows[i].lane) continue;
    poison(&before, &rows[i]);
    poison(&out, &rows[i]);
    poison(&again, &rows[i]);
    const udi_status status = rows[i].call(handles, &out, &error);
    const udi_status silent = rows[i].call(handles, &again, NULL);
    const udi_status expected = !rows[i].lane && rows[i].struct_size ? UDI_E_NOT_FOUND : wanted; /* a name, there */
    if (status != expected || silent != expected || error.status != expected || !error.message[0] ||
        memcmp(&before, &out, sizeof out) != 0 || memcmp(&before, &again, sizeof again) != 0) {
      fprintf(stderr, "%s: %s '%s'\n", rows[i].name, udi_status_name(status), error.message);
      ++differ;
    }
  }
  return differ;
}

/* The rows are right: with nothing in the way each works, and writes. */
static void test_they_work(void** state) {
  (void)state;
  for (int i = 0; i < ROWS; ++i) {
    union result before, out;
    udi_error error = {0};
    poison(&before, &rows[i]);
    poison(&out, &rows[i]);
    if (rows[i].call(&have, &out, &error) != UDI_OK) fail_msg("%s: %s", rows[i].name, error.message);
    if (memcmp(&before, &out, sizeof out) == 0) fail_msg("%s has written nothing", rows[i].name);
    if (rows[i].release) rows[i].release(out.handle);
  }
}

static void test_null(void** state) {
  (void)state;
  assert_int_equal(rows_that_differ(&none, UDI_E_INVALID, 0), 0);
}

static void test_cancelled(void** state) {
  (void)state;
  udi_context_cancel(have.context);
  assert_int_equal(rows_that_differ(&have, UDI_E_CANCELLED, 1), 0);
  udi_context_clear_cancel(have.context);
}

static int32_t during_a_call(void* user, const udi_progress* progress) {
  (void)progress;
  *(int*)user = rows_that_differ(&have, UDI_E_STATE, 1);
  return 0;
}

/* From a callback: the call that runs it is inside the context. */
static void test_busy(void** state) {
  char config[400], out[80];
  int differ = -1;
  (void)state;
  snprintf(out, sizeof out, "%s.features.npy", image_folder);
  snprintf(config, sizeof config, "{\"model\": \"%s\", \"data\": \"%s\", \"out\": \"%s\"}", model_path, image_folder,
           out);
  assert_works(udi_job_run(have.context, "extract", config, during_a_call, &differ, NULL, &error));
  assert_int_equal(differ, 0);
  unlink(out);
  snprintf(out, sizeof out, "%s.features.paths.txt", image_folder);
  unlink(out);
}

static void test_forked(void** state) {
  int status = -1;
  (void)state;
  const pid_t child = fork();
  if (child == 0) {
    alarm(20); /* instead of hanging */
    _exit(rows_that_differ(&have, UDI_E_STATE, 1));
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_they_work), cmocka_unit_test(test_null),   cmocka_unit_test(test_cancelled),
      cmocka_unit_test(test_busy),      cmocka_unit_test(test_forked),
  };
  return cmocka_run_group_tests(tests, make_all, free_all);
}
