/* A picture's tokens and the batch it came in: the same up to rounding, and to the bit where the context asks for it.
 */
#include <omp.h>

#include "support.h"

enum { COUNT = 16, MOST_VALUES = COUNT * (SIZE / PATCH) * (SIZE / PATCH) * 48 };

static udi_context* make_context(int32_t deterministic) {
  udi_context* context = NULL;
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  config.num_threads = 2;
  config.deterministic = deterministic;
  assert_works(udi_context_create(&config, &context, &error));
  return context;
}

/* Tokens of the drawn pictures, `batch` of them at a time, in `values`; returns how many values a picture has. */
static int64_t extract_in_batches(const udi_model* model, const udi_extract_config* config, int64_t batch,
                                  float* values) {
  static struct drawing drawing;
  int64_t width = 0;
  draw_all(&drawing);
  for (int64_t first = 0; first < COUNT; first += batch) {
    const int64_t count = first + batch < COUNT ? batch : COUNT - first;
    udi_tensor *pixels = NULL, *tokens = NULL;
    assert_works(udi_model_prepare(model, drawing.images + first, count, &pixels, &error));
    const udi_array images = view_of(pixels);
    assert_works(udi_model_extract(model, &images, UDI_NCHW, config, &tokens, &error));
    const udi_array view = view_of(tokens);
    width = elements_of(&view) / count;
    assert_true(COUNT * width <= MOST_VALUES);
    memcpy(values + first * width, view.data, (size_t)(count * width) * sizeof(float));
    udi_tensor_free(pixels);
    udi_tensor_free(tokens);
  }
  return width;
}

/* The largest difference, over the largest value, between tokens of a batch of all pictures and those of smaller ones;
 * on one to three threads if `threads`. */
static double largest_difference(udi_precision precision, int32_t deterministic, int threads) {
  static const int64_t batches[] = {1, 2, 3, 5, 7, COUNT};
  static float wanted[MOST_VALUES], found[MOST_VALUES];
  const int threads_before = omp_get_max_threads();
  udi_context* context = make_context(deterministic);
  udi_model* model = new_model(context);
  double largest = 0;
  for (udi_token token = UDI_TOKEN_CLS; token <= UDI_TOKEN_PATCHES; ++token) {
    for (int32_t blocks = 1; blocks <= 2; ++blocks) {
      udi_extract_config config;
      double scale = 0;
      udi_extract_config_init(&config, sizeof config);
      config.token = token;
      config.num_blocks = blocks;
      config.normalize = blocks == 2;
      config.precision = precision;
      const int64_t values = COUNT * extract_in_batches(model, &config, COUNT, wanted);
      for (int64_t i = 0; i < values; ++i) scale = fmax(scale, fabs((double)wanted[i]));
      for (int count = 1; count <= (threads ? 3 : 1); ++count) {
        if (threads) omp_set_num_threads(count);
        for (size_t i = 0; i < sizeof batches / sizeof *batches; ++i) {
          config.batch_size = i % 2 ? 0 : 4;
          extract_in_batches(model, &config, batches[i], found);
          for (int64_t k = 0; k < values; ++k) largest = fmax(largest, fabs((double)wanted[k] - found[k]) / scale);
        }
      }
      omp_set_num_threads(threads_before);
    }
  }
  udi_model_free(model);
  udi_context_free(context);
  return largest;
}

static void test_up_to_rounding(void** state) {
  (void)state;
  assert_true(largest_difference(UDI_PRECISION_F32, 0, 0) < 1e-5);
}

static void test_to_the_bit(void** state) {
  (void)state;
  assert_true(largest_difference(UDI_PRECISION_F32, 1, 1) == 0);
}

/* In fewer bits with and without it. */
static void test_in_eight_bits(void** state) {
  (void)state;
  assert_true(largest_difference(UDI_PRECISION_INT8, 1, 1) == 0);
  assert_true(largest_difference(UDI_PRECISION_INT8, 0, 0) == 0);
}

/* Both are the same tokens. */
static void test_modes_agree(void** state) {
  static float plain[MOST_VALUES], exact[MOST_VALUES];
  udi_context *one = make_context(0), *other = make_context(1);
  udi_model *model = new_model(one), *same = new_model(other);
  udi_extract_config config;
  (void)state;
  udi_extract_config_init(&config, sizeof config);
  const int64_t values = COUNT * extract_in_batches(model, &config, COUNT, plain);
  extract_in_batches(same, &config, COUNT, exact);
  for (int64_t i = 0; i < values; ++i) assert_true(fabs((double)plain[i] - exact[i]) < 1e-5);
  udi_model_free(same);
  udi_model_free(model);
  udi_context_free(other);
  udi_context_free(one);
}

static void test_neither_on_nor_off(void** state) {
  udi_context* context = UNTOUCHED;
  udi_context_config config;
  (void)state;
  udi_context_config_init(&config, sizeof config);
  assert_int_equal(config.deterministic, 0);
  config.deterministic = 2;
  assert_fails(udi_context_create(&config, &context, &error), UDI_E_INVALID,
               "config.deterministic is 2, must be 0 to 1");
  assert_ptr_equal(context, UNTOUCHED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_up_to_rounding),
      cmocka_unit_test(test_to_the_bit),
      cmocka_unit_test(test_in_eight_bits),
      cmocka_unit_test(test_modes_agree),
      cmocka_unit_test(test_neither_on_nor_off),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
