/* Views of pictures in memory, and of a caller's own crops. */
#include "support.h"

static void assert_equal_tensors(udi_tensor* a, udi_tensor* b) {
  const udi_array x = view_of(a), y = view_of(b);
  assert_int_equal(x.dtype, y.dtype);
  assert_int_equal(elements_of(&x), elements_of(&y));
  assert_memory_equal(x.data, y.data, (size_t)elements_of(&x) * (x.dtype == UDI_U8 ? 1 : 4));
  udi_tensor_free(a);
  udi_tensor_free(b);
}

static udi_tensor* crops_of(const udi_views* views, int32_t global) {
  udi_tensor* crops = NULL;
  assert_works(udi_views_crops(views, global, &crops, &error));
  return crops;
}

static udi_tensor* coords_of(const udi_views* views) {
  udi_tensor* coords = NULL;
  assert_works(udi_views_coords(views, &coords, &error));
  return coords;
}

static void test_shapes(void** state) {
  udi_context* context = new_context();
  udi_views* views = new_views(context, 3);
  const int64_t global_shape[] = {2, 3, 3, SIZE, SIZE}, local_shape[] = {2, 3, 3, SIZE / 2, SIZE / 2};
  udi_tensor *global = crops_of(views, 1), *local = crops_of(views, 0), *coords = coords_of(views);
  const udi_array g = view_of(global), l = view_of(local), c = view_of(coords);
  (void)state;
  assert_int_equal(udi_views_count(views), 3);
  assert_int_equal(g.ndim, 5);
  assert_memory_equal(g.shape, global_shape, sizeof global_shape);
  assert_memory_equal(l.shape, local_shape, sizeof local_shape);
  assert_int_equal(g.dtype, UDI_U8);
  assert_int_equal(c.shape[0] * c.shape[1] * c.shape[2], 4 * 3 * 4);
  for (int i = 0; i < 48; ++i) assert_true(((float*)c.data)[i] >= 0 && ((float*)c.data)[i] <= 1);
  udi_tensor_free(global);
  udi_tensor_free(local);
  udi_tensor_free(coords);
  udi_views_free(views);
  udi_context_free(context);
}

/* An image's draw depends on (seed, epoch, first_sample + i) alone: not on threads, nor on its neighbours. */
static void test_draws_depend_on_the_sample_alone(void** state) {
  static struct drawing drawing;
  const udi_view_config config = small_view_config();
  udi_context_config serial;
  udi_context *context = new_context(), *one_thread = NULL;
  udi_views *a = NULL, *b = NULL, *part = NULL, *later = NULL;
  (void)state;
  draw_all(&drawing);
  udi_context_config_init(&serial, sizeof serial);
  serial.num_threads = 1;
  assert_works(udi_context_create(&serial, &one_thread, &error));
  assert_works(udi_views_create(context, &config, drawing.images, 6, 5, 2, 10, &a, &error));
  assert_works(udi_views_create(one_thread, &config, drawing.images, 6, 5, 2, 10, &b, &error));
  assert_equal_tensors(crops_of(a, 1), crops_of(b, 1));
  assert_equal_tensors(crops_of(a, 0), crops_of(b, 0));
  assert_equal_tensors(coords_of(a), coords_of(b));
  assert_works(udi_views_create(context, &config, drawing.images + 4, 1, 5, 2, 14, &part, &error));
  assert_works(udi_views_create(context, &config, drawing.images + 4, 1, 5, 3, 14, &later, &error));
  udi_tensor *whole = crops_of(a, 1), *alone = crops_of(part, 1), *other = crops_of(later, 1);
  const size_t crop = 3 * SIZE * SIZE;
  assert_memory_equal((uint8_t*)view_of(whole).data + 4 * crop, view_of(alone).data, crop);
  assert_memory_not_equal(view_of(other).data, view_of(alone).data, crop);
  udi_tensor_free(whole);
  udi_tensor_free(alone);
  udi_tensor_free(other);
  udi_views_free(a);
  udi_views_free(b);
  udi_views_free(part);
  udi_views_free(later);
  udi_context_free(one_thread);
  udi_context_free(context);
}

/* A file of tests/data/image; the caller frees data. */
static udi_image encoded(const char* name) {
  char path[512];
  udi_image image = {0};
  uint8_t* bytes = malloc(1 << 16);
  snprintf(path, sizeof path, "%s/%s", UDI_IMAGES, name);
  FILE* file = fopen(path, "rb");
  if (!file) fail_msg("%s: cannot be opened", path);
  image.struct_size = sizeof image;
  image.size = fread(bytes, 1, 1 << 16, file);
  image.data = bytes;
  assert_int_equal(fclose(file), 0);
  return image;
}

enum { FILES = 4 };
static const char* const file_names[FILES] = {"jpeg_gray.jpg", "png_gray_8.png", "jpeg_420.jpg", "png_rgb_8.png"};

static int read_files(void** state) {
  static udi_image files[FILES];
  for (int i = 0; i < FILES; ++i) files[i] = encoded(file_names[i]);
  *state = files;
  return 0;
}

static int free_files(void** state) {
  const udi_image* files = *state;
  for (int i = 0; i < FILES; ++i) free((void*)(uintptr_t)files[i].data);
  return 0;
}

static udi_views* views_with(udi_context* context, udi_view_config config, int32_t channels, const udi_image* images,
                             int64_t count) {
  udi_views* views = NULL;
  config.channels = channels;
  assert_works(udi_views_create(context, &config, images, count, 3, 0, 0, &views, &error));
  return views;
}

static int32_t channels_of(const udi_views* views) {
  udi_tensor* crops = crops_of(views, 1);
  const int32_t channels = (int32_t)view_of(crops).shape[2];
  udi_tensor_free(crops);
  return channels;
}

/* Files brought to one channel: a gray one's levels, a coloured one's luminance (ITU-R 601), which is near that of the
 * colours that were resized one by one. */
static void test_channels_of_files(void** state) {
  const udi_image* files = *state;
  udi_context* context = new_context();
  udi_view_config config = small_view_config();
  const int64_t plane = SIZE * SIZE;
  config.jitter_probability = config.grayscale_probability = config.solarize_probability_b = 0;
  config.blur_probability_a = config.blur_probability_b = 0;
  udi_views *one = views_with(context, config, 1, files, FILES), *three = views_with(context, config, 3, files, FILES),
            *unsaid = views_with(context, config, 0, files, FILES);
  udi_tensor *gray = crops_of(one, 1), *rgb = crops_of(three, 1);
  const udi_array g = view_of(gray), c = view_of(rgb);
  assert_equal_tensors(crops_of(unsaid, 1), crops_of(three, 1));
  assert_equal_tensors(coords_of(one), coords_of(three));
  assert_int_equal(g.shape[2], 1);
  assert_int_equal(c.shape[2], 3);
  double difference = 0;
  for (int64_t i = 0; i < 2 * FILES * plane; ++i) {
    const uint8_t *level = (uint8_t*)g.data + i, *colour = (uint8_t*)c.data + i / plane * 3 * plane + i % plane;
    const int red = colour[0], green = colour[plane], blue = colour[2 * plane];
    if (i / plane % FILES < 2) assert_true(red == *level && green == *level && blue == *level);
    difference += fabs(0.299 * red + 0.587 * green + 0.114 * blue - *level);
  }
  assert_true(difference / (double)(2 * FILES * plane) < 1);
  udi_tensor_free(gray);
  udi_tensor_free(rgb);
  udi_views_free(one);
  udi_views_free(three);
  udi_views_free(unsaid);
  udi_context_free(context);
}

/* A model of gray images learns from files, and from files among pixels that say how many channels there are. */
static void test_gray_model_learns_from_files(void** state) {
  udi_context* context = new_context();
  uint8_t levels[24 * 24];
  udi_image images[FILES + 1] = {{0}};
  udi_model_config config = small_model_config();
  const udi_train_config train = small_train_config();
  udi_model* model = NULL;
  udi_trainer* trainer = NULL;
  udi_step_stats stats = {0};
  memcpy(images + 1, *state, FILES * sizeof *images);
  for (size_t i = 0; i < sizeof levels; ++i) levels[i] = (uint8_t)(i * 7);
  images[0].struct_size = sizeof *images;
  images[0].dtype = UDI_U8;
  images[0].height = images[0].width = 24;
  images[0].channels = 1;
  images[0].data = levels;
  images[0].size = sizeof levels;
  udi_views *files = views_with(context, small_view_config(), 1, images + 1, FILES),
            *mixture = views_with(context, small_view_config(), 0, images, FILES + 1);
  const udi_views* batch[] = {files, mixture};
  assert_int_equal(channels_of(mixture), 1);
  config.channels = 1;
  assert_works(udi_model_create(context, &config, 1, &model, &error));
  assert_works(udi_trainer_create(context, model, &train, &trainer, &error));
  stats.struct_size = sizeof stats;
  assert_works(udi_trainer_step(trainer, batch, 2, &stats, &error));
  assert_true(isfinite(stats.loss));
  udi_trainer_free(trainer);
  udi_model_free(model);
  udi_views_free(files);
  udi_views_free(mixture);
  udi_context_free(context);
}

static void test_channels_that_images_do_not_have(void** state) {
  static struct drawing drawing;
  udi_context* context = new_context();
  udi_view_config config = small_view_config();
  udi_views* views = UNTOUCHED;
  udi_image array = encoded("npy_u2_5.npy");
  draw_all(&drawing);
#define VIEWS(images) udi_views_create(context, &config, images, 1, 0, 0, 0, &views, &error)
  config.channels = 1;
  assert_fails(VIEWS(drawing.images), UDI_E_SHAPE, "images[0]: channels is 3, must be 1");
  config.channels = 2;
  assert_fails(VIEWS((const udi_image*)*state), UDI_E_FORMAT, "images[0]: a JPEG or PNG gives 1 or 3 channels, 2 are");
  config.channels = 0;
  assert_fails(VIEWS(&array), UDI_E_FORMAT, "images[0]: ");
  assert_ptr_equal(views, UNTOUCHED);
#undef VIEWS
  views = views_with(context, config, 5, &array, 1);
  assert_int_equal(channels_of(views), 5);
  udi_views_free(views);
  free((void*)(uintptr_t)array.data);
  udi_context_free(context);
}

static struct {
  uint8_t global[2 * 2 * 3 * SIZE * SIZE], local[2 * 2 * 3 * SIZE / 2 * SIZE / 2];
  float coords[4 * 2 * 4];
  uint8_t sample_global[2 * 16], sample_local[2 * 4];
} mine;

static const int64_t kGlobal[] = {2, 2, 3, SIZE, SIZE}, kLocal[] = {2, 2, 3, SIZE / 2, SIZE / 2}, kCoords[] = {4, 2, 4},
                     kSampleGlobal[] = {2, 16}, kSampleLocal[] = {2, 4};

static void fill_mine(void) {
  for (size_t i = 0; i < sizeof mine.global; ++i) mine.global[i] = (uint8_t)(i * 31 % 253);
  for (size_t i = 0; i < sizeof mine.local; ++i) mine.local[i] = (uint8_t)(i * 17 % 251);
  for (int i = 0; i < 8; ++i) {
    const float box[4] = {0.1f, 0.2f, 0.8f, 0.9f};
    memcpy(mine.coords + 4 * i, box, sizeof box);
  }
  memset(mine.sample_global, 0, sizeof mine.sample_global);
  memset(mine.sample_local, 0, sizeof mine.sample_local);
  for (int row = 0; row < 2; ++row) {
    for (int i = 0; i < 4; ++i) mine.sample_global[row * 16 + 4 * i + row] = 1;
    mine.sample_local[row * 4 + row] = mine.sample_local[row * 4 + 3] = 1;
  }
}

#define assert_mine(change, check)                                                                                 \
  do {                                                                                                             \
    udi_view_config config = small_view_config();                                                                  \
    udi_array global = array_of(mine.global, UDI_U8, 5, kGlobal), local = array_of(mine.local, UDI_U8, 5, kLocal); \
    udi_array coords = array_of(mine.coords, UDI_F32, 3, kCoords);                                                 \
    udi_array sample_global = array_of(mine.sample_global, UDI_U8, 2, kSampleGlobal);                              \
    udi_array sample_local = array_of(mine.sample_local, UDI_U8, 2, kSampleLocal), *locals = &local;               \
    udi_views* views = UNTOUCHED;                                                                                  \
    fill_mine();                                                                                                   \
    change;                                                                                                        \
    check;                                                                                                         \
  } while (0)
#define CALL \
  udi_views_from_arrays(context, &config, &global, locals, &coords, &sample_global, &sample_local, &views, &error)

static void use(udi_context* context, udi_views* views) {
  const udi_views* batch = views;
  udi_tensor *crops = crops_of(views, 1), *places = coords_of(views);
  assert_memory_equal(view_of(crops).data, mine.global, sizeof mine.global);
  assert_memory_equal(view_of(places).data, mine.coords, sizeof mine.coords);
  udi_tensor_free(crops);
  udi_tensor_free(places);
  udi_trainer* trainer = new_trainer(context);
  udi_step_stats stats = {0};
  stats.struct_size = sizeof stats;
  assert_works(udi_trainer_step(trainer, &batch, 1, &stats, &error));
  assert_true(isfinite(stats.loss) && stats.valid_share > 0);
  udi_trainer_free(trainer);
  udi_views_free(views);
}

static void test_callers_crops(void** state) {
  udi_context* context = new_context();
  (void)state;
  assert_mine((void)0, assert_works(CALL); use(context, views));
  udi_context_free(context);
}

static void test_callers_crops_that_do_not_fit(void** state) {
  udi_context* context = new_context();
  static const int64_t wrong[] = {2, 2, 3, SIZE, SIZE + 8}, three[] = {3, 2, 3, SIZE / 2, SIZE / 2};
  (void)state;
  assert_mine(global.shape = wrong,
              assert_fails(CALL, UDI_E_SHAPE, "global.shape is [2, 2, 3, 32, 40], must be [2, any, any, 32, 32]"));
  assert_mine(global.dtype = UDI_I64, assert_fails(CALL, UDI_E_SHAPE, "global.dtype is UDI_I64"));
  assert_mine(local.shape = three, assert_fails(CALL, UDI_E_SHAPE, "local.shape is [3, 2, 3, 16, 16]"));
  assert_mine(locals = NULL, assert_fails(CALL, UDI_E_INVALID, "local is NULL, and config.local_crops is 2"));
  assert_mine(config.local_crops = 0, assert_fails(CALL, UDI_E_INVALID, "local is given, and config.local_crops is 0"));
  assert_mine(coords.dtype = UDI_I32, assert_fails(CALL, UDI_E_SHAPE, "coords.dtype is UDI_I32, must be UDI_F32"));
  assert_mine(mine.coords[5] = 1.5f, assert_fails(CALL, UDI_E_INVALID, "coords has values from 0.1"));
  assert_mine(mine.coords[5] = NAN, assert_fails(CALL, UDI_E_INVALID, "nan, must be 0 to 1"));
  assert_mine(mine.sample_global[3] = 2, assert_fails(CALL, UDI_E_INVALID, "sample_global has values from 0 to 2"));
  assert_mine(mine.sample_global[3] = 1, assert_fails(CALL, UDI_E_SHAPE, "sample"));
  assert_mine(sample_local.ndim = 1, assert_fails(CALL, UDI_E_SHAPE, "sample_local.shape is [2]"));
  udi_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_draws_depend_on_the_sample_alone),
      cmocka_unit_test_setup_teardown(test_channels_of_files, read_files, free_files),
      cmocka_unit_test_setup_teardown(test_gray_model_learns_from_files, read_files, free_files),
      cmocka_unit_test_setup_teardown(test_channels_that_images_do_not_have, read_files, free_files),
      cmocka_unit_test(test_callers_crops),
      cmocka_unit_test(test_callers_crops_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
