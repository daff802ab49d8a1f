/* Structs of older and newer headers. */
#include "support.h"

/* A struct of a newer header: ours, and a field more. */
struct newer_model_config {
  udi_model_config known;
  int32_t unknown;
};

static void test_init_fills_what_there_is_room_for(void** state) {
  udi_train_config full, part;
  struct newer_model_config newer;
  (void)state;
  udi_train_config_init(&full, sizeof full);
  memset(&part, 0xAA, sizeof part);
  udi_train_config_init(&part, offsetof(udi_train_config, lr));
  assert_int_equal(part.struct_size, offsetof(udi_train_config, lr));
  assert_memory_equal(&part.precision, &full.precision,
                      offsetof(udi_train_config, lr) - offsetof(udi_train_config, precision));
  assert_int_equal(((unsigned char*)&part.lr)[0], 0xAA);
  memset(&newer, 0xAA, sizeof newer);
  assert_works(udi_model_config_init(&newer.known, sizeof newer, "vit_tiny", &error));
  assert_int_equal(newer.known.struct_size, sizeof newer);
  assert_int_equal(newer.unknown, 0);
  udi_train_config_init(NULL, sizeof full);
  udi_context_config_init(NULL, 0);
  udi_view_config_init(NULL, 1);
  udi_loader_config_init(NULL, 2);
  udi_extract_config_init(NULL, 3);
  udi_attention_config_init(NULL, 4);
}

static void test_older_struct_stands_for_the_defaults(void** state) {
  udi_context* context = new_context();
  udi_model* model = NULL;
  udi_model_config config = small_model_config(), found;
  (void)state;
  memset(&found, 0, sizeof found);
  memset(config.std, 0, sizeof config.std); /* behind the end of the older struct: must not be read */
  config.struct_size = offsetof(udi_model_config, std);
  assert_works(udi_model_create(context, &config, 0, &model, &error));
  found.struct_size = sizeof found;
  assert_works(udi_model_get_config(model, &found, &error));
  assert_true(found.std[0] == 0.229f && found.embed_dim == 24);
  udi_model_free(model);
  udi_context_free(context);
}

static void test_newer_struct_may_not_use_what_we_lack(void** state) {
  udi_context* context = new_context();
  udi_model* model = NULL;
  struct newer_model_config newer = {small_model_config(), 0};
  (void)state;
  newer.known.struct_size = sizeof newer;
  assert_works(udi_model_create(context, &newer.known, 0, &model, &error));
  udi_model_free(model);
  newer.unknown = 1;
  model = UNTOUCHED;
  assert_fails(udi_model_create(context, &newer.known, 0, &model, &error), UDI_E_VERSION, "does not know");
  assert_ptr_equal(model, UNTOUCHED);
  udi_context_free(context);
}

static void test_struct_size_that_is_none(void** state) {
  udi_context* context = new_context();
  udi_model* model = UNTOUCHED;
  udi_model_config config = small_model_config();
  (void)state;
  config.struct_size = 0;
  assert_fails(udi_model_create(context, &config, 0, &model, &error), UDI_E_INVALID, "config.struct_size is 0");
  config.struct_size = 0xFFFFFFFF;
  assert_fails(udi_model_create(context, &config, 0, &model, &error), UDI_E_VERSION,
               "config.struct_size is 4294967295");
  assert_ptr_equal(model, UNTOUCHED);
  udi_context_free(context);
}

static void test_results_of_any_size(void** state) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  struct {
    udi_model_info known;
    int64_t unknown;
  } newer;
  udi_model_info older;
  (void)state;
  memset(&newer, 0xAA, sizeof newer);
  newer.known.struct_size = sizeof newer;
  assert_works(udi_model_get_info(model, &newer.known, &error));
  assert_int_equal(newer.known.struct_size, sizeof newer);
  assert_int_equal(newer.known.depth, 2);
  assert_int_equal(newer.unknown, 0);
  memset(&older, 0xAA, sizeof older);
  older.struct_size = offsetof(udi_model_info, num_parameters);
  assert_works(udi_model_get_info(model, &older, &error));
  assert_int_equal(older.include_patch, 1);
  assert_int_equal(((unsigned char*)&older.num_parameters)[7], 0xAA);
  older.struct_size = 4;
  assert_fails(udi_model_get_info(model, &older, &error), UDI_E_INVALID, "out.struct_size is 4");
  udi_model_free(model);
  udi_context_free(context);
}

/* An array of udi_image is stepped through by the caller's struct_size, not by ours. */
static void test_images_of_a_newer_header(void** state) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  static struct drawing drawing;
  struct {
    udi_image known;
    int64_t unknown;
  } newer[3];
  udi_tensor *one = NULL, *other = NULL;
  (void)state;
  draw_all(&drawing);
  memset(newer, 0, sizeof newer);
  for (int i = 0; i < 3; ++i) {
    newer[i].known = drawing.images[i];
    newer[i].known.struct_size = sizeof newer[i];
  }
  assert_works(udi_model_prepare(model, drawing.images, 3, &one, &error));
  assert_works(udi_model_prepare(model, &newer[0].known, 3, &other, &error));
  const udi_array a = view_of(one), b = view_of(other);
  assert_memory_equal(a.data, b.data, (size_t)elements_of(&a));
  newer[2].unknown = 1;
  assert_fails(udi_model_prepare(model, &newer[0].known, 3, &other, &error), UDI_E_VERSION, "images[2]");
  newer[1].known.struct_size = sizeof(udi_image);
  assert_fails(udi_model_prepare(model, &newer[0].known, 3, &other, &error), UDI_E_INVALID, "images[1].struct_size");
  udi_tensor_free(one);
  udi_tensor_free(other);
  udi_model_free(model);
  udi_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_init_fills_what_there_is_room_for),
      cmocka_unit_test(test_older_struct_stands_for_the_defaults),
      cmocka_unit_test(test_newer_struct_may_not_use_what_we_lack),
      cmocka_unit_test(test_struct_size_that_is_none),
      cmocka_unit_test(test_results_of_any_size),
      cmocka_unit_test(test_images_of_a_newer_header),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
