/* Image sets on disk: order, position, bad files, the log. */
#include "folder.h"

static uint64_t sum_of_next(udi_loader* loader) {
  udi_views* views = NULL;
  udi_tensor* crops = NULL;
  uint64_t sum = 0;
  assert_works(udi_loader_next(loader, &views, &error));
  assert_int_equal(udi_views_count(views), 2);
  assert_works(udi_views_crops(views, 1, &crops, &error));
  const udi_array view = view_of(crops);
  for (int64_t i = 0; i < elements_of(&view); ++i) sum = sum * 1099511628211u + ((uint8_t*)view.data)[i];
  udi_tensor_free(crops);
  udi_views_free(views);
  return sum;
}

static void test_position_and_seek(void** state) {
  udi_context* context = new_context();
  udi_loader *one = open_image_folder(context, 1), *four = open_image_folder(context, 4);
  uint64_t sums[7];
  (void)state;
  assert_int_equal(udi_loader_images(one), FOLDER_IMAGES);
  assert_int_equal(udi_loader_steps_per_epoch(one), 3);
  for (int i = 0; i < 7; ++i) {
    assert_int_equal(udi_loader_position(one), i);
    sums[i] = sum_of_next(one);
    assert_true(sum_of_next(four) == sums[i]);
  }
  assert_true(sums[0] != sums[3]); /* another epoch, other crops */
  assert_works(udi_loader_seek(four, 2, &error));
  assert_int_equal(udi_loader_position(four), 2);
  for (int i = 2; i < 7; ++i) assert_true(sum_of_next(four) == sums[i]);
  assert_fails(udi_loader_seek(four, -1, &error), UDI_E_INVALID, "position is -1");
  assert_int_equal(udi_loader_position(four), 7);
  udi_loader_free(one);
  udi_loader_free(four);
  udi_context_free(context);
}

/* An archive beyond max_cache_bytes goes to disk, without a trace, and reads like the folder it was made of. */
static void test_archive_in_the_cache(void** state) {
  udi_context* context = new_context();
  udi_loader *folder = open_image_folder(context, 1), *archive = UNTOUCHED;
  const udi_view_config views = small_view_config();
  udi_loader_config config;
  char path[64], command[256], cache[] = "/tmp/udi-cache-XXXXXX";
  (void)state;
  assert_non_null(mkdtemp(cache));
  snprintf(path, sizeof path, "%s.tar.gz", image_folder);
  snprintf(command, sizeof command, "cd %s && tar -czf %s *.npy", image_folder, path);
  assert_int_equal(system(command), 0);
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = 2;
  config.max_cache_bytes = 0;
  config.cache_dir = "/no/such/folder";
  assert_fails(udi_loader_open(context, path, &views, &config, &archive, &error), UDI_E_IO, "/no/such/folder");
  assert_ptr_equal(archive, UNTOUCHED);
  config.cache_dir = cache;
  assert_works(udi_loader_open(context, path, &views, &config, &archive, &error));
  assert_int_equal(rmdir(cache), 0); /* it is empty */
  for (int i = 0; i < 4; ++i) assert_true(sum_of_next(archive) == sum_of_next(folder));
  udi_loader_free(archive);
  config.cache_dir = NULL;
  assert_works(udi_loader_open(context, path, &views, &config, &archive, &error));
  udi_loader_free(archive);
  udi_loader_free(folder);
  udi_context_free(context);
  unlink(path);
}

#define assert_loader_refuses(path, change, expected, part)                                         \
  do {                                                                                              \
    udi_view_config views = small_view_config();                                                    \
    udi_loader_config config;                                                                       \
    udi_loader* loader = UNTOUCHED;                                                                 \
    udi_loader_config_init(&config, sizeof config);                                                 \
    config.batch_size = 2;                                                                          \
    change;                                                                                         \
    assert_fails(udi_loader_open(context, path, &views, &config, &loader, &error), expected, part); \
    assert_ptr_equal(loader, UNTOUCHED);                                                            \
  } while (0)

static void test_refusals(void** state) {
  udi_context* context = new_context();
  (void)state;
  assert_loader_refuses("/no/such/folder", (void)0, UDI_E_NOT_FOUND, "/no/such/folder");
  assert_loader_refuses(image_folder, config.batch_size = 0, UDI_E_INVALID, "batch_size");
  assert_loader_refuses(image_folder, config.batch_size = 7, UDI_E_INVALID, "7");
  assert_loader_refuses(image_folder, config.workers = -1, UDI_E_INVALID, "workers");
  assert_loader_refuses(image_folder, config.channels = 17, UDI_E_INVALID, "channels");
  assert_loader_refuses(image_folder, (config.rank = 2, config.world = 2), UDI_E_INVALID, "rank");
  assert_loader_refuses(image_folder, config.max_pixels = 0, UDI_E_INVALID, "max_pixels");
  assert_loader_refuses(image_folder, config.max_bad_percent = 101, UDI_E_INVALID, "max_bad_percent");
  assert_loader_refuses(image_folder, views.patch_size = 7, UDI_E_INVALID, "patch_size");
  udi_context_free(context);
}

struct log {
  udi_context* context;
  int lines, busy;
  char last[256];
};

/* May call nothing of its context: finds it busy. */
static void on_log(void* user, udi_log_level level, const char* message) {
  struct log* log = user;
  udi_view_config config = small_view_config();
  udi_views* views = NULL;
  (void)level;
  ++log->lines;
  snprintf(log->last, sizeof log->last, "%s", message);
  if (log->context) log->busy += udi_views_create(log->context, &config, NULL, 0, 0, 0, 0, &views, NULL) == UDI_E_STATE;
}

static udi_context* new_logging_context(struct log* log, udi_log_level level) {
  udi_context* context = NULL;
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  config.log = on_log;
  config.log_user = log;
  config.log_level = level;
  assert_works(udi_context_create(&config, &context, &error));
  log->context = context;
  return context;
}

/* An unreadable file is named in the log and another image takes its place; too many end the run. */
static void test_bad_files_and_the_log(void** state) {
  struct log loud = {NULL, 0, 0, ""}, quiet = {NULL, 0, 0, ""};
  udi_context *hears = new_logging_context(&loud, UDI_LOG_WARN), *deaf = new_logging_context(&quiet, UDI_LOG_ERROR);
  const udi_view_config view_config = small_view_config();
  udi_loader_config config;
  udi_views* views = UNTOUCHED;
  udi_loader* loader = NULL;
  char path[64];
  (void)state;
  image_path(0, path);
  assert_int_equal(truncate(path, 200), 0);
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = 6;
  config.max_bad_percent = 50;
  udi_context* const contexts[] = {hears, deaf};
  for (int i = 0; i < 2; ++i) {
    assert_works(udi_loader_open(contexts[i], image_folder, &view_config, &config, &loader, &error));
    assert_works(udi_loader_next(loader, &views, &error));
    udi_views_free(views);
    udi_loader_free(loader);
  }
  assert_true(loud.lines >= 1 && strstr(loud.last, "00.npy"));
  assert_int_equal(loud.busy, loud.lines);
  assert_int_equal(quiet.lines, 0);

  config.max_bad_percent = 10;
  views = UNTOUCHED;
  assert_works(udi_loader_open(deaf, image_folder, &view_config, &config, &loader, &error));
  assert_fails(udi_loader_next(loader, &views, &error), UDI_E_FORMAT, "00.npy");
  assert_int_equal(udi_loader_position(loader), 0);
  assert_ptr_equal(views, UNTOUCHED);
  udi_loader_free(loader);
  udi_context_free(hears);
  udi_context_free(deaf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_position_and_seek),
      cmocka_unit_test(test_archive_in_the_cache),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_bad_files_and_the_log), /* spoils a file */
  };
  return cmocka_run_group_tests(tests, make_image_folder, remove_image_folder);
}
