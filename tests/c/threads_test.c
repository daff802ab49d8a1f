/* One thread at a time a context; a cancel from anywhere, at any time. Runs under ThreadSanitizer, too (scripts/tsan).
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "folder.h"

static void pause_ms(long ms) {
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* A step that would take minutes: 4,096 images, one at a time. */
struct long_step {
  udi_context* context;
  udi_trainer* trainer;
  udi_views* views[256];
  udi_status status;
  udi_error error;
};

static struct long_step* make_long_step(void) {
  struct long_step* step = calloc(1, sizeof *step);
  udi_train_config config = small_train_config();
  assert_non_null(step);
  step->context = new_context();
  udi_model* model = new_model(step->context);
  config.micro_batch = 1;
  assert_works(udi_trainer_create(step->context, model, &config, &step->trainer, &error));
  udi_model_free(model);
  step->views[0] = new_views(step->context, 16);
  for (int i = 1; i < 256; ++i) step->views[i] = step->views[0];
  return step;
}

static void free_long_step(struct long_step* step) {
  udi_views_free(step->views[0]);
  udi_trainer_free(step->trainer);
  udi_context_free(step->context);
  free(step);
}

static void* run_long_step(void* argument) {
  struct long_step* step = argument;
  do { /* the other thread may be inside for a moment */
    step->status = udi_trainer_step(step->trainer, (const udi_views* const*)step->views, 256, NULL, &step->error);
  } while (step->status == UDI_E_STATE);
  return NULL;
}

/* Waits until the step is inside its context: until a call finds it busy. */
static void wait_until_busy(struct long_step* step, udi_error* error) {
  udi_tensor* coords = NULL;
  for (;;) {
    const udi_status status = udi_views_coords(step->views[0], &coords, error);
    if (status == UDI_E_STATE) return;
    assert_int_equal(status, UDI_OK);
    udi_tensor_free(coords);
    pause_ms(1);
  }
}

static void test_second_thread_finds_the_context_busy(void** state) {
  struct long_step* step = make_long_step();
  pthread_t thread;
  udi_error error;
  (void)state;
  assert_int_equal(pthread_create(&thread, NULL, run_long_step, step), 0);
  wait_until_busy(step, &error);
  assert_int_equal(error.status, UDI_E_STATE);
  assert_non_null(strstr(error.message, "busy"));
  assert_int_equal(udi_trainer_steps(step->trainer), 0);
  udi_context* other = new_context(); /* contexts are independent */
  udi_model_free(new_model(other));
  udi_context_free(other);
  udi_context_cancel(step->context);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(step->status, UDI_E_CANCELLED);
  free_long_step(step);
}

static udi_tensor* student_weight(const udi_trainer* trainer) {
  udi_model* model = NULL;
  udi_tensor* weight = NULL;
  assert_works(udi_trainer_model(trainer, UDI_STUDENT, &model, &error));
  assert_works(udi_model_param_get(model, "backbone.backbone.blocks.0.mlp.fc1.weight", &weight, &error));
  udi_model_free(model);
  return weight;
}

static void test_cancel_moves_nothing_and_can_be_taken_back(void** state) {
  struct long_step* step = make_long_step();
  const udi_views* batch = step->views[0];
  udi_tensor* before = student_weight(step->trainer);
  pthread_t thread;
  udi_error error;
  (void)state;
  assert_int_equal(pthread_create(&thread, NULL, run_long_step, step), 0);
  wait_until_busy(step, &error);
  pause_ms(50);
  udi_context_cancel(step->context);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(step->status, UDI_E_CANCELLED);
  assert_int_equal(step->error.status, UDI_E_CANCELLED);
  assert_int_equal(udi_trainer_steps(step->trainer), 0);
  assert_fails(udi_trainer_step(step->trainer, &batch, 1, NULL, &error), UDI_E_CANCELLED, "cancel");
  udi_context_clear_cancel(step->context);
  udi_tensor* after = student_weight(step->trainer);
  const udi_array a = view_of(before), b = view_of(after);
  assert_memory_equal(a.data, b.data, (size_t)elements_of(&a) * sizeof(float));
  assert_works(udi_trainer_step(step->trainer, &batch, 1, NULL, &error));
  assert_int_equal(udi_trainer_steps(step->trainer), 1);
  udi_tensor_free(before);
  udi_tensor_free(after);
  free_long_step(step);
}

static udi_context* interrupted;
static void on_signal(int signal) {
  (void)signal;
  udi_context_cancel(interrupted);
}

static void test_cancel_from_a_signal_handler(void** state) {
  struct long_step* step = make_long_step();
  struct sigaction action, before;
  (void)state;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  interrupted = step->context;
  assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
  alarm(1);
  run_long_step(step);
  assert_int_equal(step->status, UDI_E_CANCELLED);
  assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
  free_long_step(step);
}

/* A call that would take minutes, in a thread of its own; a cancel ends it. */
struct long_call {
  udi_context* context;
  udi_status (*call)(struct long_call*);
  udi_model* model;
  udi_loader* loader;
  udi_status status;
  udi_error error;
};

static void* run_long_call(void* argument) {
  struct long_call* long_call = argument;
  do { /* the other thread may be inside for a moment */
    long_call->status = long_call->call(long_call);
  } while (long_call->status == UDI_E_STATE);
  return NULL;
}

static void assert_cancel_ends(struct long_call* long_call) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, run_long_call, long_call), 0);
  for (;;) {
    udi_model_info info = {0};
    info.struct_size = sizeof info;
    const udi_status status = udi_model_get_info(long_call->model, &info, NULL);
    if (status == UDI_E_STATE) break;
    assert_int_equal(status, UDI_OK);
    pause_ms(1);
  }
  pause_ms(20);
  udi_context_cancel(long_call->context);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(long_call->status, UDI_E_CANCELLED);
  assert_int_equal(long_call->error.status, UDI_E_CANCELLED);
  udi_context_clear_cancel(long_call->context);
}

/* A million times the same picture. */
static udi_status extract_much(struct long_call* long_call) {
  static float pixels[3 * SIZE * SIZE];
  static const int64_t shape[] = {1 << 20, 3, SIZE, SIZE}, strides[] = {0, SIZE * SIZE, SIZE, 1};
  udi_tensor* tokens = NULL;
  udi_array images = array_of(pixels, UDI_F32, 4, shape);
  images.strides = strides;
  return udi_model_extract(long_call->model, &images, UDI_NCHW, NULL, &tokens, &long_call->error);
}

static void test_cancel_ends_an_extraction(void** state) {
  (void)state;
  for (int32_t deterministic = 0; deterministic < 2; ++deterministic) {
    struct long_call long_call = {0};
    udi_context_config config;
    udi_context_config_init(&config, sizeof config);
    config.deterministic = deterministic;
    assert_works(udi_context_create(&config, &long_call.context, &error));
    long_call.model = new_model(long_call.context);
    long_call.call = extract_much;
    assert_cancel_ends(&long_call);
    udi_model_free(long_call.model);
    udi_context_free(long_call.context);
  }
}

static udi_status load_much(struct long_call* long_call) {
  udi_views* views = NULL;
  return udi_loader_next(long_call->loader, &views, &long_call->error);
}

/* A batch of 65,536 images. */
static void test_cancel_ends_a_wait_for_images(void** state) {
  struct long_call long_call = {0};
  const udi_view_config views = small_view_config();
  udi_loader_config config;
  char list[80], path[64];
  (void)state;
  snprintf(list, sizeof list, "%s.txt", image_folder);
  FILE* file = fopen(list, "w");
  assert_non_null(file);
  for (int i = 0; i < 1 << 16; ++i) {
    image_path(i % FOLDER_IMAGES, path);
    fprintf(file, "%s\n", path);
  }
  assert_int_equal(fclose(file), 0);
  long_call.context = new_context();
  long_call.model = new_model(long_call.context);
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = 1 << 16;
  config.workers = 2;
  assert_works(udi_loader_open(long_call.context, list, &views, &config, &long_call.loader, &error));
  long_call.call = load_much;
  assert_cancel_ends(&long_call);
  assert_int_equal(udi_loader_position(long_call.loader), 0);
  udi_loader_free(long_call.loader);
  udi_model_free(long_call.model);
  udi_context_free(long_call.context);
  unlink(list);
}

struct first_use {
  pthread_barrier_t* together;
  udi_context* context;
  udi_status status;
};

static void* create_first_context(void* argument) {
  struct first_use* use = argument;
  pthread_barrier_wait(use->together);
  use->status = udi_context_create(NULL, &use->context, NULL);
  return NULL;
}

/* The first contexts of a process, all at once: the libraries are opened once. */
static void test_first_contexts_at_once(void** state) {
  pthread_t threads[8];
  struct first_use uses[8];
  pthread_barrier_t together;
  (void)state;
  assert_int_equal(pthread_barrier_init(&together, NULL, 8), 0);
  for (int i = 0; i < 8; ++i) {
    uses[i].together = &together;
    uses[i].context = NULL;
    assert_int_equal(pthread_create(&threads[i], NULL, create_first_context, &uses[i]), 0);
  }
  for (int i = 0; i < 8; ++i) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(uses[i].status, UDI_OK);
    udi_context_free(uses[i].context);
  }
  pthread_barrier_destroy(&together);
}

static void* use_own_context(void* argument) {
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  *(udi_tensor**)argument = extract_tokens(model, 2, 3);
  udi_model_free(model);
  udi_context_free(context);
  return NULL;
}

/* Contexts side by side give what one alone gives. */
static void test_contexts_side_by_side(void** state) {
  pthread_t threads[4];
  udi_tensor *tokens[4], *alone = NULL;
  (void)state;
  use_own_context(&alone);
  for (int i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, use_own_context, &tokens[i]), 0);
  for (int i = 0; i < 4; ++i) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_memory_equal(view_of(tokens[i]).data, view_of(alone).data, 3 * 48 * sizeof(float));
    udi_tensor_free(tokens[i]);
  }
  udi_tensor_free(alone);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_contexts_at_once), /* first */
      cmocka_unit_test(test_contexts_side_by_side),
      cmocka_unit_test(test_second_thread_finds_the_context_busy),
      cmocka_unit_test(test_cancel_moves_nothing_and_can_be_taken_back),
      cmocka_unit_test(test_cancel_from_a_signal_handler),
      cmocka_unit_test(test_cancel_ends_an_extraction),
      cmocka_unit_test(test_cancel_ends_a_wait_for_images),
  };
  return cmocka_run_group_tests(tests, make_image_folder, remove_image_folder);
}
