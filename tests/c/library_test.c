/* What works without LibTorch: versions, names, defaults. */
#include <dlfcn.h>

#include "support.h"

static void test_versions(void** state) {
  char text[32];
  (void)state;
  assert_int_equal(udi_version(), UDI_VERSION_NUMBER);
  assert_int_equal(udi_abi_version(), UDI_ABI_VERSION);
  snprintf(text, sizeof text, "%d.%d.%d", UDI_VERSION_MAJOR, UDI_VERSION_MINOR, UDI_VERSION_PATCH);
  assert_string_equal(udi_version_string(), text);
}

static void test_build_info(void** state) {
  const char* info = udi_build_info();
  (void)state;
  assert_non_null(strstr(info, "\"version\": \""));
  assert_non_null(strstr(info, "\"torch\": \"2.11."));
  assert_non_null(strstr(info, "/udi\""));
  assert_ptr_equal(info, udi_build_info());
}

static void test_status_names(void** state) {
  static const char* const names[] = {"UDI_OK",          "UDI_E_INVALID",     "UDI_E_SHAPE",   "UDI_E_NOT_FOUND",
                                      "UDI_E_IO",        "UDI_E_FORMAT",      "UDI_E_VERSION", "UDI_E_MEMORY",
                                      "UDI_E_DEVICE",    "UDI_E_UNSUPPORTED", "UDI_E_STATE",   "UDI_E_NONFINITE",
                                      "UDI_E_CANCELLED", "UDI_E_CALLBACK",    "UDI_E_INTERNAL"};
  (void)state;
  for (udi_status status = UDI_OK; status <= UDI_E_INTERNAL; ++status) {
    assert_string_equal(udi_status_name(status), names[status]);
  }
  assert_string_equal(udi_status_name(-1), "unknown status");
  assert_string_equal(udi_status_name(UDI_E_INTERNAL + 1), "unknown status");
  assert_string_equal(udi_status_name(INT32_MIN), "unknown status");
}

static void test_job_schema(void** state) {
  (void)state;
  assert_int_equal(udi_job_schema()[0], '{');
  assert_non_null(strstr(udi_job_schema(), "\"pretrain\""));
}

static void test_recipe_is_the_default(void** state) {
  udi_model_config model;
  udi_view_config views;
  udi_train_config train;
  (void)state;
  assert_works(udi_model_config_init(&model, sizeof model, "vit_small", &error));
  assert_int_equal(model.embed_dim, 384);
  assert_int_equal(model.out_dim, 65536);
  assert_int_equal(model.norm_last_layer, 0);
  udi_view_config_init(&views, sizeof views);
  assert_int_equal(views.local_crops, 10);
  assert_true(views.global_scale_min == 0.25f && views.local_scale_max == 0.25f);
  udi_train_config_init(&train, sizeof train);
  assert_true(train.lr == 5e-4 && train.min_lr == 1e-5 && train.weight_decay_end == 0.1 && train.clip_grad == 3);
  assert_true(train.warmup_teacher_temp == 0.04 && train.teacher_temp == 0.07 && train.alpha == 0.5);
  assert_int_equal(train.teacher_temp_warmup_epochs, 30);
}

static void test_unknown_architecture(void** state) {
  udi_model_config model = {0};
  (void)state;
  assert_fails(udi_model_config_init(&model, sizeof model, "vit_huge", &error), UDI_E_NOT_FOUND, "vit_huge");
  assert_fails(udi_model_config_init(&model, sizeof model, NULL, &error), UDI_E_INVALID, "arch is NULL");
  assert_fails(udi_model_config_init(NULL, sizeof model, "vit_tiny", &error), UDI_E_INVALID, "config is NULL");
  assert_fails(udi_model_config_init(&model, 3, "vit_tiny", &error), UDI_E_INVALID, "struct_size is 3");
  assert_int_equal(udi_model_config_init(&model, sizeof model, "vit_huge", NULL), UDI_E_NOT_FOUND);
  assert_int_equal(model.struct_size, 0);
}

/* The message is cut between characters, and bytes that are not UTF-8 are replaced. */
static void test_messages_are_utf8(void** state) {
  char name[128];
  udi_model_config model;
  udi_error error;
  (void)state;
  memset(&error, 'x', sizeof error);
  assert_int_equal(udi_model_config_init(&model, sizeof model, "vit_\xC3\xA9\xFFt\xC3", &error), UDI_E_NOT_FOUND);
  assert_non_null(strstr(error.message, "'vit_\xC3\xA9?t?'"));
  assert_int_equal(error.message[sizeof error.message - 1], 0);
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = 0;
  memcpy(name + 99, "\xE2\x82\xAC", 3); /* a euro sign at the place where the name is cut */
  assert_int_equal(udi_model_config_init(&model, sizeof model, name, &error), UDI_E_NOT_FOUND);
  assert_null(strchr(error.message, 0xE2));
}

static void test_nothing_of_this_opens_libtorch(void** state) {
  (void)state;
  assert_null(dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_versions),
      cmocka_unit_test(test_build_info),
      cmocka_unit_test(test_status_names),
      cmocka_unit_test(test_job_schema),
      cmocka_unit_test(test_recipe_is_the_default),
      cmocka_unit_test(test_unknown_architecture),
      cmocka_unit_test(test_messages_are_utf8),
      cmocka_unit_test(test_nothing_of_this_opens_libtorch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
