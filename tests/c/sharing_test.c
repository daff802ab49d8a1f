/* One set of weights in several contexts, each in a thread of its own. Runs under ThreadSanitizer, too (scripts/tsan).
 */
#include <pthread.h>

#include "support.h"

enum { THREADS = 4, ROUNDS = 5, WIDTH = 48 };

static udi_model* share(const udi_model* model, udi_context* context) {
  udi_model* shared = NULL;
  assert_works(udi_model_share(model, context, &shared, &error));
  return shared;
}

struct server {
  udi_context* context;
  udi_model* model;
  pthread_barrier_t* together;
  float tokens[3 * WIDTH];
  int wrong;
};

static void* serve(void* argument) {
  struct server* server = argument;
  pthread_barrier_wait(server->together);
  for (int i = 0; i < ROUNDS; ++i) {
    udi_tensor* tokens = extract_tokens(server->model, 2, 3);
    const udi_array view = view_of(tokens);
    if (i == 0) memcpy(server->tokens, view.data, sizeof server->tokens);
    server->wrong += memcmp(server->tokens, view.data, sizeof server->tokens) != 0;
    udi_tensor_free(tokens);
  }
  udi_model_free(server->model);
  udi_context_free(server->context);
  return NULL;
}

/* The context that loaded the weights is gone while the others work, and they agree with what it computed. */
static void test_threads_share_weights(void** state) {
  struct server servers[THREADS];
  pthread_t threads[THREADS];
  pthread_barrier_t together;
  udi_context* context = new_context();
  udi_model* model = new_model(context);
  udi_tensor* alone = extract_tokens(model, 2, 3);
  (void)state;
  assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
  for (int i = 0; i < THREADS; ++i) {
    servers[i].context = new_context();
    servers[i].model = share(model, servers[i].context);
    servers[i].together = &together;
    servers[i].wrong = 0;
    assert_int_equal(pthread_create(&threads[i], NULL, serve, &servers[i]), 0);
  }
  udi_model_free(model);
  udi_context_free(context);
  for (int i = 0; i < THREADS; ++i) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(servers[i].wrong, 0);
    assert_memory_equal(servers[i].tokens, view_of(alone).data, sizeof servers[i].tokens);
  }
  udi_tensor_free(alone);
  pthread_barrier_destroy(&together);
}

static udi_status overwrite(udi_model* model, float value, udi_error* error) {
  static float values[24];
  static const int64_t shape[] = {24};
  const udi_array array = array_of(values, UDI_F32, 1, shape);
  for (int i = 0; i < 24; ++i) values[i] = value;
  return udi_model_param_set(model, "backbone.backbone.norm.bias", &array, error);
}

/* Shared weights are read-only, for those who had them first, too; they are one and the same. */
static void test_shared_weights_cannot_be_written(void** state) {
  udi_context *first = new_context(), *second = new_context();
  udi_model *model = new_model(first), *shared = share(model, second), *again = share(shared, second);
  (void)state;
  assert_fails(overwrite(model, 1, &error), UDI_E_STATE, "udi_model_share");
  assert_fails(overwrite(shared, 1, &error), UDI_E_STATE, "udi_model_share");
  udi_model_free(shared);
  assert_fails(overwrite(again, 1, &error), UDI_E_STATE, "udi_model_share");
  udi_model_free(model);
  assert_works(overwrite(again, 1, &error));
  udi_model* third = share(again, first);
  udi_tensor* weight = NULL;
  assert_works(udi_model_param_get(third, "backbone.backbone.norm.bias", &weight, &error));
  assert_true(((const float*)view_of(weight).data)[23] == 1);
  udi_tensor_free(weight);
  udi_model_free(third);
  udi_model_free(again);
  udi_context_free(first);
  udi_context_free(second);
}

static void test_both_contexts_are_entered(void** state) {
  udi_context *first = new_context(), *second = new_context();
  udi_model *model = new_model(first), *shared = UNTOUCHED;
  (void)state;
  udi_context_cancel(second);
  assert_fails(udi_model_share(model, second, &shared, &error), UDI_E_CANCELLED, "cancel");
  udi_context_clear_cancel(second);
  udi_context_cancel(first);
  assert_fails(udi_model_share(model, second, &shared, &error), UDI_E_CANCELLED, "cancel");
  udi_context_clear_cancel(first);
  assert_fails(udi_model_share(NULL, second, &shared, &error), UDI_E_INVALID, "model is NULL");
  assert_fails(udi_model_share(model, NULL, &shared, &error), UDI_E_INVALID, "context is NULL");
  assert_fails(udi_model_share(model, second, NULL, &error), UDI_E_INVALID, "out is NULL");
  assert_ptr_equal(shared, UNTOUCHED);
  udi_model_free(share(model, first)); /* of its own context */
  udi_model_free(share(model, second));
  udi_model_free(model);
  udi_context_free(first);
  udi_context_free(second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_threads_share_weights),
      cmocka_unit_test(test_shared_weights_cannot_be_written),
      cmocka_unit_test(test_both_contexts_are_entered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
