/* Models: what they give for pictures, and that files keep it. */
#include <unistd.h>

#include "support.h"

static struct {
  udi_context* context;
  udi_model* model;
} have;

static int make_handles(void** state) {
  (void)state;
  have.context = new_context();
  have.model = new_model(have.context);
  return 0;
}

static int free_handles(void** state) {
  (void)state;
  udi_model_free(have.model);
  udi_context_free(have.context);
  return 0;
}

static double largest_difference(const float* a, const float* b, int64_t count) {
  double largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = fmax(largest, fabs((double)a[i] - b[i]));
  return largest;
}

static void test_tokens_do_not_depend_on_the_batch(void** state) {
  udi_tensor* all = extract_tokens(have.model, 0, 16);
  const udi_array together = view_of(all);
  (void)state;
  assert_int_equal(together.ndim, 2);
  assert_int_equal(together.shape[0], 16);
  assert_int_equal(together.shape[1], 48);
  for (int64_t i = 0; i < 16; ++i) {
    udi_tensor* one = extract_tokens(have.model, i, 1);
    const udi_array alone = view_of(one);
    assert_true(largest_difference(alone.data, (float*)together.data + i * 48, 48) < 1e-5);
    udi_tensor_free(one);
  }
  assert_true(largest_difference(together.data, (float*)together.data + 48, 48) > 1e-2); /* and pictures differ */
  udi_tensor_free(all);
}

static void test_saved_model_gives_equal_tokens(void** state) {
  char path[] = "/tmp/udi-model-XXXXXX";
  udi_model* loaded = NULL;
  udi_model_config before = {0}, after = {0};
  const int file = mkstemp(path);
  (void)state;
  assert_true(file >= 0);
  close(file);
  assert_works(udi_model_save(have.model, path, &error));
  assert_works(udi_model_load(have.context, path, UDI_TEACHER, &loaded, &error));
  udi_tensor *one = extract_tokens(have.model, 0, 4), *other = extract_tokens(loaded, 0, 4);
  const udi_array a = view_of(one), b = view_of(other);
  assert_memory_equal(a.data, b.data, 4 * 48 * sizeof(float));
  before.struct_size = after.struct_size = sizeof before;
  assert_works(udi_model_get_config(have.model, &before, &error));
  assert_works(udi_model_get_config(loaded, &after, &error));
  assert_memory_equal(&before, &after, sizeof before);
  udi_tensor_free(one);
  udi_tensor_free(other);
  udi_model_free(loaded);
  unlink(path);
}

static void test_files_that_cannot_be(void** state) {
  char path[] = "/tmp/udi-model-XXXXXX";
  udi_model* model = UNTOUCHED;
  const int file = mkstemp(path);
  (void)state;
  assert_int_equal(write(file, "not a model", 11), 11);
  close(file);
  assert_fails(udi_model_load(have.context, path, UDI_TEACHER, &model, &error), UDI_E_FORMAT, path);
  unlink(path);
  assert_fails(udi_model_load(have.context, path, UDI_TEACHER, &model, &error), UDI_E_NOT_FOUND, path);
  assert_fails(udi_model_load(have.context, "/tmp", UDI_TEACHER, &model, &error), UDI_E_IO, "/tmp");
  assert_fails(udi_model_save(have.model, "/no/such/folder/model", &error), UDI_E_IO, "/no/such/folder");
  assert_ptr_equal(model, UNTOUCHED);
}

static void test_shapes_of_tokens(void** state) {
  static const struct {
    udi_token token;
    int32_t blocks, ndim;
    int64_t shape[3];
  } cases[] = {{UDI_TOKEN_CLS, 1, 2, {2, 24, 0}},      {UDI_TOKEN_CLS_PLUS, 1, 2, {2, 24, 0}},
               {UDI_TOKEN_BOTH, 1, 2, {2, 48, 0}},     {UDI_TOKEN_PATCH_MEAN, 1, 2, {2, 24, 0}},
               {UDI_TOKEN_PATCHES, 1, 3, {2, 24, 24}}, {UDI_TOKEN_CLS, 2, 2, {2, 48, 0}},
               {UDI_TOKEN_PATCHES, 2, 3, {2, 24, 48}}};
  static uint8_t pixels[2 * 32 * 48 * 3];
  const int64_t shape[] = {2, 32, 48, 3}; /* 4 x 6 patches: not the model's own grid */
  const udi_array images = array_of(pixels, UDI_U8, 4, shape);
  (void)state;
  for (size_t i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i * i % 251);
  for (size_t c = 0; c < sizeof cases / sizeof *cases; ++c) {
    udi_extract_config config;
    udi_tensor* tokens = NULL;
    udi_extract_config_init(&config, sizeof config);
    config.token = cases[c].token;
    config.num_blocks = cases[c].blocks;
    assert_works(udi_model_extract(have.model, &images, UDI_NHWC, &config, &tokens, &error));
    const udi_array view = view_of(tokens);
    assert_int_equal(view.dtype, UDI_F32);
    assert_int_equal(view.ndim, cases[c].ndim);
    for (int i = 0; i < view.ndim; ++i) assert_int_equal(view.shape[i], cases[c].shape[i]);
    for (int64_t i = 0; i < elements_of(&view); ++i) assert_true(isfinite(((float*)view.data)[i]));
    udi_tensor_free(tokens);
  }
}

/* The same picture as NHWC, as NCHW, through strides, and as normalised floats. */
static void test_layouts_and_strides(void** state) {
  static uint8_t nhwc[SIZE * SIZE * 3], nchw[3 * SIZE * SIZE];
  static float normalised[3 * SIZE * SIZE];
  const int64_t last[] = {1, SIZE, SIZE, 3}, first[] = {1, 3, SIZE, SIZE};
  const int64_t strides[] = {SIZE * SIZE * 3, 1, SIZE * 3, 3};
  udi_array images[4] = {array_of(nhwc, UDI_U8, 4, last), array_of(nchw, UDI_U8, 4, first),
                         array_of(nhwc, UDI_U8, 4, first), array_of(normalised, UDI_F32, 4, first)};
  udi_model_config config = {0};
  udi_tensor* tokens[4];
  (void)state;
  config.struct_size = sizeof config;
  assert_works(udi_model_get_config(have.model, &config, &error));
  draw(3, SIZE, nhwc);
  for (int i = 0; i < SIZE * SIZE * 3; ++i) {
    const int at = i % 3 * SIZE * SIZE + i / 3;
    nchw[at] = nhwc[i];
    normalised[at] = (nhwc[i] / 255.0f - config.mean[i % 3]) / config.std[i % 3];
  }
  images[2].strides = strides;
  for (int i = 0; i < 4; ++i) {
    assert_works(udi_model_extract(have.model, &images[i], i ? UDI_NCHW : UDI_NHWC, NULL, &tokens[i], &error));
    const udi_array a = view_of(tokens[0]), b = view_of(tokens[i]);
    assert_true(largest_difference(a.data, b.data, 24) < 1e-5);
  }
  for (int i = 0; i < 4; ++i) udi_tensor_free(tokens[i]);
}

static void test_normalised_rows(void** state) {
  static uint8_t pixels[SIZE * SIZE * 3];
  const int64_t shape[] = {1, SIZE, SIZE, 3};
  const udi_array images = array_of(pixels, UDI_U8, 4, shape);
  udi_extract_config config;
  udi_tensor* tokens = NULL;
  double length = 0;
  (void)state;
  draw(1, SIZE, pixels);
  udi_extract_config_init(&config, sizeof config);
  config.normalize = 1;
  assert_works(udi_model_extract(have.model, &images, UDI_NHWC, &config, &tokens, &error));
  const udi_array view = view_of(tokens);
  for (int i = 0; i < 24; ++i) length += pow(((float*)view.data)[i], 2);
  assert_true(fabs(length - 1) < 1e-5);
  udi_tensor_free(tokens);
}

/* Near float32 and not float32; a caller whose header had no such field gets float32. */
static void test_precisions(void** state) {
  static uint8_t pixels[SIZE * SIZE * 3];
  const int64_t shape[] = {1, SIZE, SIZE, 3};
  const udi_array images = array_of(pixels, UDI_U8, 4, shape);
  udi_extract_config config;
  udi_tensor *exact = NULL, *tokens = NULL;
  udi_error error;
  (void)state;
  draw(1, SIZE, pixels);
  udi_extract_config_init(&config, sizeof config);
  assert_int_equal(config.precision, UDI_PRECISION_F32);
  assert_works(udi_model_extract(have.model, &images, UDI_NHWC, &config, &exact, &error));
  const udi_array a = view_of(exact);
  for (udi_precision precision = UDI_PRECISION_BF16; precision <= UDI_PRECISION_INT8; ++precision) {
    config.struct_size = sizeof config;
    config.precision = precision;
    const udi_status given = udi_model_extract(have.model, &images, UDI_NHWC, &config, &tokens, &error);
    if (precision == UDI_PRECISION_BF16 && given == UDI_E_UNSUPPORTED) {
      assert_non_null(strstr(error.message, "AVX-512 BF16"));
      continue;
    }
    assert_int_equal(given, UDI_OK);
    const udi_array b = view_of(tokens);
    double product = 0, own = 0, other = 0;
    for (int i = 0; i < 24; ++i) {
      product += (double)((float*)a.data)[i] * ((float*)b.data)[i];
      own += pow(((float*)a.data)[i], 2);
      other += pow(((float*)b.data)[i], 2);
    }
    assert_true(product / sqrt(own * other) > 0.999);
    assert_true(largest_difference(a.data, b.data, 24) > 0);
    udi_tensor_free(tokens);

    config.struct_size = offsetof(udi_extract_config, precision);
    assert_works(udi_model_extract(have.model, &images, UDI_NHWC, &config, &tokens, &error));
    const udi_array older = view_of(tokens);
    assert_true(largest_difference(a.data, older.data, 24) == 0);
    udi_tensor_free(tokens);
  }
  udi_tensor_free(exact);
}

static void test_attention(void** state) {
  static uint8_t pixels[SIZE * SIZE * 3];
  const int64_t shape[] = {1, SIZE, SIZE, 3};
  const udi_array images = array_of(pixels, UDI_U8, 4, shape);
  (void)state;
  draw(2, SIZE, pixels);
  for (udi_attention source = UDI_ATTENTION_CLS; source <= UDI_ATTENTION_SRS; ++source) {
    udi_attention_config config;
    udi_tensor* maps = NULL;
    udi_attention_config_init(&config, sizeof config);
    config.source = source;
    config.patch_row = 1;
    config.patch_col = 2;
    assert_works(udi_model_attention(have.model, &images, UDI_NHWC, &config, &maps, &error));
    const udi_array view = view_of(maps);
    assert_int_equal(view.ndim, 4);
    assert_int_equal(view.shape[1], 3);
    assert_int_equal(view.shape[2], 4);
    assert_int_equal(view.shape[3], 4);
    for (int head = 0; head < 3; ++head) {
      double sum = 0;
      for (int i = 0; i < 16; ++i) sum += ((float*)view.data)[head * 16 + i];
      assert_true(source == UDI_ATTENTION_SRS ? fabs(sum - 1) < 1e-5
                                              : sum > 0.5 && sum < 1); /* without the class tokens */
    }
    udi_tensor_free(maps);
  }
}

static void test_weights_by_name(void** state) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  udi_model_info info = {0};
  int64_t total = 0;
  (void)state;
  info.struct_size = sizeof info;
  assert_works(udi_model_get_info(model, &info, &error));
  for (int64_t i = 0; i < udi_model_param_count(model); ++i) {
    udi_tensor* weight = NULL;
    assert_works(udi_model_param_get(model, udi_model_param_name(model, i), &weight, &error));
    const udi_array view = view_of(weight);
    total += elements_of(&view);
    udi_tensor_free(weight);
  }
  assert_int_equal(total, info.num_parameters);

  const char* name = "backbone.backbone.norm.bias";
  const int64_t shape[] = {24};
  float bias[24];
  udi_tensor *before = extract_tokens(model, 0, 1), *weight = NULL;
  for (int i = 0; i < 24; ++i) bias[i] = 2.5f;
  const udi_array value = array_of(bias, UDI_F32, 1, shape);
  assert_works(udi_model_param_set(model, name, &value, &error));
  assert_works(udi_model_param_get(model, name, &weight, &error));
  const udi_array stored = view_of(weight);
  assert_memory_equal(stored.data, bias, sizeof bias);
  udi_tensor* after = extract_tokens(model, 0, 1);
  const udi_array a = view_of(before), b = view_of(after);
  for (int i = 0; i < 48; ++i) {
    assert_true(fabs(((float*)b.data)[i] - ((float*)a.data)[i] - 2.5) < 1e-5); /* the bias was 0 */
  }
  udi_tensor_free(before);
  udi_tensor_free(after);
  udi_tensor_free(weight);
  udi_model_free(model);
  udi_context_free(context);
}

/* Pixels of 8 bits stay bytes; others become what extract takes as floats, and mean the same. */
static void test_prepare(void** state) {
  static uint8_t bytes[48 * 40 * 3];
  static uint16_t words[48 * 40 * 3];
  static float floats[48 * 40 * 3];
  udi_image image = {sizeof image, UDI_U8, 48, 40, 3, 0, bytes, sizeof bytes};
  udi_tensor *prepared[3], *tokens[3];
  (void)state;
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 40; ++x) {
      for (int c = 0; c < 3; ++c) bytes[(y * 40 + x) * 3 + c] = (uint8_t)(x * 5 + y * (c + 1));
    }
  }
  for (size_t i = 0; i < sizeof bytes; ++i) {
    words[i] = (uint16_t)(bytes[i] * 257);
    floats[i] = bytes[i] / 255.0f;
  }
  for (int kind = 0; kind < 3; ++kind) {
    if (kind == 1) image.dtype = UDI_U16, image.data = words, image.size = sizeof words;
    if (kind == 2) image.dtype = UDI_F32, image.data = floats, image.size = sizeof floats;
    assert_works(udi_model_prepare(have.model, &image, 1, &prepared[kind], &error));
    const udi_array view = view_of(prepared[kind]);
    assert_int_equal(view.dtype, kind == 0 ? UDI_U8 : UDI_F32);
    assert_int_equal(view.ndim, 4);
    assert_int_equal(view.shape[1], 3);
    assert_int_equal(view.shape[3], SIZE);
    assert_works(udi_model_extract(have.model, &view, UDI_NCHW, NULL, &tokens[kind], &error));
    const udi_array a = view_of(tokens[0]), b = view_of(tokens[kind]);
    assert_true(largest_difference(a.data, b.data, 24) < 0.02); /* bytes are rounded after the resize */
  }
  for (int kind = 0; kind < 3; ++kind) {
    udi_tensor_free(prepared[kind]);
    udi_tensor_free(tokens[kind]);
  }
}

/* A PNG of two pixels, black and white, whose EXIF orientation (6) stands the white one below the black one. */
static void test_prepare_turns_images(void** state) {
  static const uint8_t png[] = {
      0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48, 0x44, 0x52,
      0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0xD1, 0x49, 0x20,
      0x56, 0x00, 0x00, 0x00, 0x1A, 0x65, 0x58, 0x49, 0x66, 0x4D, 0x4D, 0x00, 0x2A, 0x00, 0x00, 0x00,
      0x08, 0x00, 0x01, 0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x06, 0x00, 0x00, 0x00,
      0x00, 0x00, 0x00, 0xD6, 0x67, 0x4B, 0x69, 0x00, 0x00, 0x00, 0x0B, 0x49, 0x44, 0x41, 0x54, 0x78,
      0xDA, 0x63, 0x60, 0xF8, 0x0F, 0x00, 0x01, 0x02, 0x01, 0x00, 0xD1, 0x1A, 0xCB, 0x8F, 0x00, 0x00,
      0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
  };
  const udi_image image = {sizeof image, 0, 0, 0, 0, 0, png, sizeof png};
  (void)state;
  for (int turn = 0; turn < 2; ++turn) {
    udi_model_config config = small_model_config();
    udi_model* model = NULL;
    udi_tensor* prepared = NULL;
    config.exif_turn = turn;
    assert_works(udi_model_create(have.context, &config, 0, &model, &error));
    assert_works(udi_model_prepare(model, &image, 1, &prepared, &error));
    const uint8_t* pixels = view_of(prepared).data;
    const int below = pixels[(SIZE - 1) * SIZE] - pixels[0], beside = pixels[SIZE - 1] - pixels[0];
    assert_true((turn ? below : beside) > 200);
    assert_int_equal(turn ? beside : below, 0);
    udi_tensor_free(prepared);
    udi_model_free(model);
  }
}

/* Languages give an empty list as a pointer that is not NULL, and nothing is there. */
static void test_an_empty_list_is_not_looked_at(void** state) {
  const udi_image* nowhere = (const udi_image*)(uintptr_t)8;
  const udi_view_config config = small_view_config();
  udi_tensor* tensor = UNTOUCHED;
  udi_views* views = UNTOUCHED;
  (void)state;
  assert_fails(udi_model_prepare(have.model, nowhere, 0, &tensor, &error), UDI_E_INVALID, "count is 0");
  assert_fails(udi_views_create(have.context, &config, nowhere, 0, 0, 0, 0, &views, &error), UDI_E_INVALID, "count is 0");
  assert_ptr_equal(tensor, UNTOUCHED);
  assert_ptr_equal(views, UNTOUCHED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tokens_do_not_depend_on_the_batch),
      cmocka_unit_test(test_saved_model_gives_equal_tokens),
      cmocka_unit_test(test_files_that_cannot_be),
      cmocka_unit_test(test_an_empty_list_is_not_looked_at),
      cmocka_unit_test(test_shapes_of_tokens),
      cmocka_unit_test(test_layouts_and_strides),
      cmocka_unit_test(test_normalised_rows),
      cmocka_unit_test(test_precisions),
      cmocka_unit_test(test_attention),
      cmocka_unit_test(test_weights_by_name),
      cmocka_unit_test(test_prepare),
      cmocka_unit_test(test_prepare_turns_images),
  };
  return cmocka_run_group_tests(tests, make_handles, free_handles);
}
