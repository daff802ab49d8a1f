/* How long handles live: any order of freeing, forks, and memory that stays flat. */
#if defined(__linux__)
#include <malloc.h>
#endif
#include <sys/types.h>
#include <sys/wait.h>

#include "folder.h"

struct handles {
  udi_context* context;
  udi_model* model;
  udi_views* views;
  udi_loader* loader;
  udi_trainer* trainer;
  udi_tensor* tensor;
};

static struct handles make_all(void) {
  struct handles h;
  h.context = new_context();
  h.model = new_model(h.context);
  h.views = new_views(h.context, 2);
  h.loader = open_image_folder(h.context, 2);
  h.trainer = new_trainer(h.context);
  h.tensor = extract_tokens(h.model, 0, 2);
  return h;
}

static void free_one(struct handles* h, int which) {
  switch (which) {
    case 0:
      udi_context_free(h->context);
      break;
    case 1:
      udi_model_free(h->model);
      break;
    case 2:
      udi_views_free(h->views);
      break;
    case 3:
      udi_loader_free(h->loader);
      break;
    case 4:
      udi_trainer_free(h->trainer);
      break;
    case 5:
      udi_tensor_free(h->tensor);
      break;
  }
}

/* Each handle as the last one: it works although everything else is gone. */
static void use_one(const struct handles* h, int which) {
  const udi_views* batch = h->views;
  udi_model_info info = {0};
  udi_tensor* tensor = NULL;
  udi_views* views = NULL;
  info.struct_size = sizeof info;
  switch (which) {
    case 0:
      udi_model_free(new_model(h->context));
      break;
    case 1:
      udi_tensor_free(extract_tokens(h->model, 0, 1));
      break;
    case 2:
      assert_works(udi_views_coords(batch, &tensor, &error));
      break;
    case 3:
      assert_works(udi_loader_next(h->loader, &views, &error));
      break;
    case 4:
      assert_int_equal(udi_trainer_steps(h->trainer), 0);
      break;
    case 5:
      assert_int_equal(view_of(h->tensor).shape[0], 2);
      break;
  }
  udi_tensor_free(tensor);
  udi_views_free(views);
}

static void test_free_in_any_order(void** state) {
  (void)state;
  for (int last = 0; last < 6; ++last) {
    for (int backwards = 0; backwards < 2; ++backwards) {
      struct handles h = make_all();
      for (int i = 0; i < 6; ++i) {
        const int which = backwards ? 5 - i : i;
        if (which != last) free_one(&h, which);
      }
      use_one(&h, last);
      free_one(&h, last);
    }
  }
}

/* In the child everything is refused, and nothing hangs, frees included. */
static void test_forked_child(void** state) {
  struct handles h = make_all();
  int status = 0;
  (void)state;
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    udi_context* context = NULL;
    udi_views* views = NULL;
    const udi_views* batch = h.views;
    udi_array array = {0};
    int wrong = 0;
    array.struct_size = sizeof array;
    alarm(60);
    wrong += udi_loader_next(h.loader, &views, NULL) != UDI_E_STATE;
    wrong += udi_trainer_step(h.trainer, &batch, 1, NULL, NULL) != UDI_E_STATE;
    wrong += udi_tensor_view(h.tensor, &array, NULL) != UDI_E_STATE;
    wrong += udi_context_create(NULL, &context, NULL) != UDI_E_STATE;
    for (int i = 0; i < 6; ++i) free_one(&h, i);
    _exit(wrong);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  for (int i = 0; i < 6; ++i) use_one(&h, i);
  for (int i = 0; i < 6; ++i) free_one(&h, i);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static size_t bytes_in_use(void) {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static void train_and_extract_once(void) {
  struct handles h = make_all();
  const udi_views* batch = h.views;
  udi_views* next = NULL;
  udi_error error;
  udi_model* copy = NULL;
  assert_int_equal(udi_trainer_step(h.trainer, &batch, 1, NULL, &error), UDI_OK);
  assert_int_equal(udi_loader_next(h.loader, &next, &error), UDI_OK);
  assert_int_equal(udi_trainer_model(h.trainer, UDI_TEACHER, &copy, &error), UDI_OK);
  assert_int_equal(udi_trainer_step(h.trainer, NULL, 1, NULL, &error), UDI_E_INVALID);
  udi_model_free(copy);
  udi_views_free(next);
  for (int i = 0; i < 6; ++i) free_one(&h, i);
}

static size_t resident_bytes(void) {
  long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%*s %ld", &pages), 1);
  fclose(file);
  return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* 1,000 rounds after those in which caches fill. The smallest thing that a round could leak on the heap, a handle, takes
 * 32 bytes of it; what could leak beside it is pages. CMakeLists.txt has malloc keep no caches: then nothing moves. */
static void test_memory_stays_flat(void** state) {
  enum { WARM = 200, ROUNDS = 1000, HEAP = 30, RESIDENT = 1024 };
  size_t heap = 0, resident = 0;
  (void)state;
  for (int i = 0; i < WARM + ROUNDS; ++i) {
    if (i == WARM) {
      heap = bytes_in_use();
      resident = resident_bytes();
    }
    train_and_extract_once();
  }
  const size_t heap_after = bytes_in_use(), resident_after = resident_bytes();
  if (heap_after > heap + ROUNDS * HEAP) fail_msg("%zu bytes on the heap became %zu in 1000 rounds", heap, heap_after);
  if (resident_after > resident + ROUNDS * RESIDENT) {
    fail_msg("%zu bytes resident became %zu in 1000 rounds", resident, resident_after);
  }
}
#else
static void test_memory_stays_flat(void** state) {
  (void)state;
  skip(); /* the sanitizer's own leak check stands here */
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_free_in_any_order),
      cmocka_unit_test(test_forked_child),
      cmocka_unit_test(test_memory_stays_flat),
  };
  return cmocka_run_group_tests(tests, make_image_folder, remove_image_folder);
}
