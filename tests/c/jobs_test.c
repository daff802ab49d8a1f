/* Whole jobs: results, refusals, progress. */
#include "folder.h"

static struct {
  udi_context* context;
  char model[64], out[64], config[512];
} have;

static int make_job(void** state) {
  if (make_image_folder(state) != 0) return -1;
  have.context = new_context();
  udi_model* model = new_model(have.context);
  snprintf(have.model, sizeof have.model, "%s/model.safetensors", image_folder);
  snprintf(have.out, sizeof have.out, "%s/tokens.safetensors", image_folder);
  snprintf(have.config, sizeof have.config,
           "{\"model\": \"%s\", \"data\": \"%s\", \"out\": \"%s\", \"token\": \"both\"}", have.model, image_folder,
           have.out);
  assert_works(udi_model_save(model, have.model, &error));
  udi_model_free(model);
  return 0;
}

static int remove_job(void** state) {
  char paths[80];
  udi_context_free(have.context);
  snprintf(paths, sizeof paths, "%s/tokens.paths.txt", image_folder);
  unlink(have.model);
  unlink(have.out);
  unlink(paths);
  return remove_image_folder(state);
}

struct watch {
  int calls;
  int64_t last_done, total;
  char stage[32];
  int32_t answer;
  udi_context* cancel;
};

static int32_t on_progress(void* user, const udi_progress* progress) {
  struct watch* watch = user;
  ++watch->calls;
  assert_int_equal(progress->struct_size, sizeof *progress);
  assert_true(progress->done >= watch->last_done && progress->done <= progress->total);
  watch->last_done = progress->done;
  watch->total = progress->total;
  snprintf(watch->stage, sizeof watch->stage, "%s", progress->stage);
  if (watch->cancel) udi_context_cancel(watch->cancel);
  return watch->answer;
}

static void test_extract(void** state) {
  struct watch watch = {0, 0, 0, "", 0, NULL};
  char* result = NULL;
  (void)state;
  assert_works(udi_job_run(have.context, "extract", have.config, on_progress, &watch, &result, &error));
  assert_int_equal(result[0], '{');
  assert_true(watch.calls > 0 && watch.last_done == FOLDER_IMAGES && watch.total == FOLDER_IMAGES);
  assert_string_equal(watch.stage, "extract");
  udi_string_free(result);
  assert_works(udi_job_run(have.context, "extract", have.config, NULL, NULL, NULL, &error));
}

static void test_the_callback_stops_a_job(void** state) {
  struct watch watch = {0, 0, 0, "", 1, NULL};
  char* result = UNTOUCHED;
  (void)state;
  assert_fails(udi_job_run(have.context, "extract", have.config, on_progress, &watch, &result, &error), UDI_E_CALLBACK,
               "callback");
  assert_int_equal(watch.calls, 1);
  assert_ptr_equal(result, UNTOUCHED);
}

static void test_a_cancel_in_the_callback(void** state) {
  struct watch watch = {0, 0, 0, "", 0, have.context};
  (void)state;
  assert_fails(udi_job_run(have.context, "extract", have.config, on_progress, &watch, NULL, &error), UDI_E_CANCELLED,
               "cancel");
  udi_context_clear_cancel(have.context);
}

static void test_refusals(void** state) {
  char* result = UNTOUCHED;
  (void)state;
#define RUN(name, config) udi_job_run(have.context, name, config, NULL, NULL, &result, &error)
  assert_fails(RUN("extrct", "{}"), UDI_E_INVALID, "extract");
  assert_fails(RUN("extract", "{}"), UDI_E_INVALID, "model");
  assert_fails(RUN("extract", "{"), UDI_E_INVALID, "");
  assert_fails(RUN("extract", "[]"), UDI_E_INVALID, "object");
  assert_fails(RUN("extract", "{\"modle\": 1}"), UDI_E_INVALID, "modle");
  assert_fails(RUN("extract", "{\"model\": 1}"), UDI_E_INVALID, "model");
  assert_fails(RUN("extract", "{\"model\": \"m\", \"data\": \"d\", \"out\": \"o.npy\", \"block\": -1}"), UDI_E_INVALID,
               "block");
#undef RUN
  assert_ptr_equal(result, UNTOUCHED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_extract),
      cmocka_unit_test(test_the_callback_stops_a_job),
      cmocka_unit_test(test_a_cancel_in_the_callback),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, make_job, remove_job);
}
