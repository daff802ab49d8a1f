/* A fork in the midst of the first context's creation. forking_test LIBUDI FORKING_TORCH */
#include <sys/wait.h>

#include "copy_library.h"

static const char *library, *forking_torch;

static void test_the_child_is_told(void** state) {
  char folder[128], torch[256], self[128];
  udi_context* context = UNTOUCHED;
  const create_fn create = open_lonely(library);
  (void)state;
  snprintf(self, sizeof self, "%s/libudi.so.0", lonely_folder);
  snprintf(folder, sizeof folder, "%s/udi", lonely_folder);
  snprintf(torch, sizeof torch, "%s/libtorch_cpu.so", folder);
  assert_int_equal(setenv("UDI_TEST_LIBRARY", self, 1), 0);
  assert_int_equal(mkdir(folder, 0700), 0);
  copy_file(forking_torch, torch);
  assert_fails(create(NULL, &context, &error), UDI_E_VERSION, "2.12.0");
  assert_ptr_equal(context, UNTOUCHED);
  const int* child_status = NULL;
  *(void**)&child_status = dlsym(dlopen(torch, RTLD_LAZY | RTLD_NOLOAD), "child_status");
  assert_non_null(child_status);
  assert_true(WIFEXITED(*child_status));
  assert_int_equal(WEXITSTATUS(*child_status), UDI_E_STATE);
  unlink(torch);
  rmdir(folder);
  remove_lonely();
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_child_is_told)};
  if (argc != 3) return 2;
  library = argv[1];
  forking_torch = argv[2];
  return cmocka_run_group_tests(tests, NULL, NULL);
}
