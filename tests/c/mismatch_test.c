/* A libudi.so beside the core of another build, in a process that has LibTorch. mismatch_test LIBUDI FOREIGN_CORE */
#include "copy_library.h"

static const char *library, *foreign_core;

static void test_libtorch_is_found_in_the_process_and_the_core_refused(void** state) {
  char folder[128], path[256];
  udi_context *mine = new_context(), *context = UNTOUCHED;
  const create_fn create = open_lonely(library);
  (void)state;
  snprintf(folder, sizeof folder, "%s/udi", lonely_folder);
  snprintf(path, sizeof path, "%s/libudi_core.so", folder);
  assert_fails(create(NULL, &context, &error), UDI_E_NOT_FOUND, path);
  assert_int_equal(mkdir(folder, 0700), 0);
  copy_file(foreign_core, path);
  assert_fails(create(NULL, &context, &error), UDI_E_VERSION, "another build");
  assert_ptr_equal(context, UNTOUCHED);
  unlink(path);
  rmdir(folder);
  remove_lonely();
  udi_context_free(mine);
}

/* However often it is opened, and by whatever name: one LibTorch in the process. */
static void test_one_libtorch(void** state) {
  char line[4096], first[4096] = "";
  FILE* maps = fopen("/proc/self/maps", "r");
  (void)state;
  assert_non_null(maps);
  assert_non_null(dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD));
  while (fgets(line, sizeof line, maps)) {
    const char* path = strchr(line, '/');
    if (!path || !strstr(path, "/libtorch_cpu.so")) continue;
    if (!first[0]) strcpy(first, path);
    assert_string_equal(path, first);
  }
  fclose(maps);
  assert_int_not_equal(first[0], 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_libtorch_is_found_in_the_process_and_the_core_refused),
      cmocka_unit_test(test_one_libtorch),
  };
  library = argc == 3 ? argv[1] : "";
  foreign_core = argc == 3 ? argv[2] : "";
  return cmocka_run_group_tests(tests, NULL, NULL);
}
