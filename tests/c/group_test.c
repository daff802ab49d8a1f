/* A distributed run through the C interface: two ranks as two threads, each with a context, a group and a trainer of its
 * own. What they compute is what one rank computes with all their images; what fails on one fails on both. */
#include <pthread.h>

#include "folder.h"

enum { WORLD = 2, STEPS = 20 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t known = PTHREAD_COND_INITIALIZER;
static int port; /* that rank 0's store has taken */

static void find_port(void* user, udi_log_level level, const char* message) {
  const char* found = strstr(message, " port ");
  (void)user;
  (void)level;
  if (!strstr(message, "meeting at") || !found) return;
  pthread_mutex_lock(&mutex);
  port = atoi(found + 6);
  pthread_cond_broadcast(&known);
  pthread_mutex_unlock(&mutex);
}

static udi_context* context_of_rank(int rank) {
  udi_context* context = NULL;
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  config.num_threads = 1;
  if (rank == 0) config.log = find_port;
  assert_works(udi_context_create(&config, &context, &error));
  return context;
}

static udi_group* join_ranks(udi_context* context, int rank) {
  udi_group* group = NULL;
  udi_group_config config;
  udi_group_config_init(&config, sizeof config);
  config.rank = rank;
  config.world = WORLD;
  config.address = "127.0.0.1";
  config.timeout = 60;
  config.port = 0;
  if (rank > 0) {
    pthread_mutex_lock(&mutex);
    while (port == 0) pthread_cond_wait(&known, &mutex);
    config.port = port;
    pthread_mutex_unlock(&mutex);
  }
  assert_works(udi_group_create(context, &config, &group, &error));
  assert_int_equal(udi_group_rank(group), rank);
  assert_int_equal(udi_group_world(group), WORLD);
  return group;
}

static udi_loader* loader_of_rank(udi_context* context, int rank, int world, int batch_size) {
  const udi_view_config views = small_view_config();
  udi_loader_config config;
  udi_loader* loader = NULL;
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = batch_size;
  config.workers = 1;
  config.rank = rank;
  config.world = world;
  assert_works(udi_loader_open(context, image_folder, &views, &config, &loader, &error));
  return loader;
}

static udi_trainer* trainer_of_rank(udi_context* context, int rank, int world) {
  udi_train_config config = small_train_config();
  udi_model* model = new_model(context);
  udi_trainer* trainer = NULL;
  config.rank = rank;
  config.world = world;
  assert_works(udi_trainer_create(context, model, &config, &trainer, &error));
  udi_model_free(model);
  return trainer;
}

static void train(udi_trainer* trainer, udi_loader* loader, udi_step_stats stats[STEPS]) {
  for (int step = 0; step < STEPS; ++step) {
    udi_views* views = NULL;
    assert_works(udi_loader_next(loader, &views, &error));
    stats[step].struct_size = sizeof stats[step];
    assert_works(udi_trainer_step(trainer, (const udi_views* const*)&views, 1, &stats[step], &error));
    udi_views_free(views);
  }
}

struct rank {
  pthread_t thread;
  int rank;
  udi_step_stats stats[STEPS];
};

static void* run_rank(void* argument) {
  struct rank* self = argument;
  udi_context* context = context_of_rank(self->rank);
  udi_loader* loader = loader_of_rank(context, self->rank, WORLD, 1);
  udi_trainer* trainer = trainer_of_rank(context, self->rank, WORLD);
  udi_views* views = new_views(context, 2);
  assert_fails(udi_trainer_step(trainer, (const udi_views* const*)&views, 1, NULL, &error), UDI_E_STATE,
               "has joined no group");
  udi_group* group = join_ranks(context, self->rank);
  assert_works(udi_trainer_join(trainer, group, &error));
  udi_group_free(group); /* the trainer keeps it */
  train(trainer, loader, self->stats);
  assert_int_equal(udi_trainer_steps(trainer), STEPS);

  /* What one rank alone refuses, both do, and the next step works. */
  udi_error refused = {0};
  const udi_views* const some = views;
  const udi_status status_of_null = udi_trainer_step(trainer, self->rank == 1 ? NULL : &some, 1, NULL, &refused);
  assert_int_equal(status_of_null, UDI_E_INVALID);
  assert_string_equal(refused.message, "rank 1 of 2: views is NULL");
  assert_works(udi_trainer_step(trainer, &some, 1, NULL, &refused));

  /* A cancel of one rank ends the step of both. */
  if (self->rank == 1) udi_context_cancel(context);
  udi_error error = {0};
  const udi_status status = udi_trainer_step(trainer, &some, 1, NULL, &error);
  assert_int_equal(status, UDI_E_CANCELLED);
  udi_views_free(views);
  udi_trainer_free(trainer);
  udi_loader_free(loader);
  udi_context_free(context);
  return NULL;
}

static void assert_close(double one, double two) {
  if (!(fabs(one - two) <= 1e-5 * fmax(1, fabs(one))) && !(isnan(one) && isnan(two))) fail_msg("%.9g and %.9g", one, two);
}

static void test_two_ranks_equal_one(void** state) {
  static udi_step_stats alone[STEPS];
  static struct rank ranks[WORLD];
  (void)state;
  udi_context* context = context_of_rank(1);
  udi_loader* loader = loader_of_rank(context, 0, 1, WORLD);
  udi_trainer* trainer = trainer_of_rank(context, 0, 1);
  train(trainer, loader, alone);
  udi_trainer_free(trainer);
  udi_loader_free(loader);
  udi_context_free(context);

  for (int rank = 0; rank < WORLD; ++rank) {
    ranks[rank].rank = rank;
    assert_int_equal(pthread_create(&ranks[rank].thread, NULL, run_rank, &ranks[rank]), 0);
  }
  for (int rank = 0; rank < WORLD; ++rank) assert_int_equal(pthread_join(ranks[rank].thread, NULL), 0);
  for (int step = 0; step < STEPS; ++step) {
    for (int rank = 0; rank < WORLD; ++rank) {
      const udi_step_stats *one = &alone[step], *two = &ranks[rank].stats[step];
      assert_int_equal(two->step, step);
      assert_close(one->loss, two->loss);
      assert_close(one->global_cls, two->global_cls);
      assert_close(one->global_cls_plus, two->global_cls_plus);
      assert_close(one->global_patch, two->global_patch);
      assert_close(one->local_cls, two->local_cls);
      assert_close(one->local_cls_plus, two->local_cls_plus);
      assert_close(one->valid_share, two->valid_share);
    }
  }
}

/* Without a launcher a group is this process, and a trainer may join it. */
static void test_a_group_of_one(void** state) {
  udi_context* context = context_of_rank(1);
  udi_trainer* trainer = new_trainer(context);
  udi_views* views = new_views(context, 2);
  udi_group* group = NULL;
  (void)state;
  assert_works(udi_group_create(context, NULL, &group, &error));
  assert_int_equal(udi_group_rank(group), 0);
  assert_int_equal(udi_group_world(group), 1);
  assert_works(udi_trainer_join(trainer, group, &error));
  assert_works(udi_trainer_step(trainer, (const udi_views* const*)&views, 1, NULL, &error));
  udi_group_free(group);
  udi_views_free(views);
  udi_trainer_free(trainer);

  trainer = trainer_of_rank(context, 1, 3);
  assert_works(udi_group_create(context, NULL, &group, &error));
  assert_fails(udi_trainer_join(trainer, group, &error), UDI_E_INVALID, "rank 1 of 3, the group's is 0 of 1");
  udi_group_free(group);
  udi_trainer_free(trainer);
  udi_context_free(context);
}

/* What a launcher left in the environment is read, and nonsense there is named. */
static void test_the_environment(void** state) {
  udi_context* context = context_of_rank(1);
  udi_group* group = UNTOUCHED;
  (void)state;
  setenv("RANK", "7", 1);
  setenv("WORLD_SIZE", "2", 1);
  assert_fails(udi_group_create(context, NULL, &group, &error), UDI_E_INVALID, "RANK is '7', must be");
  setenv("RANK", "0", 1);
  setenv("WORLD_SIZE", "1", 1);
  assert_ptr_equal(group, UNTOUCHED);
  assert_works(udi_group_create(context, NULL, &group, &error));
  assert_int_equal(udi_group_world(group), 1);
  udi_group_free(group);
  unsetenv("RANK");
  unsetenv("WORLD_SIZE");
  udi_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_two_ranks_equal_one, make_image_folder, remove_image_folder),
      cmocka_unit_test(test_a_group_of_one),
      cmocka_unit_test(test_the_environment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
