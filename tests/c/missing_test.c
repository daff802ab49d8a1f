/* libudi.so without the libraries it was installed with. missing_test LIBUDI */
#include "copy_library.h"

static const char* library;

static void test_the_places_are_named(void** state) {
  char place[128];
  udi_context* context = UNTOUCHED;
  const create_fn create = open_lonely(library);
  (void)state;
  snprintf(place, sizeof place, "%s/udi/lib", lonely_folder);
  assert_fails(create(NULL, &context, &error), UDI_E_NOT_FOUND, place);
  assert_fails(create(NULL, &context, &error), UDI_E_NOT_FOUND, place); /* and again, unharmed */
  assert_ptr_equal(context, UNTOUCHED);
  remove_lonely();
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_places_are_named)};
  library = argc == 2 ? argv[1] : "";
  return cmocka_run_group_tests(tests, NULL, NULL);
}
