/* A process that has loaded another version of LibTorch, in every order in which the two can come: a status with text,
 * never a crash. foreign_test ORDER STUB OLD_STUB TORCH */
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static const char *stub, *old_stub, *torch;

/* Both versions, and where the other one lies. */
static void assert_refused(const char* version, const char* path) {
  udi_context* context = UNTOUCHED;
  udi_model* model = UNTOUCHED;
  assert_fails(udi_context_create(NULL, &context, &error), UDI_E_VERSION, version);
  assert_fails(udi_context_create(NULL, &context, &error), UDI_E_VERSION, "built for 2.11.");
  assert_fails(udi_context_create(NULL, &context, &error), UDI_E_VERSION, path);
  assert_int_equal(udi_context_create(NULL, &context, NULL), UDI_E_VERSION);
  assert_ptr_equal(context, UNTOUCHED);
  assert_int_not_equal(udi_model_load(NULL, "weights.safetensors", UDI_TEACHER, &model, NULL), UDI_OK);
  assert_ptr_equal(model, UNTOUCHED);
}

static void test_it_was_there_first(void** state) {
  udi_model* model = UNTOUCHED;
  (void)state;
  assert_non_null(dlopen(stub, RTLD_NOW | RTLD_LOCAL));
  assert_refused("LibTorch 2.12.0", stub);
  assert_fails(udi_model_load(NULL, "weights.safetensors", UDI_TEACHER, &model, &error), UDI_E_VERSION, "2.12.0");
}

/* The right one is found by the common name; the other must be seen all the same. */
static void test_it_came_after_the_right_one(void** state) {
  (void)state;
  assert_non_null(dlopen(torch, RTLD_LAZY | RTLD_LOCAL));
  assert_non_null(dlopen(stub, RTLD_NOW | RTLD_LOCAL));
  assert_refused("LibTorch 2.12.0", stub);
}

/* What there is goes on; nothing new begins. */
static void test_it_came_after_a_context(void** state) {
  udi_context *context = new_context(), *second = new_context();
  udi_model* model = new_model(context);
  (void)state;
  void* foreign = dlopen(stub, RTLD_NOW | RTLD_LOCAL);
  assert_non_null(foreign);
  assert_refused("LibTorch 2.12.0", stub);
  udi_tensor_free(extract_tokens(model, 0, 2));
  assert_int_equal(dlclose(foreign), 0);
  udi_model_free(model);
  udi_context_free(second);
  udi_context_free(context);
  udi_context_free(new_context()); /* it is gone */
}

static void write_text(const char* path, const char* text) {
  FILE* out = fopen(path, "w");
  assert_non_null(out);
  assert_true(fputs(text, out) >= 0);
  assert_int_equal(fclose(out), 0);
}

/* Before LibTorch could be asked for its version: what lies beside it tells. */
static void test_it_is_old(void** state) {
  static char folder[] = "/tmp/udi-XXXXXX";
  static char lib[64], library[128], version_py[64], build_version[64];
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(lib, sizeof lib, "%s/lib", folder);
  snprintf(library, sizeof library, "%s/libtorch_cpu.so", lib);
  snprintf(version_py, sizeof version_py, "%s/version.py", folder);
  snprintf(build_version, sizeof build_version, "%s/build-version", folder);
  assert_int_equal(mkdir(lib, 0700), 0);
  assert_int_equal(symlink(old_stub, library), 0);
  assert_non_null(dlopen(library, RTLD_NOW | RTLD_LOCAL));
  assert_refused("LibTorch of an older version", library);
  write_text(build_version, "1.13.1+cpu\n");
  assert_refused("LibTorch 1.13.1+cpu,", library);
  write_text(version_py, "__all__ = ['__version__']\n__version__ = '2.5.1+cpu'\ndebug = False\n");
  assert_refused("LibTorch 2.5.1+cpu,", library);
  write_text(version_py, "__version__ = '");
  assert_refused("LibTorch 1.13.1+cpu,", library);
  unlink(build_version);
  unlink(version_py);
  unlink(library);
  rmdir(lib);
  assert_int_equal(rmdir(folder), 0);
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
  const struct {
    const char* order;
    struct CMUnitTest test;
  } orders[] = {{"first", cmocka_unit_test(test_it_was_there_first)},
                {"after_torch", cmocka_unit_test(test_it_came_after_the_right_one)},
                {"after_context", cmocka_unit_test(test_it_came_after_a_context)},
                {"old", cmocka_unit_test(test_it_is_old)}};
  if (argc != 5) return 2;
  stub = argv[2];
  old_stub = argv[3];
  torch = argv[4];
  for (size_t i = 0; i < sizeof orders / sizeof *orders; ++i) {
    const struct CMUnitTest tests[] = {orders[i].test, cmocka_unit_test(test_the_rest_does_nothing)};
    if (strcmp(argv[1], orders[i].order) == 0) return cmocka_run_group_tests(tests, NULL, NULL);
  }
  return 2;
}
