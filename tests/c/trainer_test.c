/* Training in memory, step by step. */
#include "support.h"

static void test_losses_are_finite_and_fall(void **state) {
  udi_context *context = new_context();
  udi_trainer *trainer = new_trainer(context);
  double first = 0, last = 0;
  (void)state;
  udi_views *views = new_views(context, 8);
  const udi_views *batch = views;
  for (int64_t i = 0; i < 12; ++i) {
    udi_step_stats stats = {0};
    stats.struct_size = sizeof stats;
    assert_int_equal(udi_trainer_steps(trainer), i);
    assert_works(udi_trainer_step(trainer, &batch, 1, &stats, &error));
    assert_int_equal(stats.step, i);
    assert_true(isfinite(stats.loss) && isfinite(stats.grad_norm_max) && stats.teacher_entropy > 0);
    if (i == 0) first = stats.loss;
    last = stats.loss;
  }
  printf("loss %.4f -> %.4f\n", first, last);
  assert_true(last < first);
  udi_views_free(views);
  udi_trainer_free(trainer);
  udi_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_losses_are_finite_and_fall)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
