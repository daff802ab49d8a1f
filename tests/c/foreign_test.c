/* The host has loaded another version of LibTorch: a status with text, never a crash. foreign_test STUB */
#include <dlfcn.h>

#include "support.h"

static const char* stub;

static void test_another_libtorch_is_refused(void** state) {
  udi_context* context = UNTOUCHED;
  udi_model* model = UNTOUCHED;
  (void)state;
  assert_non_null(dlopen(stub, RTLD_NOW | RTLD_LOCAL));
  assert_fails(udi_context_create(NULL, &context, &error), UDI_E_VERSION, "2.12.0");
  assert_fails(udi_context_create(NULL, &context, &error), UDI_E_VERSION, "2.11.");
  assert_fails(udi_context_create(NULL, &context, &error), UDI_E_VERSION, stub);
  assert_ptr_equal(context, UNTOUCHED);
  assert_fails(udi_model_load(NULL, "weights.safetensors", UDI_TEACHER, &model, &error), UDI_E_VERSION, "2.12.0");
  assert_int_equal(udi_context_create(NULL, &context, NULL), UDI_E_VERSION);
}

static void test_the_rest_does_nothing(void** state) {
  (void)state;
  udi_context_free(NULL);
  udi_context_cancel(NULL);
  udi_context_clear_cancel(NULL);
  assert_int_equal(udi_model_param_count(NULL), 0);
  assert_null(udi_model_param_name(NULL, 0));
  assert_int_equal(udi_version(), UDI_VERSION_NUMBER);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_another_libtorch_is_refused),
                                     cmocka_unit_test(test_the_rest_does_nothing)};
  stub = argc == 2 ? argv[1] : "";
  return cmocka_run_group_tests(tests, NULL, NULL);
}
